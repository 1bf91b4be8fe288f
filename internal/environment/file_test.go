package environment_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

var update = flag.Bool("update", false, "write docs/environments.schema.json anew")

const good = `# the environments of widgets
environments:
  - name: dev
  - name: staging
    protectionRules:
      reviewerIds: [583231, 17]
      requiredReviewers: 2
    secrets: [API_TOKEN]
  - name: production
    protectionRules:
      waitTimer: 30
      restrictToMainBranch: true
      reviewerIds:
    secrets:
      API_TOKEN: {from: API_TOKEN_PROD}
      DATABASE_URL:
    linkedResources:
      neonBranchId: br-cool-1
      cloudflareWorkerName: "007"
`

func parse(t *testing.T, text string) environment.File {
	t.Helper()
	f, err := environment.ParseFile("environments.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFile(t *testing.T) {
	f := parse(t, good)
	var wanted []string
	for _, n := range f.Names() {
		wanted = append(wanted, n.String())
	}
	same(t, "names", wanted, []string{"API_TOKEN", "API_TOKEN_PROD", "DATABASE_URL"})
	values := map[secret.Name]secret.Plaintext{}
	for _, n := range f.Names() {
		values[n] = secret.NewPlaintext([]byte("value of " + n.String()))
	}
	asked, err := f.Asked(values)
	if err != nil {
		t.Fatal(err)
	}
	production := asked[2]
	if got := production.Secrets; len(got) != 2 || got[0].Name != "API_TOKEN" || string(got[0].Value.Expose()) != "value of API_TOKEN_PROD" {
		t.Errorf("%+v", got)
	}
	want := environment.Rules{WaitTimer: ptr(30), RestrictToMainBranch: ptr(true)}
	if !reflect.DeepEqual(production.Rules, want) || production.Linked.CloudflareWorkerName != "007" {
		t.Errorf("%+v %+v", production.Rules, production.Linked)
	}
	if want := (environment.Rules{ReviewerIDs: []int64{583231, 17}, RequiredReviewers: ptr(2)}); !reflect.DeepEqual(asked[1].Rules, want) {
		t.Errorf("%+v", asked[1].Rules)
	}
	if !reflect.DeepEqual(asked[0], environment.Asked{Name: "dev"}) {
		t.Errorf("%+v", asked[0])
	}
	delete(values, secret.MustName("DATABASE_URL"))
	_, err = f.Asked(values)
	if err == nil || !strings.Contains(err.Error(), "environments.yaml:16:7: ") || !strings.Contains(err.Error(), "DATABASE_URL") {
		t.Errorf("%v", err)
	}
}

// What is wrong with a file is told by line and column, all that can be told at once, and nothing of
// what stands in the wrong place is shown: it may be a value.
func TestBadFiles(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want []string // line:column of each
	}{
		"empty":              {"# nothing\n", []string{"1:1"}},
		"no file":            {"", []string{"1:1"}},
		"no YAML":            {"environments: [", []string{"1:15"}},
		"a list":             {"- canary\n", []string{"1:1"}},
		"two documents":      {"environments: []\n---\nenvironments: []\n", []string{"1:1"}},
		"unknown keys":       {"environments:\n  - name: dev\n    canary: 1\n    protectionRules:\n      waittimer: 3\n", []string{"3:5", "5:7"}},
		"a key twice":        {"environments:\n  - name: dev\n    name: dev\n", []string{"3:5"}},
		"text for a number":  {"environments:\n  - name: dev\n    protectionRules: {waitTimer: canary}\n", []string{"3:34"}},
		"a fraction":         {"environments:\n  - name: dev\n    protectionRules: {waitTimer: 1.5}\n", []string{"3:34"}},
		"yes for true":       {"environments:\n  - name: dev\n    protectionRules: {restrictToMainBranch: yes}\n", []string{"3:45"}},
		"a number for text":  {"environments:\n  - name: 7\n", []string{"2:11"}},
		"one for many":       {"environments:\n  name: dev\n", []string{"2:3"}},
		"a value":            {"environments:\n  - name: dev\n    secrets:\n      API_TOKEN: canary\n", []string{"4:18"}},
		"a value in a list":  {"environments:\n  - name: dev\n    secrets: [canary=]\n", []string{"3:15"}},
		"a value in from":    {"environments:\n  - name: dev\n    secrets: {API_TOKEN: {from: canary!}}\n", []string{"3:33"}},
		"value beside from":  {"environments:\n  - name: dev\n    secrets: {API_TOKEN: {value: canary}}\n", []string{"3:27"}},
		"anchors and merges": {"environments:\n  - &a\n    name: dev\n  - <<: *a\n", []string{"2:5", "4:5"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := environment.ParseFile("environments.yaml", []byte(c.text))
			isCode(t, err, fault.RequestInvalid)
			var got []string
			for _, line := range strings.Split(err.Error(), "\n") {
				parts := strings.SplitN(line, ":", 4)
				if len(parts) == 4 && parts[0] == "environments.yaml" {
					got = append(got, parts[1]+":"+parts[2])
				}
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
			if raw, _ := json.Marshal(fault.Of(err).Context); bytes.Contains(raw, []byte("canary")) && name != "unknown keys" || strings.Contains(err.Error(), "canary") {
				t.Errorf("the text is shown: %v", err)
			}
		})
	}
}

// A file that would keep the parser busy is not parsed.
func TestHugeFiles(t *testing.T) {
	for _, text := range []string{
		strings.Repeat("[", 200_000), strings.Repeat("{a: ", 60_000), strings.Repeat("# comment\n", 30_000),
		strings.Repeat("- ", 60_000), strings.Repeat("-  ", 60_000), strings.Repeat("- !a ", 50_000),
	} {
		began := time.Now()
		_, err := environment.ParseFile("environments.yaml", []byte(text))
		isCode(t, err, fault.RequestInvalid)
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("%.5q: %s", text, d)
		}
	}
	_, err := environment.ParseFile("environments.yaml", []byte("environments:\n"+strings.Repeat("- 1\n", 1000)))
	if n := len(err.Error()); n > 10_000 || !strings.Contains(err.Error(), "and 950 more") {
		t.Errorf("told in %d bytes: %.200s", n, err)
	}
}

// What Check finds is told by where it stands in the file.
func TestProblemsArePlaced(t *testing.T) {
	f := parse(t, good)
	placed := f.Place([]environment.Problem{
		{Field: "environments[1].protectionRules.requiredReviewers"}, {Field: "environments[2].linkedResources.neonBranchId"},
		{Field: "environments[2].secrets[1].value"}, {Field: "environments[0].protectionRules.reviewerIds"}, {Field: "elsewhere"},
	})
	var got []string
	for _, p := range placed {
		got = append(got, strings.TrimSuffix(p.String(), ": "))
	}
	same(t, "places", got, []string{
		"7:7: environments[1].protectionRules.requiredReviewers", "18:7: environments[2].linkedResources.neonBranchId",
		"16:7: environments[2].secrets[1].value", "3:5: environments[0].protectionRules.reviewerIds", "elsewhere",
	})
}

// The schema in the repository is the one that the program has, and knows the keys that a file can have.
// After a change:
//
//	go test ./internal/environment -run TestSchema -update
func TestSchema(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "environments.schema.json")
	if *update {
		if err := os.WriteFile(path, environment.Schema(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(kept, environment.Schema()) {
		t.Errorf("docs/environments.schema.json is not the program's: run go test ./internal/environment -run TestSchema -update (%v)", err)
	}
	var schema struct {
		Properties struct {
			Environments struct {
				Items struct {
					Properties map[string]struct{ Properties map[string]any }
				}
			}
		}
	}
	if err := json.Unmarshal(kept, &schema); err != nil {
		t.Fatal(err)
	}
	properties := schema.Properties.Environments.Items.Properties
	for part, in := range map[string]any{"protectionRules": environment.Rules{}, "linkedResources": environment.Links{}} {
		typ := reflect.TypeOf(in)
		if n := len(properties[part].Properties); n != typ.NumField() {
			t.Errorf("%s has %d keys in the schema, %d in a spec", part, n, typ.NumField())
		}
		for i := range typ.NumField() {
			key, _, _ := strings.Cut(typ.Field(i).Tag.Get("json"), ",")
			if _, ok := properties[part].Properties[key]; !ok {
				t.Errorf("the schema does not know %s.%s", part, key)
			}
		}
	}
}

// No text breaks the reader, and none that it takes has a name that is no name.
func FuzzFile(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte("environments: [{name: dev, secrets: {A: {from: B}}}]"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		file, err := environment.ParseFile("f", text)
		if err == nil {
			file.Names()
		}
	})
}
