package httpapi

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/store/storetest"
)

// Whatever is sent, the answer is the right 4xx in the envelope.
func TestBadInputIsTheCallersFault(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.WaitLimit = 20 * time.Millisecond })
	token := w.token("root", platform)
	id := w.project.ID.String()
	deep := strings.Repeat(`{"a":`, 200_000) + "1" + strings.Repeat("}", 200_000)
	body := func(rest string) string { return `{"projectId":"` + id + `",` + rest + `}` }
	for name, c := range map[string]struct {
		method, path string
		body         any
		status       int
		code         string
	}{
		"malformed JSON":         {"POST", syncPath, `{"projectId":`, 400, "REQUEST_INVALID"},
		"no JSON at all":         {"POST", syncPath, "projectId=1", 400, "REQUEST_INVALID"},
		"no body":                {"POST", syncPath, nil, 400, "REQUEST_INVALID"},
		"null":                   {"POST", syncPath, "null", 400, "REQUEST_INVALID"},
		"a list":                 {"POST", syncPath, "[]", 400, "REQUEST_INVALID"},
		"nothing in it":          {"POST", syncPath, "{}", 400, "REQUEST_INVALID"},
		"two documents":          {"POST", syncPath, body(`"force":true`) + "{}", 400, "REQUEST_INVALID"},
		"invalid UUID":           {"POST", syncPath, `{"projectId":"1"}`, 400, "REQUEST_INVALID"},
		"wrong type of id":       {"POST", syncPath, `{"projectId":7}`, 400, "REQUEST_INVALID"},
		"unknown project":        {"POST", syncPath, `{"projectId":"` + uuid.NewString() + `"}`, 404, "PROJECT_NOT_FOUND"},
		"nil project":            {"POST", syncPath, `{"projectId":"` + uuid.Nil.String() + `"}`, 404, "PROJECT_NOT_FOUND"},
		"wrong type of flag":     {"POST", syncPath, body(`"force":"yes"`), 400, "REQUEST_INVALID"},
		"names no list":          {"POST", syncPath, body(`"secretNames":"A"`), 400, "REQUEST_INVALID"},
		"lower-case name":        {"POST", syncPath, body(`"secretNames":["a"]`), 400, "GITHUB_SECRETS_NAME_INVALID"},
		"reserved name":          {"POST", syncPath, body(`"secretNames":["GITHUB_X"]`), 400, "GITHUB_SECRETS_NAME_INVALID"},
		"SQL in a name":          {"POST", syncPath, body(`"secretNames":["A'; DROP TABLE users; --"]`), 400, "GITHUB_SECRETS_NAME_INVALID"},
		"NUL in a name":          {"POST", syncPath, body(`"secretNames":["A\u0000"]`), 400, "GITHUB_SECRETS_NAME_INVALID"},
		"unknown scope":          {"POST", syncPath, body(`"targetScopes":["moon"]`), 400, "REQUEST_INVALID"},
		"environment scope":      {"POST", syncPath, body(`"targetScopes":["environment:dev"]`), 400, "REQUEST_INVALID"},
		"unknown adopt":          {"POST", syncPath, body(`"adopt":"steal"`), 400, "REQUEST_INVALID"},
		"negative deletes":       {"POST", syncPath, body(`"allowDeletes":-1`), 400, "REQUEST_INVALID"},
		"half a delete":          {"POST", syncPath, body(`"allowDeletes":1.5`), 400, "REQUEST_INVALID"},
		"endless deletes":        {"POST", syncPath, body(`"allowDeletes":1e300`), 400, "REQUEST_INVALID"},
		"deep JSON":              {"POST", validatePath, deep[:1<<20-10], 400, "REQUEST_INVALID"},
		"a body over the limit":  {"POST", syncPath, strings.Repeat("x", 1<<20+1), 413, "REQUEST_TOO_LARGE"},
		"10 MB":                  {"POST", syncPath, bytes.Repeat([]byte(" "), 10<<20), 413, "REQUEST_TOO_LARGE"},
		"no query":               {"GET", syncPath + "/status", nil, 400, "REQUEST_INVALID"},
		"invalid UUID in query":  {"GET", syncPath + "/status?projectId=%27%20OR%201=1", nil, 400, "REQUEST_INVALID"},
		"header in query":        {"GET", syncPath + "/status?projectId=%0d%0aX-Evil:%201", nil, 400, "REQUEST_INVALID"},
		"huge query":             {"GET", syncPath + "/status?projectId=" + strings.Repeat("9", 50_000), nil, 400, "REQUEST_INVALID"},
		"bad escape in query":    {"GET", syncPath + "/status?projectId=%zz", nil, 400, "REQUEST_INVALID"},
		"unknown operation":      {"GET", syncPath + "/history?projectId=" + id + "&operation=explode", nil, 400, "REQUEST_INVALID"},
		"SQL as a secret":        {"GET", syncPath + "/history?projectId=" + id + "&secret=" + url.QueryEscape("A' OR '1'='1"), nil, 400, "REQUEST_INVALID"},
		"no time":                {"GET", syncPath + "/history?projectId=" + id + "&from=yesterday", nil, 400, "REQUEST_INVALID"},
		"someone's cursor":       {"GET", syncPath + "/history?projectId=" + id + "&cursor=abc", nil, 400, "REQUEST_INVALID"},
		"a page of a million":    {"GET", syncPath + "/history?projectId=" + id + "&limit=1000000", nil, 400, "REQUEST_INVALID"},
		"invalid UUID in path":   {"GET", "/projects/7", nil, 400, "REQUEST_INVALID"},
		"NUL in path":            {"GET", "/projects/%00", nil, 400, "REQUEST_INVALID"},
		"no such run":            {"GET", runsPath + uuid.NewString(), nil, 404, "RESOURCE_NOT_FOUND"},
		"no such mapping":        {"PATCH", "/github/secrets/mappings/NOPE?projectId=" + id, `{"targetScopes":["codespaces"]}`, 404, "RESOURCE_NOT_FOUND"},
		"no mapping's name":      {"PATCH", "/github/secrets/mappings/no%2fpe?projectId=" + id, `{"targetScopes":["codespaces"]}`, 400, "GITHUB_SECRETS_NAME_INVALID"},
		"a mapping nowhere":      {"PATCH", "/github/secrets/mappings/NOPE?projectId=" + id, `{"targetScopes":[]}`, 400, "REQUEST_INVALID"},
		"no regular expression":  {"POST", "/projects/" + id + "/secret-exclusions", `{"pattern":"(","reason":"r"}`, 400, "REQUEST_INVALID"},
		"an endless expression":  {"POST", "/projects/" + id + "/secret-exclusions", `{"pattern":"` + strings.Repeat("a", 201) + `","reason":"r"}`, 400, "REQUEST_INVALID"},
		"NUL in a reason":        {"POST", "/projects/" + id + "/secret-exclusions", `{"pattern":"a","reason":"\u0000"}`, 400, "REQUEST_INVALID"},
		"a slow expression":      {"POST", "/projects/" + id + "/secret-exclusions/test", `{"pattern":"(A+)+$","names":["` + strings.Repeat("A", 40) + `b"]}`, 400, "REQUEST_INVALID"},
		"no such rule":           {"DELETE", "/projects/" + id + "/secret-exclusions/" + uuid.NewString(), nil, 404, "RESOURCE_NOT_FOUND"},
		"no such role":           {"POST", "/projects/" + id + "/members", `{"login":"x","role":"king"}`, 400, "REQUEST_INVALID"},
		"nobody's login":         {"POST", "/projects/" + id + "/members", `{"login":"a b","role":"viewer"}`, 400, "REQUEST_INVALID"},
		"the system's login":     {"POST", "/projects/" + id + "/members", `{"login":"scheduler","role":"admin"}`, 400, "REQUEST_INVALID"},
		"no such member":         {"DELETE", "/projects/" + id + "/members/" + uuid.NewString(), nil, 404, "RESOURCE_NOT_FOUND"},
		"no such token":          {"DELETE", "/tokens?id=" + uuid.NewString(), nil, 404, "RESOURCE_NOT_FOUND"},
		"a path as source":       {"PATCH", "/projects/" + id, `{"valueSource":"file:/etc/passwd"}`, 400, "REQUEST_INVALID"},
		"a command as source":    {"PATCH", "/projects/" + id, `{"valueSource":"source:x; rm -rf"}`, 400, "REQUEST_INVALID"},
		"someone else's source":  {"PATCH", "/projects/" + id, `{"valueSource":"source:nope"}`, 400, "REQUEST_INVALID"},
		"no repository":          {"POST", "/projects", `{"repository":"nonsense"}`, 400, "REQUEST_INVALID"},
		"a repository not there": {"POST", "/projects", `{"repository":"acme/nowhere"}`, 404, "RESOURCE_NOT_FOUND"},
		"unknown path":           {"GET", "/nothing/here", nil, 404, "ROUTE_NOT_FOUND"},
		"unclean path":           {"GET", "//projects", nil, 404, "ROUTE_NOT_FOUND"},
		"relay, not switched on": {"POST", "/relay/claims", "{}", 404, "ROUTE_NOT_FOUND"},
		"wrong method":           {"PUT", syncPath, "{}", 405, "METHOD_NOT_ALLOWED"},
		"odd method":             {"BREW", "/projects", nil, 405, "METHOD_NOT_ALLOWED"},
	} {
		t.Run(name, func(t *testing.T) {
			r := w.send(token, c.method, c.path, c.body)
			r.t = t
			p := r.refused(c.status, c.code)
			if c.status == 405 && r.header.Get("Allow") == "" {
				t.Error("no Allow")
			}
			if strings.Contains(string(r.body), "DROP TABLE users") && c.code == "REQUEST_INVALID" || strings.Contains(p.Message, "goroutine") {
				t.Errorf("%s", r.body)
			}
		})
	}
}

func TestUnknownFieldsAreIgnored(t *testing.T) {
	w := newWorld(t)
	token := w.token("dev", store.Developer)
	body := asked("projectId", w.project.ID, "path", "/etc/passwd", "command", "rm", "values", map[string]string{"A": "b"})
	w.send(token, "POST", planPath, body).into(http.StatusOK, nil)
	form := func(r *http.Request) { r.Header.Set("Content-Type", "application/x-www-form-urlencoded") }
	w.send(token, "POST", planPath, body, form).into(http.StatusOK, nil) // curl -d
}

func TestRequestIDIsKeptOrMade(t *testing.T) {
	w := newWorld(t)
	mine := uuid.New()
	with := func(id string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(requestIDHeader, id) }
	}
	if p := w.send("", "GET", "/projects", nil, with(mine.String())).envelope(); p.RequestID != mine {
		t.Errorf("%s, want %s", p.RequestID, mine)
	}
	if !strings.Contains(w.log.String(), "requestId="+mine.String()) {
		t.Error("the log does not have it")
	}
	for _, id := range []string{"x", "{" + mine.String() + "}", strings.ReplaceAll(mine.String(), "-", ""), "urn:uuid:" + mine.String()} {
		if p := w.send("", "GET", "/projects", nil, with(id)).envelope(); p.RequestID == mine {
			t.Errorf("%s was kept", id)
		}
	}
	var ok struct{ Status string }
	r := w.send("", "GET", "/healthz", nil)
	r.into(http.StatusOK, &ok)
	if _, err := uuid.Parse(r.header.Get(requestIDHeader)); err != nil {
		t.Error(err)
	}
}

func TestPanicsAreAnswered(t *testing.T) {
	w := newWorld(t)
	w.srv.mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("canary in a panic") })
	r := w.send("", "GET", "/panic", nil)
	p := r.refused(http.StatusInternalServerError, "INTERNAL_UNEXPECTED")
	if strings.Contains(string(r.body), "canary") || !strings.Contains(w.log.String(), "canary in a panic") || p.Hint == "" {
		t.Errorf("%s", r.body)
	}
}

// The database goes away and comes back: requests are answered 503 meanwhile, and nobody has to do
// anything about it.
func TestDatabaseGoneIs503(t *testing.T) {
	dsn, line := storetest.Severable(t)
	w := newWorldOn(t, dsn)
	token := w.token("dev", store.Developer)
	status := syncPath + "/status?projectId=" + w.project.ID.String()
	w.send("", "GET", "/readyz", nil).into(http.StatusOK, nil)
	line.Cut()
	for _, path := range []string{"/readyz", "/projects", status} {
		r := w.send(token, "GET", path, nil)
		r.refused(http.StatusServiceUnavailable, "STORE_UNAVAILABLE")
		if r.header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	w.send(token, "POST", syncPath, asked("projectId", w.project.ID)).refused(http.StatusServiceUnavailable, "STORE_UNAVAILABLE")
	w.send("", "GET", "/healthz", nil).into(http.StatusOK, nil)
	w.send("", "GET", "/metrics", nil).into(http.StatusOK, nil)
	line.Mend()
	w.send("", "GET", "/readyz", nil).into(http.StatusOK, nil)
	w.send(token, "GET", status, nil).into(http.StatusOK, nil)
}

func TestMetersTellOfRequests(t *testing.T) {
	w := newWorld(t)
	w.send(w.token("dev", store.Developer), "GET", "/projects", nil).into(http.StatusOK, nil)
	w.send("", "GET", "/no/"+uuid.NewString(), nil)
	m := w.srv.metrics
	m.RunEnded(store.Manual, store.Succeeded, time.Second, 3)
	m.InStep(time.Minute)
	m.Looked("token", "unchanged")
	m.Requested("token", false)
	m.Polling("token", 7, 2*time.Minute, time.Minute)
	m.Quota("token", 4000, 5000)
	m.Replicas(2)
	m.Delivered("pushed", true)
	text := string(w.send("", "GET", "/metrics", nil).body)
	for _, line := range []string{
		`octoseal_http_requests_total{method="GET",route="/projects",status="200"} 1`, `octoseal_http_requests_total{method="",route="none",status="404"} 1`,
		`octoseal_runs_total{outcome="succeeded",trigger="manual"} 1`, `octoseal_writes_total 3`, `octoseal_github_requests_total{billed="false",credential="token"} 1`,
		`octoseal_queue_jobs{state="waiting"} 0`, `octoseal_change_to_synced_seconds_count 1`, `octoseal_github_quota{credential="token",which="remaining"} 4000`,
		`octoseal_polling_interval_seconds{credential="token",which="in_force"} 120`, `octoseal_polls_total{credential="token",outcome="unchanged"} 1`,
		`octoseal_replicas 2`, `octoseal_polled_projects{credential="token"} 7`, `octoseal_webhook_deliveries_total{ok="true",what="pushed"} 1`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no %s", line)
		}
	}
}

func TestBudgets(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.UserRate, c.ProjectRate = Rate{60, 60}, Rate{60, 60} })
	now := time.Now()
	w.srv.now = func() time.Time { return now }
	one, two := w.token("one", store.Developer), w.token("two", store.Developer)
	path := syncPath + "/status?projectId=" + w.project.ID.String()
	r := w.send(one, "GET", path, nil)
	r.into(http.StatusOK, nil)
	if r.header.Get("RateLimit-Limit") != "60" || r.header.Get("RateLimit-Remaining") != "59" || r.header.Get("RateLimit-Reset") != "1" {
		t.Errorf("%v", r.header)
	}
	async := func(r *http.Request) { r.Header.Set("Prefer", "respond-async") }
	r = w.send(one, "POST", syncPath, asked("projectId", w.project.ID), async)
	if r.header.Get("RateLimit-Remaining") != "54" {
		t.Errorf("a synchronisation left %s of 59", r.header.Get("RateLimit-Remaining"))
	}
	for range 54 {
		w.send(one, "GET", "/projects", nil).into(http.StatusOK, nil)
	}
	r = w.send(one, "GET", "/projects", nil)
	r.refused(http.StatusTooManyRequests, "RATE_LIMIT_USER")
	if r.header.Get("Retry-After") != "1" || r.header.Get("RateLimit-Remaining") != "0" {
		t.Errorf("%v", r.header)
	}
	for range 54 {
		w.send(two, "GET", path, nil).into(http.StatusOK, nil)
	}
	r = w.send(two, "GET", path, nil)
	p := r.refused(http.StatusTooManyRequests, "RATE_LIMIT_PROJECT")
	if r.header.Get("RateLimit-Remaining") != "0" || strings.Contains(p.Hint, "{") {
		t.Errorf("%v %+v", r.header, p)
	}
	now = now.Add(2 * time.Second)
	w.send(two, "GET", path, nil).into(http.StatusOK, nil)
}

// Buckets that are full again are forgotten, so that the memory is bounded by those in use.
func TestBudgetsForget(t *testing.T) {
	b, now := newBudgets(Rate{60, 120}, "RATE_LIMIT_USER"), time.Now()
	for range 3 * budgetsKept {
		must(t, b.charge(http.Header{}, uuid.New(), 1, now))
		now = now.Add(time.Millisecond)
	}
	if len(b.buckets) > 2*budgetsKept+1 {
		t.Errorf("%d buckets", len(b.buckets))
	}
}

// Slowly arriving bodies are given up on, with an answer.
func TestBodiesArriveInTime(t *testing.T) {
	r, wr := io.Pipe()
	defer wr.Close()
	go fmt.Fprint(wr, "{")
	req := httptest.NewRequest("POST", "/", io.MultiReader(r))
	req.Body = io.NopCloser(slow{})
	if _, err := readBody(httptest.NewRecorder(), req, 10, 0); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Error(err)
	}
	r.Close()
}

type slow struct{}

func (slow) Read([]byte) (int, error) { return 0, timedOut{} }

type timedOut struct{}

func (timedOut) Error() string   { return "i/o timeout" }
func (timedOut) Timeout() bool   { return true }
func (timedOut) Temporary() bool { return true }
