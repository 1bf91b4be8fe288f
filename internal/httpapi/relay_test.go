package httpapi

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/redact"
	"github.com/octoseal/octoseal/internal/relay"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

// A relayWorld is a world whose jobs are heard. Everything that goes to and from its server is kept.
type relayWorld struct {
	*world
	relay  *relay.Server
	wire   locked
	values map[string]string // what a job sees
	runs   int64
}

func newRelayWorld(t testing.TB, change ...func(*Config)) *relayWorld {
	w := &relayWorld{world: newWorld(t, change...), values: map[string]string{"github_token": "ghs_canary0000000000000000000000000000"}}
	w.http.Close()
	w.http = httptest.NewServer(w.recorded(w.srv))
	t.Cleanup(w.http.Close)
	relayed := w.newService(w.srv.APIHost, true)
	w.srv.Service = relayed
	w.relay = relay.NewServer(relay.Config{
		Store: w.db, Service: relayed, APIHost: w.srv.APIHost, Issuer: w.sim.Issuer(w.api), Audience: w.http.URL,
		WaitLimit: 20 * time.Second, Metrics: w.srv.metrics.Relay(), Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	})
	w.srv.Relay = w.relay
	t.Cleanup(func() { w.relay.Drain(t.Context()) })
	source := "relay"
	var err error
	w.project, err = w.db.PatchProject(t.Context(), time.Now(), w.project.ID, store.ProjectPatch{ValueSource: &source})
	must(t, err)
	return w
}

// recorded keeps what a handler is sent and what it answers.
func (w *relayWorld) recorded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			w.t.Error(err)
		}
		fmt.Fprintf(&w.wire, "%s %s %v %s\n", r.Method, r.URL, r.Header, body)
		r.Body = io.NopCloser(bytes.NewReader(body))
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, r)
		fmt.Fprintf(&w.wire, "%v %s\n", answer.Header(), answer.Body)
		for key, values := range answer.Header() {
			out.Header()[key] = values
		}
		out.WriteHeader(answer.Code)
		_, _ = out.Write(answer.Body.Bytes())
	})
}

// secret puts a value into Actions, where a job sees it.
func (w *relayWorld) secret(name, value string) {
	w.sim.SetSecret(repo, "actions", githubsim.Secret{Name: name, Value: value, UpdatedAt: w.sim.Now().Add(-time.Hour)})
	w.values[name] = value
}

// wait has a run wait for its job.
func (w *relayWorld) wait() store.Run {
	w.t.Helper()
	run, _, err := w.db.StartRun(w.t.Context(), time.Now(), store.Run{Project: w.project.ID, Actor: store.Scheduler, Trigger: store.Manual},
		store.StartOptions{OptionsHash: syncing.Order{}.Hash()})
	must(w.t, err)
	w.runs++
	must(w.t, w.db.NoteDispatch(w.t.Context(), time.Now(), run.ID, 5000+w.runs))
	run, _, err = w.db.Run(w.t.Context(), run.ID)
	must(w.t, err)
	return run
}

func (w *relayWorld) idToken(run store.Run, forgery githubsim.Forgery) string {
	return w.sim.IDToken(githubsim.IDClaims{API: w.api, Repository: repo, Audience: w.http.URL, RunID: run.WorkflowRun, Forgery: forgery})
}

// job runs the real runner for a run, as a job of the repository.
func (w *relayWorld) job(run store.Run) (relay.Report, error) {
	w.t.Helper()
	minter := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(out).Encode(map[string]string{"value": w.idToken(run, "")})
	}))
	defer minter.Close()
	server, err := url.Parse(w.http.URL)
	must(w.t, err)
	return relay.Run(w.t.Context(), relay.RunnerConfig{
		Server: server, SyncID: run.ID.String(), Pins: w.pins(), IDTokenURL: minter.URL + "/?v=1", IDToken: secret.NewPlaintext([]byte("request-token")),
		Redact: redact.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Values: func(names []secret.Name) (map[secret.Name]secret.Plaintext, error) {
			found := map[secret.Name]secret.Plaintext{}
			for _, name := range names {
				if value, ok := w.values[name.String()]; ok {
					found[name] = secret.NewPlaintext([]byte(value))
				}
			}
			return found, nil
		},
	})
}

func (w *relayWorld) pins() relay.Pins {
	found, err := w.service.Repository(w.t.Context(), github.Ref{Owner: "acme", Name: "widgets"})
	must(w.t, err)
	var pins relay.Pins
	for _, scope := range []secret.Scope{secret.Codespaces, secret.Dependabot} {
		key, err := w.hub.PublicKey(w.t.Context(), found, scope)
		must(w.t, err)
		pins = append(pins, relay.PinOf(key))
	}
	return pins
}

// The whole way over HTTP, from 60 secrets that stand in Actions: each but the odd ones arrives, the
// simulator opens every box, and nothing that went to or from the server holds a value.
func TestARelayOverHTTP(t *testing.T) {
	w := newRelayWorld(t)
	const odd = 5
	for i := range 60 - odd {
		w.secret(fmt.Sprintf("SECRET_%02d", i), fmt.Sprintf("value-%02d-canary", i))
	}
	w.secret("BIG", strings.Repeat("big-canary", 48*1024/10))
	w.secret("EMPTY", "")
	w.secret("RUNNER_X", "excluded-canary")
	w.secret(strings.Repeat("L", 120), "odd-canary")
	w.secret("SHADOWED", "mine-canary")
	w.sim.SetOrganizationSecret("acme", githubsim.Secret{Name: "SHADOWED", Value: "organisation-canary"}, repo)
	run := w.wait()
	report, err := w.job(run)
	must(t, err)
	if !report.Done || report.State != "partial" || report.Synced != 57 {
		t.Errorf("%s: %d synced, %+v", report.State, report.Synced, report.Failure)
	}
	var told RunResponse
	w.send(w.token("root", platform), "GET", runsPath+run.ID.String(), nil).into(http.StatusOK, &told)
	var notices []string
	for _, n := range told.Notices {
		notices = append(notices, string(n.Code))
	}
	for _, e := range told.Errors {
		if e.SecretName != "EMPTY" || e.Code != fault.RequestInvalid || e.Hint == "" {
			t.Errorf("%+v", e)
		}
	}
	if len(told.Errors) != 2 || !slices.Contains(notices, string(fault.NameInvalid)) || !slices.Contains(notices, string(fault.Excluded)) {
		t.Errorf("errors %+v, notices %v", told.Errors, notices)
	}
	for name, value := range w.values {
		for _, scope := range []string{"codespaces", "dependabot"} {
			got, there := w.sim.Value(repo, scope, name)
			wanted := name != "EMPTY" && name != "RUNNER_X" && name != "github_token" && len(name) < 100
			if there != wanted || wanted && got != value {
				t.Errorf("%s of %s: there %v, %d bytes", name, scope, there, len(got))
			}
		}
	}
	w.silent()
	if again, err := w.job(w.wait()); err != nil || again.Synced != 0 {
		t.Errorf("%+v, %v", again, err)
	}
}

// silent holds that no value can be found in the traffic or the logs.
func (w *relayWorld) silent() {
	w.t.Helper()
	for where, text := range map[string]string{"the wire": w.wire.String(), "the log": w.log.String()} {
		for _, found := range []string{"canary", "Y2FuYXJ5", "request-token"} {
			if i := strings.Index(text, found); i >= 0 {
				w.t.Errorf("%s has %q: %s", where, found, text[max(0, i-60):min(len(text), i+60)])
			}
		}
	}
	for _, token := range strings.Fields(w.log.String()) {
		if strings.Contains(token, "osr_") {
			w.t.Errorf("the log has a session token")
		}
	}
}

// Whatever a job's message lacks, the answer is the envelope with its own code.
func TestJobsAreRefusedInTheEnvelope(t *testing.T) {
	w := newRelayWorld(t)
	w.secret("API_KEY", "canary")
	run := w.wait()
	ask := relay.ClaimRequest{Version: relay.Version, SyncID: run.ID.String()}
	var c relay.Claim
	w.send(w.idToken(run, ""), "POST", relay.ClaimPath, ask).into(http.StatusOK, &c)
	if len(c.Names) != 1 || len(c.Keys) != 2 {
		t.Fatalf("%+v", c)
	}
	boxes := relay.Boxes{Version: relay.Version, SyncID: c.SyncID.String(), Secrets: []relay.Sealed{{Name: "OTHER", Problem: relay.ProblemEmpty}}}
	for name, r := range map[string]struct {
		token, path string
		body        any
		status      int
		code        fault.Code
		reason      relay.Denial
	}{
		"no token":           {"", relay.ClaimPath, ask, 401, fault.TokenMissing, ""},
		"no JSON":            {"x", relay.ClaimPath, "{", 400, fault.RequestInvalid, ""},
		"no body":            {"x", relay.ClaimPath, nil, 400, fault.RequestInvalid, ""},
		"shell":              {"x", relay.ClaimPath, relay.ClaimRequest{Version: 1, SyncID: `"; curl evil`}, 400, fault.RequestInvalid, ""},
		"version":            {"x", relay.ClaimPath, relay.ClaimRequest{Version: 2}, 400, fault.RequestInvalid, ""},
		"unsigned":           {w.idToken(run, githubsim.Unsigned), relay.ClaimPath, ask, 403, fault.RelayClaimDenied, relay.DeniedToken},
		"public key as HMAC": {w.idToken(run, githubsim.PublicKeyMAC), relay.ClaimPath, ask, 403, fault.RelayClaimDenied, relay.DeniedToken},
		"other key":          {w.idToken(run, githubsim.OtherKey), relay.ClaimPath, ask, 403, fault.RelayClaimDenied, relay.DeniedToken},
		"unknown key":        {w.idToken(run, githubsim.UnknownKey), relay.ClaimPath, ask, 403, fault.RelayClaimDenied, relay.DeniedToken},
		"other issuer":       {w.idToken(run, githubsim.OtherIssuer), relay.ClaimPath, ask, 403, fault.RelayClaimDenied, relay.DeniedToken},
		"changed":            {w.idToken(run, githubsim.WrongBytes), relay.ClaimPath, ask, 403, fault.RelayClaimDenied, relay.DeniedToken},
		"a user's token":     {w.token("root", platform), relay.ClaimPath, ask, 403, fault.RelayClaimDenied, relay.DeniedToken},
		"other run":          {w.idToken(store.Run{WorkflowRun: 1}, ""), relay.ClaimPath, ask, 403, fault.RelayClaimDenied, relay.DeniedRun},
		"no session":         {"osr_nobody", relay.BoxesPath, boxes, 403, fault.RelayClaimDenied, relay.DeniedSession},
		"not asked for":      {c.Session, relay.BoxesPath, boxes, 400, fault.RelayBatchInvalid, ""},
		"null":               {c.Session, relay.BoxesPath, `{"version":1,"syncId":"` + c.SyncID.String() + `","secrets":null}`, 400, fault.RelayBatchInvalid, ""},
		"oversize":           {c.Session, relay.BoxesPath, strings.Repeat("x", relay.MaxBatchBytes+1), 413, fault.RequestTooLarge, ""},
		"unknown code":       {c.Session, relay.FinishPath, relay.FinishRequest{Version: 1, SyncID: c.SyncID.String(), Failure: &relay.Failure{Code: "X", Message: "m"}}, 400, fault.RequestInvalid, ""},
		"wrong method":       {"", relay.ClaimPath + "x", nil, 404, fault.RouteNotFound, ""},
	} {
		got := w.send(r.token, "POST", r.path, r.body)
		got.t = t
		p := got.refused(r.status, string(r.code))
		if r.reason != "" && p.Context["reason"] != string(r.reason) || p.Hint == "" && r.status == 403 {
			t.Errorf("%s: %+v", name, p)
		}
	}
	w.srv.Relay = relay.NewServer(relay.Config{Store: w.db, Service: w.srv.Service, APIHost: w.srv.APIHost, Issuer: w.sim.Issuer(w.api), Audience: w.http.URL})
	w.send(c.Session, "POST", relay.BoxesPath, boxes).refused(http.StatusMisdirectedRequest, "RELAY_SESSION_ELSEWHERE")
	w.srv.Relay.Drain(t.Context())
	w.srv.Relay = w.relay
	text := string(w.send("", "GET", "/metrics", nil).body)
	for _, line := range []string{`octoseal_relay_claims_total{outcome="accepted"} 1`, `octoseal_relay_claims_total{outcome="token_invalid"} 7`} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no %s", line)
		}
	}
}

// An address has a budget, and tells a job when to come back.
func TestJobsHaveBudgets(t *testing.T) {
	w := newRelayWorld(t, func(c *Config) { c.AddressRate = Rate{PerMinute: 6, Burst: 6} })
	w.send("x", "POST", relay.ClaimPath, relay.ClaimRequest{Version: 1}).refused(http.StatusForbidden, "RELAY_CLAIM_DENIED")
	r := w.send("x", "POST", relay.ClaimPath, relay.ClaimRequest{Version: 1})
	if r.refused(http.StatusTooManyRequests, "RATE_LIMIT_USER"); r.header.Get("Retry-After") == "" {
		t.Errorf("%v", r.header)
	}
	w.send(w.token("root", platform), "GET", "/projects", nil).into(http.StatusOK, nil)
	one, same, other := addressID("[2001:db8::1]:1"), addressID("[2001:db8::2%eth0]:2"), addressID("[2001:db8:0:1::1]:1")
	if one != same || one == other || addressID("192.0.2.1:1") == addressID("192.0.2.2:1") || addressID("odd") == uuid.Nil {
		t.Error("addresses are told apart wrongly")
	}
}

// Whoever watches a run that waits hears what is missing, and can go on watching.
func TestAWaitingRunComplains(t *testing.T) {
	w := newRelayWorld(t)
	run, token := w.wait(), w.token("root", platform)
	var told RunResponse
	w.send(token, "GET", runsPath+run.ID.String(), nil).into(http.StatusOK, &told)
	if told.State != store.Waiting || told.Failure != nil {
		t.Errorf("%+v", told)
	}
	until := time.Now().Add(time.Hour).UTC().Format(time.RFC3339)
	must(t, w.db.NoteWaiting(t.Context(), time.Now(), run.ID, fault.New(fault.SourceUnavailable, fault.Context{"reason": "no job has come", "claimableUntil": until}).Hinting("Look.")))
	w.send(token, "GET", runsPath+run.ID.String(), nil).into(http.StatusOK, &told)
	if told.State != store.Waiting || told.FinishedAt != nil || told.Failure == nil || told.Failure.Code != fault.SourceUnavailable ||
		told.Failure.Hint != "Look." || told.Failure.Context["claimableUntil"] != until {
		t.Errorf("%+v %+v", told, told.Failure)
	}
	began := time.Now()
	r := w.send(token, "POST", syncPath, asked("projectId", w.project.ID), func(r *http.Request) { r.Header.Set("Prefer", "respond-async") })
	r.into(http.StatusAccepted, &told)
	must(t, w.db.NoteDispatch(t.Context(), time.Now(), told.CorrelationID, 0))
	must(t, w.db.NoteWaiting(t.Context(), time.Now(), told.CorrelationID, fault.New(fault.SourceUnavailable, fault.Context{"reason": "cancelled"})))
	got, err := w.srv.await(t.Context(), told.CorrelationID)
	if err != nil || !complains(got) || statusOf(got) != http.StatusAccepted || time.Since(began) > 10*time.Second {
		t.Errorf("%+v, %v", got, err)
	}
	if _, err := w.job(run); err != nil { // it is late, and welcome
		t.Error(err)
	}
	told = RunResponse{}
	w.send(token, "GET", runsPath+run.ID.String(), nil).into(http.StatusOK, &told)
	if told.State != store.Succeeded || told.Failure != nil {
		t.Errorf("%+v", told)
	}
}

// A finish that waits when the process is to end is answered, and the run goes on.
func TestAFinishIsDrained(t *testing.T) {
	w := newRelayWorld(t)
	w.secret("API_KEY", "canary")
	run := w.wait()
	var c relay.Claim
	w.send(w.idToken(run, ""), "POST", relay.ClaimPath, relay.ClaimRequest{Version: 1, SyncID: run.ID.String()}).into(http.StatusOK, &c)
	w.sim.SetFaults(githubsim.Faults{Latency: 700 * time.Millisecond})
	address, end := w.served(Serving{})
	answered := make(chan relay.Report, 1)
	go func() {
		body, _ := json.Marshal(relay.FinishRequest{Version: 1, SyncID: run.ID.String()})
		req, _ := http.NewRequest("POST", "http://"+address+relay.FinishPath, bytes.NewReader(body))
		req.Header.Set("Authorization", "Bearer "+c.Session)
		res, err := w.client.Do(req)
		if err != nil {
			t.Error(err)
			close(answered)
			return
		}
		defer res.Body.Close()
		var r relay.Report
		if err := json.NewDecoder(res.Body).Decode(&r); err != nil {
			t.Error(err)
		}
		answered <- r
	}()
	time.Sleep(200 * time.Millisecond)
	must(t, end())
	if r := <-answered; r.Done {
		t.Errorf("%+v", r)
	}
	w.sim.SetFaults(githubsim.Faults{})
	w.relay.Drain(t.Context())
	run, _, err := w.db.Run(t.Context(), run.ID)
	if must(t, err); !isOver(run.State) {
		t.Errorf("%+v", run)
	}
}
