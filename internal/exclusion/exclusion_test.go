package exclusion

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

// slow matches nothing within any bearable time: each a more doubles the ways to try.
const slow = `(a+)+$`

var slowName = strings.Repeat("a", 30) + "!"

func rule(t *testing.T, id, source string) Rule {
	t.Helper()
	p, err := Compile(source)
	if err != nil {
		t.Fatal(err)
	}
	return Rule{ID: id, Pattern: p, Reason: "because of " + id}
}

func TestDefaults(t *testing.T) {
	want := []struct{ pattern, reason string }{
		{"^GITHUB_TOKEN$", "Platform-managed GitHub token"},
		{"^ACTIONS_.*", "GitHub Actions runtime variables"},
		{"^RUNNER_.*", "GitHub runner environment variables"},
		{"^CI$", "CI flag auto-injected by GitHub"},
		{"^GITHUB_WORKSPACE$", "Workspace path auto-injected"},
		{"^GITHUB_SHA$", "Commit SHA auto-injected"},
		{"^GITHUB_REF$", "Git ref auto-injected"},
	}
	got := Defaults()
	if len(got) != len(want) {
		t.Fatalf("%d default rules, want %d", len(got), len(want))
	}
	for i, rule := range got {
		if rule.Pattern.String() != want[i].pattern || rule.Reason != want[i].reason || !rule.Global || rule.ID != "" {
			t.Errorf("default rule %d = %+v, want a global %v without an ID", i, rule, want[i])
		}
	}
}

func TestDefaultsExclude(t *testing.T) {
	for name, pattern := range map[string]string{
		"GITHUB_TOKEN":      "^GITHUB_TOKEN$",
		"GITHUB_TOKEN_2":    "",
		"MY_GITHUB_TOKEN":   "",
		"ACTIONS_":          "^ACTIONS_.*",
		"ACTIONS_CACHE_URL": "^ACTIONS_.*",
		"MY_ACTIONS_X":      "",
		"RUNNER_TEMP":       "^RUNNER_.*",
		"CI":                "^CI$",
		"CI_KEY":            "",
		"GITHUB_WORKSPACE":  "^GITHUB_WORKSPACE$",
		"GITHUB_SHA":        "^GITHUB_SHA$",
		"GITHUB_REF":        "^GITHUB_REF$",
		"GITHUB_REF_NAME":   "",
		"DATABASE_URL":      "",
		"ci":                "",
		"":                  "",
	} {
		verdict, err := Defaults().Verdict(name)
		if err != nil || verdict.Excluded != (pattern != "") || verdict.Rule.Pattern.String() != pattern {
			t.Errorf("%q: %+v, %v; want it excluded by %q", name, verdict, err, pattern)
		}
	}
}

func TestTheFirstRuleThatMatchesGivesTheReason(t *testing.T) {
	rules := Rules{rule(t, "none", `^X`), rule(t, "first", `KEY`), rule(t, "second", `_KEY$`)}
	verdict, err := rules.Verdict("DEPLOY_KEY")
	if err != nil || !verdict.Excluded || verdict.Rule.Reason != "because of first" {
		t.Errorf("verdict = %+v, %v; want the first rule's", verdict, err)
	}
	if verdict, err := rules.Verdict("TOKEN"); err != nil || verdict != (Verdict{}) {
		t.Errorf("verdict on a name no rule knows = %+v, %v; want the zero Verdict", verdict, err)
	}
	if verdict, err := Rules(nil).Verdict("TOKEN"); err != nil || verdict.Excluded {
		t.Errorf("no rules: %+v, %v; want nothing excluded", verdict, err)
	}
}

func TestARuleWithoutAnAnswerFailsClosed(t *testing.T) {
	rules := Rules{rule(t, "fine", `^X$`), rule(t, "slow", slow), rule(t, "all", `.`)}
	verdict, err := rules.Verdict(slowName)
	if !errors.Is(err, ErrTimeout) || !strings.Contains(err.Error(), slow) || verdict.Excluded {
		t.Errorf("slow rule: %+v, %v; want no verdict and ErrTimeout naming the pattern", verdict, err)
	}
	if verdicts, err := rules.Verdicts(t.Context(), []string{"X", slowName, "Y"}); !errors.Is(err, ErrTimeout) || verdicts != nil {
		t.Errorf("slow rule, many names: %v, %v; want none and ErrTimeout", verdicts, err)
	}
	if _, err := (Rules{{Reason: "no pattern"}}).Verdict("X"); err == nil {
		t.Error("a rule whose pattern was never compiled let a name pass")
	}
}

func TestVerdictsCoverEveryName(t *testing.T) {
	names := []string{"CI", "DATABASE_URL", "CI", "GITHUB_SHA"}
	verdicts, err := Defaults().Verdicts(t.Context(), names)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(len(verdicts), verdicts["CI"].Excluded, verdicts["DATABASE_URL"].Excluded, verdicts["GITHUB_SHA"].Excluded)
	if want := "3 true false true"; got != want {
		t.Errorf("verdicts on %v: %s, want %s", names, got, want)
	}
	if _, asked := verdicts["DATABASE_URL"]; !asked {
		t.Error("a name that is not excluded has no verdict")
	}
}

func TestVerdictsEnd(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	if verdicts, err := Defaults().Verdicts(cancelled, []string{"CI"}); !errors.Is(err, context.Canceled) || verdicts != nil {
		t.Errorf("cancelled: %v, %v; want none and context.Canceled", verdicts, err)
	}
	if verdicts, err := Defaults().within(t.Context(), 0, []string{"CI"}); !errors.Is(err, ErrTimeout) || verdicts != nil {
		t.Errorf("out of time: %v, %v; want none and ErrTimeout", verdicts, err)
	}
	// Many names on a rule that never answers take no longer than one.
	rules := Rules{rule(t, "slow", slow)}
	inTime(t, "four slow names", func() {
		if _, err := rules.Verdicts(t.Context(), []string{slowName, slowName + "a!", slowName + "b!", slowName + "c!"}); !errors.Is(err, ErrTimeout) {
			t.Errorf("four slow names: %v; want ErrTimeout", err)
		}
	})
}

func TestRulesServeSeveralGoroutines(t *testing.T) {
	rules := Defaults()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 50 {
				if verdict, err := rules.Verdict("GITHUB_REF"); err != nil || !verdict.Excluded {
					t.Errorf("GITHUB_REF: %+v, %v; want it excluded", verdict, err)
				}
			}
		})
	}
	all.Wait()
}
