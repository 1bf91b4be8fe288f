package relay_test

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/redact"
	"github.com/octoseal/octoseal/internal/relay"
	"github.com/octoseal/octoseal/internal/secret"
	"golang.org/x/crypto/nacl/box"
)

const syncID = "0b8c5f6e-6d0c-4a3e-9a51-0c3a1b8f1d22"

// A counterpart is what a runner meets: the place that gives ID tokens, and a server that speaks the
// protocol as honestly as the test wants it to. It opens every box with keys of its own.
type counterpart struct {
	t    *testing.T
	url  string
	log  *bytes.Buffer
	pins relay.Pins

	mu       sync.Mutex
	names    []relay.Wanted
	keys     []relay.Key
	hash     *relay.HashKey
	private  map[string]*[32]byte // by scope
	asked    int                  // ID tokens given
	claims   int
	messages []relay.Boxes
	arrived  map[string]relay.Sealed
	finished []relay.FinishRequest
	wire     bytes.Buffer // every request, head and body
	report   relay.Report
	// answer stands in for the honest answer when it says so.
	answer func(w http.ResponseWriter, r *http.Request) bool
}

func newCounterpart(t *testing.T, scopes ...string) *counterpart {
	t.Helper()
	c := &counterpart{
		t: t, log: &bytes.Buffer{}, private: map[string]*[32]byte{}, arrived: map[string]relay.Sealed{},
		report: relay.Report{Done: true, State: "succeeded"},
	}
	for i, scope := range scopes {
		key := c.makeKey(scope, fmt.Sprint(i+1))
		c.keys = append(c.keys, key)
		c.pins = append(c.pins, pinOf(t, key))
	}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.url = server.URL
	return c
}

func (c *counterpart) makeKey(scope, id string) relay.Key {
	public, private, err := box.GenerateKey(rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	c.private[scope] = private
	return relay.Key{Scope: scope, KeyID: id, Key: base64.StdEncoding.EncodeToString(public[:])}
}

func pinOf(t *testing.T, k relay.Key) relay.Pin {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(k.Key)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(raw)
	p, err := relay.ParsePin(k.Scope + "=" + k.KeyID + ":" + hex.EncodeToString(sum[:]))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func (c *counterpart) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return // the runner went away
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	fmt.Fprintf(&c.wire, "%s %s\n", r.Method, r.URL)
	_ = r.Header.Write(&c.wire)
	c.wire.Write(body)
	r.Body = io.NopCloser(bytes.NewReader(body))
	if c.answer != nil && c.answer(w, r) {
		return
	}
	switch r.URL.Path {
	case "/token":
		c.asked++
		if r.Header.Get("Authorization") != "bearer request-token" || r.URL.Query().Get("audience") != c.url || r.URL.Query().Get("api-version") != "2.0" {
			c.t.Errorf("an ID token was asked for by %s with %q", r.URL, r.Header.Get("Authorization"))
		}
		reply(w, 200, map[string]any{"value": fmt.Sprintf("id-token-%d", c.asked), "count": 1})
	case relay.ClaimPath:
		c.claim(w, r, body)
	case relay.BoxesPath:
		c.boxes(w, r, body)
	case relay.FinishPath:
		var f relay.FinishRequest
		c.decode(body, &f)
		c.finished = append(c.finished, f)
		reply(w, 200, c.report)
	default:
		reply(w, 404, map[string]any{})
	}
}

func (c *counterpart) claim(w http.ResponseWriter, r *http.Request, body []byte) {
	var q relay.ClaimRequest
	c.decode(body, &q)
	if q.Version != relay.Version || r.Header.Get("Authorization") != fmt.Sprintf("Bearer id-token-%d", c.asked) {
		c.t.Errorf("claimed as %+v by %s", q, r.Header.Get("Authorization"))
	}
	c.claims++
	clear(c.arrived)
	id := q.SyncID
	if id == "" {
		id = uuid.NewString()
	}
	reply(w, 200, relay.Claim{
		Version: relay.Version, Session: fmt.Sprintf("osr_session_%d", c.claims), ExpiresAt: time.Now().Add(relay.SessionLife),
		SyncID: uuid.MustParse(id), Names: c.names, Keys: c.keys, Hash: c.hash,
	})
}

func (c *counterpart) boxes(w http.ResponseWriter, r *http.Request, body []byte) {
	var b relay.Boxes
	c.decode(body, &b)
	if got, want := r.Header.Get("Authorization"), fmt.Sprintf("Bearer osr_session_%d", c.claims); got != want {
		c.t.Errorf("boxes by %s, want %s", got, want)
	}
	if len(body) > relay.MaxBatchBytes || len(b.Secrets) > relay.MaxBatchSecrets || len(b.Secrets) == 0 {
		c.t.Errorf("a message of %d secrets and %d bytes", len(b.Secrets), len(body))
	}
	c.messages = append(c.messages, b)
	for _, s := range b.Secrets {
		c.arrived[s.Name] = s
	}
	reply(w, 200, relay.Received{Received: len(c.arrived), Wanted: len(c.names)})
}

func (c *counterpart) decode(body []byte, into any) {
	if err := json.Unmarshal(body, into); err != nil {
		c.t.Errorf("%s: %v", body, err)
	}
}

func reply(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

// refuse answers with the envelope.
func refuse(w http.ResponseWriter, code fault.Code, reason string) bool {
	f := fault.New(code, fault.Context{"reason": reason})
	reply(w, f.Kind().Status, map[string]any{"error": map[string]any{"code": f.Code, "message": f.Message, "hint": f.Hint, "context": f.Context}})
	return true
}

// want asks for names in every scope there is a key for.
func (c *counterpart) want(names ...string) {
	for _, n := range names {
		w := relay.Wanted{Name: n}
		for _, k := range c.keys {
			w.Scopes = append(w.Scopes, k.Scope)
		}
		c.names = append(c.names, w)
	}
}

// job is what a job would give its runner, with values by name.
func (c *counterpart) job(values map[string]string) relay.RunnerConfig {
	server, err := url.Parse(c.url)
	if err != nil {
		c.t.Fatal(err)
	}
	return relay.RunnerConfig{
		Server: server, SyncID: syncID, Pins: c.pins, Values: having(values), Patience: 200 * time.Millisecond, Version: "test",
		IDTokenURL: c.url + "/token?api-version=2.0", IDToken: secret.NewPlaintext([]byte("request-token")),
		Redact: redact.New(slog.NewTextHandler(c.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
}

func having(values map[string]string) func([]secret.Name) (map[secret.Name]secret.Plaintext, error) {
	return func(names []secret.Name) (map[secret.Name]secret.Plaintext, error) {
		out := map[secret.Name]secret.Plaintext{}
		for _, n := range names {
			if v, ok := values[n.String()]; ok {
				out[n] = secret.NewPlaintext([]byte(v))
			}
		}
		return out, nil
	}
}

// holds demands that what arrived for a name opens as value in every scope, with the right hash.
func (c *counterpart) holds(name, value string) {
	c.t.Helper()
	s, ok := c.arrived[name]
	if !ok || len(s.Boxes) != len(c.keys) {
		c.t.Errorf("%s arrived as %+v", name, s)
		return
	}
	for i, b := range s.Boxes {
		if b.Scope != c.keys[i].Scope || b.KeyID != c.keys[i].KeyID {
			c.t.Errorf("%s has a box for %s %s", name, b.Scope, b.KeyID)
		}
		if got := c.open(b); got != value {
			c.t.Errorf("%s in %s opens as %.40q", name, b.Scope, got)
		}
	}
	if want := fmt.Sprintf("%x", sha256.Sum256([]byte(value))); c.hash == nil && s.Hash != want {
		c.t.Errorf("%s has hash %s, want %s", name, s.Hash, want)
	}
}

func (c *counterpart) open(b relay.Box) string {
	raw, err := base64.StdEncoding.DecodeString(b.Box)
	if err != nil {
		return err.Error()
	}
	private := c.private[b.Scope]
	for _, k := range c.keys {
		if k.Scope != b.Scope {
			continue
		}
		public, _ := base64.StdEncoding.DecodeString(k.Key)
		if opened, ok := box.OpenAnonymous(nil, raw, (*[32]byte)(public), private); ok {
			return string(opened)
		}
	}
	return "a box that nobody can open"
}

// untouched demands that no box was sent, and that the server was told why with a code.
func (c *counterpart) untouched(code fault.Code) {
	c.t.Helper()
	if len(c.messages) > 0 {
		c.t.Errorf("%d messages of boxes were sent", len(c.messages))
	}
	if len(c.finished) != 1 || c.finished[0].Failure == nil || c.finished[0].Failure.Code != code {
		c.t.Errorf("the server was told %+v, want %s", c.finished, code)
	}
}

func TestValuesArriveSealed(t *testing.T) {
	c := newCounterpart(t, "codespaces", "dependabot", "environment:production")
	c.want("NPM_TOKEN", "PEM", "EMPTY", "GONE", "HUGE", "FULL")
	values := map[string]string{
		"NPM_TOKEN": "npm value", "PEM": "-----BEGIN\nline\n", "EMPTY": "", "HUGE": strings.Repeat("h", secret.MaxValueSize+1),
		"FULL": strings.Repeat("f", secret.MaxValueSize), "NOT_ASKED_FOR": "stays",
	}
	c.report = relay.Report{Done: true, State: "succeeded", Synced: 2, Outcomes: []relay.Outcome{{SecretName: "PEM", Scope: "codespaces", Verb: "create", OK: true}}}
	report, err := relay.Run(t.Context(), c.job(values))
	if err != nil || report.Synced != 2 || len(report.Outcomes) != 1 {
		t.Fatalf("%+v, %v", report, err)
	}
	for _, name := range []string{"NPM_TOKEN", "PEM", "FULL"} {
		c.holds(name, values[name])
	}
	for name, want := range map[string]relay.Sealed{
		"EMPTY": {Name: "EMPTY", Problem: relay.ProblemEmpty}, "GONE": {Name: "GONE", Problem: relay.ProblemAbsent},
		"HUGE": {Name: "HUGE", Problem: relay.ProblemTooLarge, Size: secret.MaxValueSize + 1},
	} {
		if got := c.arrived[name]; fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s arrived as %+v", name, got)
		}
	}
	if len(c.arrived) != 6 || len(c.finished) != 1 || c.finished[0].Failure != nil || c.finished[0].SyncID != syncID {
		t.Errorf("%d arrived, finished with %+v", len(c.arrived), c.finished)
	}
}

// With a project's own hash key the server gets HMACs under it.
func TestHashesUnderTheProjectsKey(t *testing.T) {
	c := newCounterpart(t, "codespaces")
	c.want("A")
	hasher := secret.NewHasher([]byte("the deployment's key"), "project")
	key, id, _ := hasher.Derived()
	c.hash = &relay.HashKey{KeyID: id, Key: base64.StdEncoding.EncodeToString(key.Expose())}
	if _, err := relay.Run(t.Context(), c.job(map[string]string{"A": "value of a"})); err != nil {
		t.Fatal(err)
	}
	c.holds("A", "value of a")
	if want := hasher.Hash(secret.NewPlaintext([]byte("value of a"))).String(); c.arrived["A"].Hash != want {
		t.Errorf("hash is %s, want %s", c.arrived["A"].Hash, want)
	}
}

// A key that the workflow does not pin ends the job: no value is touched, and the run is told.
func TestUnpinnedKeysEndTheJob(t *testing.T) {
	for what, change := range map[string]func(c *counterpart){
		"the server's own key": func(c *counterpart) { c.keys[0] = c.makeKey("codespaces", "1") },
		"another repository's": func(c *counterpart) { c.keys[0] = c.makeKey("codespaces", "77") },
		"another scope's":      func(c *counterpart) { c.keys[0].Key, c.keys[0].KeyID = c.keys[1].Key, c.keys[1].KeyID },
		"a scope nobody pins":  func(c *counterpart) { c.keys = append(c.keys, c.makeKey("agents", "1")) },
		"a scope there is not": func(c *counterpart) { c.keys = append(c.keys, c.makeKey("elsewhere", "1")) },
		"one of low order":     func(c *counterpart) { c.keys[0].Key = base64.StdEncoding.EncodeToString(make([]byte, 32)) },
		"one too short":        func(c *counterpart) { c.keys[0].Key = "AAAA" },
		"no base64":            func(c *counterpart) { c.keys[0].Key = "::error::x" },
		"two for a scope":      func(c *counterpart) { c.keys = append(c.keys, c.keys[0]) },
	} {
		t.Run(what, func(t *testing.T) {
			c := newCounterpart(t, "codespaces", "dependabot")
			c.want("A")
			change(c)
			cfg := c.job(nil)
			cfg.Values = func([]secret.Name) (map[secret.Name]secret.Plaintext, error) {
				t.Error("values were touched")
				return nil, nil
			}
			_, err := relay.Run(t.Context(), cfg)
			if !fault.Is(err, fault.EncryptionFailed) || !strings.Contains(fault.Of(err).Hint, "octoseal init --pin") {
				t.Errorf("%v", err)
			}
			c.untouched(fault.EncryptionFailed)
		})
	}
}

func TestNonsenseEndsTheJob(t *testing.T) {
	for what, change := range map[string]func(c *counterpart){
		"a name no secret has":  func(c *counterpart) { c.want("../../etc/passwd") },
		"the job's own token":   func(c *counterpart) { c.want("github_token") },
		"a name twice":          func(c *counterpart) { c.want("A") },
		"a scope twice":         func(c *counterpart) { c.names[0].Scopes = []string{"codespaces", "codespaces"} },
		"a scope without a key": func(c *counterpart) { c.names[0].Scopes = []string{"dependabot"} },
		"no scope":              func(c *counterpart) { c.names[0].Scopes = nil },
		"a hash key of no size": func(c *counterpart) { c.hash = &relay.HashKey{KeyID: "k", Key: "AAAA"} },
		"a hash key without id": func(c *counterpart) {
			c.hash = &relay.HashKey{Key: base64.StdEncoding.EncodeToString(make([]byte, 32))}
		},
		"another run's id": func(c *counterpart) { c.claimAs(relay.Claim{Version: 1, SyncID: uuid.New()}) },
		"another protocol": func(c *counterpart) { c.claimAs(relay.Claim{Version: 2, SyncID: uuid.MustParse(syncID)}) },
	} {
		t.Run(what, func(t *testing.T) {
			c := newCounterpart(t, "codespaces")
			c.want("A")
			change(c)
			_, err := relay.Run(t.Context(), c.job(map[string]string{"A": "value"}))
			if !fault.Is(err, fault.StoreUnavailable) || !strings.Contains(err.Error(), "cannot be asked: it ") {
				t.Errorf("%v", err)
			}
			c.untouched(fault.RequestInvalid)
		})
	}
}

// claimAs answers each claim with a fixed one.
func (c *counterpart) claimAs(claim relay.Claim) {
	claim.Session = "osr_session_0"
	c.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == relay.ClaimPath {
			reply(w, 200, claim)
		}
		return r.URL.Path == relay.ClaimPath
	}
}

// What is wrong with the job itself is refused before anybody is asked anything.
func TestRefusedBeforeAnythingIsStarted(t *testing.T) {
	for what, change := range map[string]func(cfg *relay.RunnerConfig){
		`"; curl evil`:        func(cfg *relay.RunnerConfig) { cfg.SyncID = `"; curl evil` },
		"$(id)":               func(cfg *relay.RunnerConfig) { cfg.SyncID = "$(id)" },
		"a UUID in braces":    func(cfg *relay.RunnerConfig) { cfg.SyncID = "{" + syncID + "}" },
		"a UUID and more":     func(cfg *relay.RunnerConfig) { cfg.SyncID = syncID + "\n::error::" },
		"a UUID in capitals":  func(cfg *relay.RunnerConfig) { cfg.SyncID = strings.ToUpper(syncID) },
		"a UUID undashed":     func(cfg *relay.RunnerConfig) { cfg.SyncID = strings.ReplaceAll(syncID, "-", "") },
		"plain http":          func(cfg *relay.RunnerConfig) { cfg.Server = &url.URL{Scheme: "http", Host: "octoseal.example"} },
		"another scheme":      func(cfg *relay.RunnerConfig) { cfg.Server = &url.URL{Scheme: "file", Host: "octoseal.example"} },
		"a URL with a user":   func(cfg *relay.RunnerConfig) { cfg.Server = &url.URL{Scheme: "https", Host: "h", User: url.User("u")} },
		"no pins":             func(cfg *relay.RunnerConfig) { cfg.Pins = nil },
		"no permission":       func(cfg *relay.RunnerConfig) { cfg.IDTokenURL = "" },
		"part 3 of 2":         func(cfg *relay.RunnerConfig) { cfg.Part = relay.Part{Number: 3, Of: 2, Folder: "/tmp"} },
		"part 1 of 1":         func(cfg *relay.RunnerConfig) { cfg.Part = relay.Part{Number: 1, Of: 1, Folder: "/tmp"} },
		"a part without room": func(cfg *relay.RunnerConfig) { cfg.Part = relay.Part{Number: 1, Of: 2} },
	} {
		t.Run(what, func(t *testing.T) {
			c := newCounterpart(t, "codespaces")
			cfg := c.job(nil)
			change(&cfg)
			_, err := relay.Run(t.Context(), cfg)
			if f := fault.Of(err); f == nil || f.Code != fault.RequestInvalid && f.Code != fault.IntegrationDenied || f.Hint == "" && cfg.Part == (relay.Part{}) {
				t.Errorf("%v", err)
			}
			if strings.Contains(fmt.Sprint(err), "curl") || c.wire.Len() > 0 {
				t.Errorf("%v, and on the wire: %s", err, c.wire.String())
			}
		})
	}
}

// Whatever happens, no value is on the wire or in the log, in any of the forms it could take.
func TestNoValueLeavesTheJob(t *testing.T) {
	canary := `canary "value" of & length <enough> to be found` + "\nin two lines"
	c := newCounterpart(t, "codespaces", "dependabot")
	c.want("CANARY", "MISSING")
	var echoed string
	c.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path != relay.FinishPath {
			return false
		}
		c.report.Outcomes = []relay.Outcome{{SecretName: "CANARY", Scope: "codespaces", Verb: "update", Error: "GitHub says " + canary, Hint: canary}}
		c.report.Failure = &relay.Failure{Code: fault.SourceUnavailable, Message: canary}
		return false
	}
	report, err := relay.Run(t.Context(), c.job(map[string]string{"CANARY": canary}))
	if err != nil {
		t.Fatal(err)
	}
	echoed = fmt.Sprintf("%+v %+v", report, report.Failure)
	quoted, _ := json.Marshal(canary)
	for _, form := range []string{canary, "canary", "in two lines", strings.Trim(string(quoted), `"`), url.QueryEscape(canary), base64.StdEncoding.EncodeToString([]byte(canary)), hex.EncodeToString([]byte(canary))} {
		for where, text := range map[string]string{"wire": c.wire.String(), "log": c.log.String(), "report": echoed} {
			if form == "canary" && where == "wire" {
				text = strings.ReplaceAll(text, "CANARY", "") // its name is
			}
			if strings.Contains(text, form) {
				t.Errorf("the %s shows %q:\n%s", where, form, text)
			}
		}
	}
	for _, token := range []string{"request-token", "id-token-1", "osr_session_1"} {
		if strings.Contains(c.log.String(), token) {
			t.Errorf("the log shows %s", token)
		}
	}
}

// Every value that was handed out is overwritten by the time the run is waited for.
func TestValuesAreZeroed(t *testing.T) {
	c := newCounterpart(t, "codespaces")
	c.want("A", "B")
	handed := [][]byte{[]byte("value of a"), []byte(strings.Repeat("b", secret.MaxValueSize+1))}
	cfg := c.job(nil)
	cfg.Values = func(names []secret.Name) (map[secret.Name]secret.Plaintext, error) {
		return map[secret.Name]secret.Plaintext{names[0]: secret.NewPlaintext(handed[0]), names[1]: secret.NewPlaintext(handed[1])}, nil
	}
	c.answer = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == relay.BoxesPath && slices.ContainsFunc(handed, func(v []byte) bool { return len(bytes.Trim(v, "\x00")) > 0 }) {
			t.Error("a value is in memory still")
		}
		return false
	}
	if _, err := relay.Run(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
}

// Messages keep to their bounds, whatever the values' sizes.
func TestBatches(t *testing.T) {
	c := newCounterpart(t, "codespaces", "dependabot", "agents")
	values := map[string]string{}
	for i := range 100 {
		name := fmt.Sprintf("SECRET_%03d", i)
		values[name] = strings.Repeat("v", 1+i*secret.MaxValueSize/99)
		if i == 99 {
			values[name] = strings.Repeat("v", secret.MaxValueSize)
		}
		c.want(name)
	}
	if _, err := relay.Run(t.Context(), c.job(values)); err != nil {
		t.Fatal(err)
	}
	for name, value := range values {
		c.holds(name, value)
	}
	if n := len(c.messages); n < 100/relay.MaxBatchSecrets || n > 20 {
		t.Errorf("%d messages", n)
	}
}

// TestSpeed: 100 secrets for two scopes take at most 2 s apart from the network.
func TestSpeed(t *testing.T) {
	c := newCounterpart(t, "codespaces", "dependabot")
	values := map[string]string{}
	for i := range 100 {
		name := fmt.Sprintf("SECRET_%03d", i)
		values[name] = strings.Repeat(fmt.Sprint(i), 100)
		c.want(name)
	}
	began := time.Now()
	if _, err := relay.Run(t.Context(), c.job(values)); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
}
