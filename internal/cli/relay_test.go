package cli_test

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/relay"
	"golang.org/x/crypto/nacl/box"
)

// A clerk is a server that speaks the relay's protocol, and the place that gives ID tokens, for the
// one job of a bench.
type clerk struct {
	*bench
	public, private *[32]byte
	key             relay.Key // the one that it offers
	url             string
	wanted          []string
	report          relay.Report

	mu       sync.Mutex // also hands what a test set to whoever serves its job, and back
	jobs     int        // at work
	wire     strings.Builder
	boxes    map[string]string // by name
	values   map[string]string // as its private key opens them
	problems map[string]relay.Problem
	failures []relay.Failure
}

// newClerk makes a bench whose environment is that of a job.
func newClerk(t *testing.T, wanted ...string) *clerk {
	t.Helper()
	public, private, err := box.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &clerk{
		public: public, private: private, wanted: wanted, boxes: map[string]string{}, values: map[string]string{}, problems: map[string]relay.Problem{},
		report: relay.Report{Done: true, State: "succeeded", Synced: len(wanted)},
		bench:  &bench{TB: t, folder: t.TempDir()},
		key:    relay.Key{Scope: "codespaces", KeyID: "1", Key: base64.StdEncoding.EncodeToString(public[:])},
	}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.url = server.URL
	c.environ = append(settled(os.Environ()),
		"HOME="+c.folder, "RUNNER_TEMP="+c.folder, "GITHUB_ACTIONS=true", "GITHUB_STEP_SUMMARY="+filepath.Join(c.folder, "summary.md"),
		"ACTIONS_ID_TOKEN_REQUEST_URL="+server.URL+"/token?v=1", "ACTIONS_ID_TOKEN_REQUEST_TOKEN=canary-of-the-job",
		"OCTOSEAL_SERVER="+server.URL, fmt.Sprintf("OCTOSEAL_PIN=codespaces=1:%x", sha256.Sum256(public[:])), "OCTOSEAL_LOG_LEVEL=debug",
	)
	return c
}

// octoseal is what the job runs.
func (c *clerk) octoseal(args ...string) (code int, out, talk string) {
	c.Helper()
	c.count(1)
	defer c.count(-1)
	return c.bench.octoseal(args...)
}

func (c *clerk) count(jobs int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.jobs += jobs
}

func (c *clerk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(&c.wire, "%s %s\n%s\n", r.Method, r.URL, body)
	var answer any
	switch r.URL.Path {
	case "/token":
		answer = map[string]string{"value": "id-token"}
	case relay.ClaimPath:
		var asked relay.ClaimRequest
		_ = json.Unmarshal(body, &asked)
		claim := relay.Claim{Version: 1, Session: "osr_session", ExpiresAt: time.Now().Add(time.Minute), SyncID: uuid.New()}
		if asked.SyncID != "" {
			claim.SyncID = uuid.MustParse(asked.SyncID)
		}
		claim.Keys = []relay.Key{c.key}
		for _, n := range c.wanted {
			claim.Names = append(claim.Names, relay.Wanted{Name: n, Scopes: []string{"codespaces"}})
		}
		answer = claim
	case relay.BoxesPath:
		answer = c.take(body)
	case relay.FinishPath:
		var f relay.FinishRequest
		_ = json.Unmarshal(body, &f)
		if f.Failure != nil {
			c.failures = append(c.failures, *f.Failure)
		}
		answer = c.report
	}
	_ = json.NewEncoder(w).Encode(answer)
}

func (c *clerk) take(body []byte) relay.Received {
	var b relay.Boxes
	if err := json.Unmarshal(body, &b); err != nil {
		c.Error(err)
	}
	for _, s := range b.Secrets {
		c.problems[s.Name] = s.Problem
		for _, sealed := range s.Boxes {
			c.boxes[s.Name] = sealed.Box
			raw, _ := base64.StdEncoding.DecodeString(sealed.Box)
			opened, _ := box.OpenAnonymous(nil, raw, c.public, c.private)
			c.values[s.Name] = string(opened)
		}
	}
	return relay.Received{Received: len(c.problems), Wanted: len(c.wanted)}
}

// summary is what the page of the job shows.
func (c *clerk) summary() string {
	text, _ := os.ReadFile(filepath.Join(c.folder, "summary.md"))
	return string(text)
}

// with adds variables.
func (c *clerk) with(pairs ...string) *clerk {
	c.environ = append(c.environ, pairs...)
	return c
}

func toJSON(values map[string]string) string {
	text, _ := json.MarshalIndent(values, "", "  ")
	return string(text)
}

func TestRelayCarriesWhatIsAskedFor(t *testing.T) {
	c := newClerk(t, "CANARY_0", "CANARY_1", "CANARY_2", "EMPTY", "GONE")
	c.with("OCTOSEAL_SECRETS=" + toJSON(map[string]string{
		"CANARY_0": canaries[0], "CANARY_1": canaries[1], "CANARY_2": canaries[2], "NOT_ASKED_FOR": canaries[3], "EMPTY": "", "github_token": "ghs_of_the_job",
	}))
	c.report.Outcomes = []relay.Outcome{
		{SecretName: "CANARY_0", Scope: "codespaces", Verb: "create", OK: true},
		{SecretName: "EMPTY", Scope: "codespaces", Verb: "create", Code: "REQUEST_INVALID", Error: "the value is empty\n::error::" + canaries[1]},
	}
	code, out, talk := c.octoseal("relay")
	if code != 3 {
		t.Errorf("exit code %d\n%s", code, talk)
	}
	for i := range 3 {
		if name := fmt.Sprintf("CANARY_%d", i); c.values[name] != canaries[i] {
			t.Errorf("%s arrived as %q", name, c.values[name])
		}
	}
	if c.problems["EMPTY"] != relay.ProblemEmpty || c.problems["GONE"] != relay.ProblemAbsent || len(c.problems) != 5 {
		t.Errorf("problems: %v", c.problems)
	}
	for where, text := range map[string]string{"stdout": out, "stderr": talk, "summary": c.summary(), "wire": c.wire.String()} {
		c.search(where, text, "canary-of-the-job", "ghs_of_the_job")
	}
	if !strings.Contains(c.summary(), "| EMPTY | codespaces | not created: the value is empty") || !strings.Contains(c.summary(), "synced 5, skipped 0, conflicts 0, errors 1") {
		t.Errorf("summary:\n%s", c.summary())
	}
	if n := strings.Count(talk, "\n::error title=Octoseal::EMPTY in codespaces: not created: "); n != 1 || strings.Count(out+talk, "::error") != 1 {
		t.Errorf("%d annotations in\n%s", n, talk)
	}
	if !strings.HasSuffix(out, "synced 5, skipped 0, conflicts 0, errors 1\n") {
		t.Errorf("stdout:\n%s", out)
	}
}

func TestRelayReadsOneVariableForEach(t *testing.T) {
	for what, values := range map[string]string{"prefix": "env:OCTOSEAL_SECRET_*", "list": "env:ONE, TWO\n,GONE"} {
		c := newClerk(t, "ONE", "TWO", "GONE")
		c.with("OCTOSEAL_SECRET_ONE=first", "OCTOSEAL_SECRET_TWO=", "ONE=first", "TWO=", "OCTOSEAL_VALUES="+values)
		if code, _, talk := c.octoseal("relay"); code != 0 {
			t.Errorf("%s: exit code %d\n%s", what, code, talk)
		}
		if c.values["ONE"] != "first" || c.problems["TWO"] != relay.ProblemEmpty || c.problems["GONE"] != relay.ProblemAbsent {
			t.Errorf("%s: %v, %v", what, c.values, c.problems)
		}
	}
}

// A key that is not pinned ends the job with the word to run, and the server hears of it.
func TestRelayEndsAtAnUnpinnedKey(t *testing.T) {
	c := newClerk(t, "CANARY_0").with("OCTOSEAL_SECRETS=" + toJSON(map[string]string{"CANARY_0": canaries[0]}))
	c.with("OCTOSEAL_PIN=codespaces=1:" + strings.Repeat("0", 64) + "\ndependabot=1:" + strings.Repeat("0", 64))
	code, out, talk := c.octoseal("relay")
	if code != 1 || out != "" || !strings.Contains(talk, "octoseal init --pin") || !strings.Contains(talk, "::error title=Octoseal::") {
		t.Errorf("exit code %d\n%s%s", code, out, talk)
	}
	if len(c.values) > 0 || len(c.failures) != 1 || c.failures[0].Code != "GITHUB_SECRETS_ENCRYPTION_FAILED" {
		t.Errorf("%v, %+v", c.values, c.failures)
	}
	if !strings.Contains(c.summary(), "GITHUB_SECRETS_ENCRYPTION_FAILED") || !strings.Contains(c.summary(), "init --pin") {
		t.Errorf("summary:\n%s", c.summary())
	}
}

// Bad input ends it before anybody is asked anything, and says nothing of a value.
func TestRelayRefusesBadInput(t *testing.T) {
	for variable, says := range map[string]string{
		`OCTOSEAL_SYNC_ID="; curl evil`:               "the sync id is no UUID",
		"OCTOSEAL_SYNC_ID=$(curl evil)":               "the sync id is no UUID",
		"OCTOSEAL_PIN=codespaces=1":                   "no pin",
		"OCTOSEAL_VALUES=file:/etc/passwd":            "names no place for values",
		"OCTOSEAL_VALUES=exec:env":                    "names no place for values",
		"OCTOSEAL_VALUES=env:lower":                   "lower-case",
		"OCTOSEAL_PART=2":                             "it has to be K/N",
		"OCTOSEAL_PART=3/2":                           "part 3 of 2",
		"OCTOSEAL_SERVER=http://octoseal.example":     "not https",
		"OCTOSEAL_SERVER=https://user@example":        "no URL of a server",
		"ACTIONS_ID_TOKEN_REQUEST_URL=":               "may not ask for an ID token",
		"ACTIONS_ID_TOKEN_REQUEST_URL=http://evil.ex": "not https",
	} {
		c := newClerk(t, "CANARY_0").with("OCTOSEAL_SECRETS="+toJSON(map[string]string{"CANARY_0": canaries[0]}), variable)
		code, out, talk := c.octoseal("relay")
		if code != 2 && !strings.HasPrefix(variable, "ACTIONS_") || code == 0 || out != "" || !strings.Contains(talk, says) {
			t.Errorf("%s: exit code %d\n%s%s", variable, code, out, talk)
		}
		if c.wire.Len() > 0 || strings.Contains(talk, "curl") {
			t.Errorf("%s: %s\n%s", variable, c.wire.String(), talk)
		}
		c.search(variable, talk)
	}
}

// When there are no values, the run hears why.
func TestRelayWithoutValues(t *testing.T) {
	for variable, reason := range map[string]string{
		"OCTOSEAL_SECRETS_MISSPELLED={}":           "there is no variable OCTOSEAL_SECRETS",
		"OCTOSEAL_SECRETS=not JSON " + canaries[3]: "OCTOSEAL_SECRETS",
		"OCTOSEAL_VALUES=env:NOWHERE_*":            "no variable begins with NOWHERE_",
		"OCTOSEAL_VALUES=env:NOWHERE":              "none of the variables",
	} {
		c := newClerk(t, "A").with(variable)
		code, _, talk := c.octoseal("relay")
		if code == 0 || len(c.failures) != 1 || !strings.Contains(c.failures[0].Message, reason) {
			t.Errorf("%s: exit code %d, told %+v\n%s", variable, code, c.failures, talk)
		}
		c.search(variable, talk+c.wire.String()+c.summary())
	}
}

// Before Linux refuses to start the step, the job warns.
func TestRelayWarnsOfSize(t *testing.T) {
	for size, warns := range map[int]bool{90 << 10: false, 100 << 10: true} {
		c := newClerk(t).with("OCTOSEAL_SECRETS=" + toJSON(map[string]string{"A": strings.Repeat("a", size/2), "B": strings.Repeat("b", size/2)}))
		code, _, talk := c.octoseal("relay")
		if code != 0 || strings.Contains(talk, "::warning title=Octoseal::OCTOSEAL_SECRETS has ") != warns {
			t.Errorf("%d bytes: exit code %d\n%s", size, code, talk)
		}
	}
	c := newClerk(t).with("OCTOSEAL_VALUES=env:OCTOSEAL_SECRET_*")
	for i := range 40 {
		c.with(fmt.Sprintf("OCTOSEAL_SECRET_%d=%s", i, strings.Repeat("v", 40<<10)))
	}
	if code, _, talk := c.octoseal("relay"); code != 0 || !strings.Contains(talk, "octoseal init --split") {
		t.Errorf("exit code %d\n%s", code, talk)
	}
}

func TestRelayInParts(t *testing.T) {
	c := newClerk(t, "ONE", "TWO").with("OCTOSEAL_VALUES=env:OCTOSEAL_SECRET_*", "OCTOSEAL_SYNC_ID="+uuid.NewString())
	before := c.environ
	for i, name := range []string{"ONE", "TWO"} {
		c.environ = append(before[:len(before):len(before)], "OCTOSEAL_SECRET_"+name+"="+canaries[i], fmt.Sprintf("OCTOSEAL_PART=%d/2", i+1))
		if len(c.values) > 0 {
			t.Error("boxes were sent before the last part")
		}
		code, out, talk := c.octoseal("relay")
		if code != 0 || i == 0 && (out != "" || c.summary() != "") {
			t.Errorf("part %d: exit code %d\n%s%s", i+1, code, out, talk)
		}
	}
	if c.values["ONE"] != canaries[0] || c.values["TWO"] != canaries[1] {
		t.Errorf("arrived: %v", c.values)
	}
	kept, err := os.ReadFile(filepath.Join(c.folder, "octoseal-relay", "part-1-of-2.json"))
	if err != nil {
		t.Error(err)
	}
	c.search("what lies between the steps", string(kept))
}

// A failed run fails the job, in its own words.
func TestRelayOfAFailedRun(t *testing.T) {
	c := newClerk(t).with("OCTOSEAL_SECRETS={}")
	c.report.State, c.report.Failure = "failed", &relay.Failure{Code: "GITHUB_INTEGRATION_DENIED", Message: "GitHub refused: secrets:write is missing.", Hint: "Grant it."}
	code, out, talk := c.octoseal("relay", "--json")
	if code != 1 || out != "" || !strings.Contains(talk, "secrets:write is missing") {
		t.Errorf("exit code %d\n%s%s", code, out, talk)
	}
	c.report.Failure = nil
	c.report.State = "succeeded"
	code, out, _ = c.octoseal("relay", "--json")
	var r relay.Report
	if err := json.Unmarshal([]byte(out), &r); code != 0 || err != nil || r.State != "succeeded" {
		t.Errorf("exit code %d, %v\n%s", code, err, out)
	}
}

// Behind a proxy, and with an authority that only SSL_CERT_FILE names: every request goes through the
// proxy, which sees nothing but where to.
func TestRelayThroughAProxy(t *testing.T) {
	c := newClerk(t, "CANARY_0").with("OCTOSEAL_SECRETS=" + toJSON(map[string]string{"CANARY_0": canaries[0]}))
	server := httptest.NewTLSServer(c) // its certificate is for example.com
	defer server.Close()
	var seen atomic.Int32
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect || r.Host != "example.com:443" {
			t.Errorf("the proxy was asked for %s %s", r.Method, r.Host)
			return
		}
		seen.Add(1)
		tunnel(w, server.Listener.Addr().String())
	}))
	defer proxy.Close()
	authority := filepath.Join(c.folder, "authority.pem")
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(authority, text, 0o600); err != nil {
		t.Fatal(err)
	}
	c.with("OCTOSEAL_SERVER=https://example.com", "ACTIONS_ID_TOKEN_REQUEST_URL=https://example.com/token?v=1",
		"HTTPS_PROXY="+proxy.URL, "NO_PROXY=", "no_proxy=")
	if code, _, talk := c.octoseal("relay"); code != 1 || !strings.Contains(talk, "SSL_CERT_FILE") {
		t.Errorf("with an unknown authority: exit code %d\n%s", code, talk)
	}
	c.with("SSL_CERT_FILE=" + authority)
	if code, _, talk := c.octoseal("relay"); code != 0 || c.values["CANARY_0"] != canaries[0] || seen.Load() < 2 {
		t.Errorf("exit code %d, %d through the proxy\n%s", code, seen.Load(), talk)
	}
}

// tunnel joins a client that asked a proxy to connect with where it wants to go.
func tunnel(w http.ResponseWriter, to string) {
	out, err := net.Dial("tcp", to)
	if err != nil {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	defer out.Close()
	w.WriteHeader(http.StatusOK)
	in, _, err := w.(http.Hijacker).Hijack()
	if err != nil {
		return
	}
	defer in.Close()
	go func() { _, _ = io.Copy(out, in); out.Close() }()
	_, _ = io.Copy(in, out)
}
