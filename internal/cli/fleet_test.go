package cli_test

import (
	"bytes"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// A fleet is a simulated GitHub with an App on many accounts, a database, and the processes that
// serve it.
type fleet struct {
	*testing.T
	bench    *bench
	github   *githubsim.GitHub
	witness  *witness
	db       *sql.DB
	homes    []*home
	replicas []*replica
	token    string // of an admin
	http     *http.Client
}

// secretsEach is how many secrets a home's source has, unless a test wants more.
const secretsEach = 3

// A home is one repository, its project and its source. Sources in the environment have one round
// only, since nobody can change a process's environment.
type home struct {
	repo, project string
	from          string // as --source spells it
	file          string // empty: the environment
	secrets       int
	index, round  int
}

func (h *home) name(i int) string  { return fmt.Sprintf("SECRET_%02d", i) }
func (h *home) value(i int) string { return fmt.Sprintf("%s-%d-of-round-%d", h.repo, i, h.round) }

// newFleet sets the stage for so many projects, two to an account, and starts nothing yet.
func newFleet(t *testing.T, dsn string, projects int) *fleet {
	t.Helper()
	f := &fleet{T: t, github: githubsim.New(githubsim.Config{}), http: &http.Client{Timeout: time.Minute, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}}
	t.Cleanup(f.http.CloseIdleConnections)
	f.bench = &bench{TB: t, github: f.github, folder: t.TempDir()}
	f.db = look(t, dsn)
	f.witness = newWitness(f.github, f.db)
	server := httptest.NewServer(f.witness)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	app := f.github.AddApp(githubsim.App{Slug: "octoseal", Permissions: githubsim.Permissions{
		"secrets": "write", "codespaces_secrets": "write", "dependabot_secrets": "write",
	}})
	key := filepath.Join(f.bench.folder, "key.pem")
	if err := os.WriteFile(key, app.PrivateKeyPEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	f.bench.environ = append(settled(os.Environ()),
		"HOME="+f.bench.folder, "XDG_STATE_HOME="+filepath.Join(f.bench.folder, "state"),
		"OCTOSEAL_DATABASE="+dsn, "OCTOSEAL_GITHUB_API_URL="+server.URL,
		"OCTOSEAL_GITHUB_APP_ID="+strconv.FormatInt(app.ID, 10), "OCTOSEAL_GITHUB_APP_PRIVATE_KEY_FILE="+key,
		"OCTOSEAL_LEASE_HEARTBEAT=200ms", "OCTOSEAL_LEASE_LAPSE=2s", "OCTOSEAL_LEASE_GRACE=500ms",
		"OCTOSEAL_RETRY_BASE=10ms", "OCTOSEAL_RETRY_CAP=50ms",
	)
	for i := range projects {
		h := f.settle(i)
		if i%2 == 0 {
			account, _, _ := strings.Cut(h.repo, "/")
			f.github.Install(githubsim.Installation{App: app.ID, Account: account})
		}
		f.homes = append(f.homes, h)
	}
	return f
}

// look opens a database beside the processes that work in it.
func look(t *testing.T, dsn string) *sql.DB {
	t.Helper()
	driver, name := "pgx", dsn
	if path, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		driver, name = "sqlite", "file:"+path+"?mode=ro&_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, name)
	if err != nil {
		t.Fatal(err)
	}
	db.SetMaxOpenConns(4)
	t.Cleanup(func() { db.Close() })
	return db
}

// settle makes the ith repository, in which somebody has set a secret that is none of ours, and its
// source: a .env file, a JSON file or the environment, in turn.
func (f *fleet) settle(i int) *home {
	f.Helper()
	h := &home{index: i, secrets: secretsEach, repo: fmt.Sprintf("account-%03d/app-%03d", i/2, i)}
	f.github.AddRepository(githubsim.Repository{FullName: h.repo, Private: true})
	for _, scope := range []string{"actions", "dependabot"} {
		f.github.SetSecret(h.repo, scope, githubsim.Secret{Name: "THEIRS", Value: "set by hand"})
	}
	switch i % 3 {
	case 0:
		h.file = filepath.Join(f.bench.folder, fmt.Sprintf("app-%03d.env", i))
	case 1:
		h.file = filepath.Join(f.bench.folder, fmt.Sprintf("app-%03d.json", i))
	default:
		prefix := fmt.Sprintf("APP_%03d_", i)
		h.from = "env:" + prefix
		for n := range h.secrets {
			f.bench.environ = append(f.bench.environ, prefix+h.name(n)+"="+h.value(n))
		}
		return h
	}
	h.from = "file:" + h.file
	f.write(h)
	return h
}

// write puts the values of a home's round into its file, all at once: half a file would be a source
// that lost half of its secrets.
func (f *fleet) write(h *home) {
	f.Helper()
	values := map[string]string{}
	var dotenv strings.Builder
	for i := range h.secrets {
		values[h.name(i)] = h.value(i)
		fmt.Fprintf(&dotenv, "%s=%s\n", h.name(i), h.value(i))
	}
	text := []byte(dotenv.String())
	if strings.HasSuffix(h.file, ".json") {
		text, _ = json.Marshal(values)
	}
	err := os.WriteFile(h.file+".new", text, 0o600)
	if err == nil {
		err = os.Rename(h.file+".new", h.file)
	}
	if err != nil {
		f.Fatal(err)
	}
}

// nextRound changes every value that can be changed.
func (f *fleet) nextRound() {
	f.Helper()
	for _, h := range f.homes {
		if h.file != "" {
			h.round++
			f.write(h)
		}
	}
}

// enrol makes a token, and a project of every home.
func (f *fleet) enrol() {
	f.Helper()
	code, out, talk := f.bench.octoseal("token", "create", "--user", "ada", "--role", "admin")
	if f.token = strings.TrimSpace(out); code != 0 {
		f.Fatalf("token create: exit code %d\n%s", code, talk)
	}
	for _, h := range f.homes {
		a := f.replicas[0].ask(http.MethodPost, "/projects", "", map[string]any{"repository": h.repo, "valueSource": fmt.Sprintf("source:s%d", h.index), "autoSync": true})
		if a.status != http.StatusCreated {
			f.Fatalf("project of %s: %s", h.repo, a)
		}
		h.project = a.text("id")
	}
}

// holds says whether every scope of a home holds what its source says, and everybody else's secrets.
func (f *fleet) holds(h *home) error {
	for _, scope := range []string{"actions", "codespaces", "dependabot"} {
		for i := range h.secrets {
			if got, _ := f.github.Value(h.repo, scope, h.name(i)); got != h.value(i) {
				return fmt.Errorf("%s: %s %s is %q, want %q", h.repo, scope, h.name(i), got, h.value(i))
			}
		}
		if got, there := f.github.Value(h.repo, scope, "THEIRS"); there == (scope == "codespaces") || there && got != "set by hand" {
			return fmt.Errorf("%s: %s THEIRS is %q (there: %v)", h.repo, scope, got, there)
		}
	}
	return nil
}

// inStep says whether a home holds its values and the service says so.
func (f *fleet) inStep(h *home) error {
	if err := f.holds(h); err != nil {
		return err
	}
	a := f.replicas[0].ask(http.MethodGet, "/github/secrets/sync/status?projectId="+h.project, "", nil)
	if a.status != http.StatusOK || a.text("status") != "synced" {
		return fmt.Errorf("%s: %s", h.repo, a)
	}
	return nil
}

// allInStep waits until every home is in step and no run is under way.
func (f *fleet) allInStep(within time.Duration) {
	f.Helper()
	f.eventually(within, func() error {
		for _, h := range f.homes {
			if err := f.inStep(h); err != nil {
				return err
			}
		}
		if n := f.number("SELECT count(*) FROM sync_runs WHERE state NOT IN ('succeeded', 'partial', 'failed')"); n > 0 {
			return fmt.Errorf("%d runs are under way", n)
		}
		return nil
	})
}

// eventually waits until nothing is missing any more.
func (f *fleet) eventually(within time.Duration, missing func() error) {
	f.Helper()
	for end := time.Now().Add(within); ; time.Sleep(50 * time.Millisecond) {
		err := missing()
		if err == nil {
			return
		}
		if time.Now().After(end) {
			f.Fatalf("still after %s: %v", within, err)
		}
	}
}

func (f *fleet) number(query string) (n int) {
	f.Helper()
	if err := f.db.QueryRow(query).Scan(&n); err != nil {
		f.Fatal(err)
	}
	return n
}

// none demands that a query finds no rows.
func (f *fleet) none(what, query string) {
	f.Helper()
	if n := f.number("SELECT count(*) FROM (" + query + ") found"); n > 0 {
		f.Errorf("%d times: %s", n, what)
	}
}

// wholeTrail demands that what is on record is what happened: every run told once, none beside
// another of its project, and every chain of events whole.
func (f *fleet) wholeTrail() {
	f.Helper()
	f.none("a run's event is told twice", `SELECT correlation_id FROM secret_sync_events
		GROUP BY correlation_id, operation, secret_name HAVING count(*) > 1`)
	f.none("a run that ended is not told of", `SELECT r.id FROM sync_runs r WHERE r.state IN ('succeeded', 'partial')
		AND NOT EXISTS (SELECT 1 FROM secret_sync_events e WHERE e.correlation_id = r.id AND e.operation = 'sync_all')`)
	f.none("a run needed force or failed", `SELECT r.id FROM sync_runs r WHERE r.state IN ('partial', 'failed')`)
	f.notSideBySide()
	for _, r := range f.github.Requests() {
		if r.Method == http.MethodDelete {
			f.Errorf("%s %s: nothing was to be deleted", r.Method, r.Path)
		}
	}
	for _, complaint := range f.witness.complaints() {
		f.Error(complaint)
	}
	for _, h := range f.homes {
		f.bench.inStep("audit", "verify", "--repo", h.repo)
	}
}

// startsBefore is how much earlier than the lease a run may say that it started: it says so when its
// process takes it up.
const startsBefore = time.Second

// notSideBySide checks the times on record. They cannot show an overlap that is shorter than
// startsBefore; the witness can.
func (f *fleet) notSideBySide() {
	f.Helper()
	rows, err := f.db.Query("SELECT CAST(project_id AS TEXT), " + f.milliseconds("started_at") + ", " + f.milliseconds("finished_at") +
		" FROM sync_runs WHERE finished_at IS NOT NULL AND writes > 0 ORDER BY 1, 2")
	if err != nil {
		f.Fatal(err)
	}
	defer rows.Close()
	ended := map[string]int64{}
	for rows.Next() {
		var project string
		var from, to int64
		if err := rows.Scan(&project, &from, &to); err != nil {
			f.Fatal(err)
		}
		if from+startsBefore.Milliseconds() < ended[project] {
			f.Errorf("project %s: a run started %d ms before another had ended", project, ended[project]-from)
		}
		ended[project] = max(ended[project], to)
	}
	if err := rows.Err(); err != nil {
		f.Fatal(err)
	}
}

// milliseconds is a time as a number in either engine.
func (f *fleet) milliseconds(column string) string {
	if strings.Contains(fmt.Sprintf("%T", f.db.Driver()), "sqlite") {
		return column
	}
	return "CAST(extract(epoch FROM " + column + ") * 1000 AS BIGINT)"
}

// A replica is one process that serves, again at the same address after it was killed.
type replica struct {
	fleet   *fleet
	address string
	cmd     *exec.Cmd
	log     string // a file
}

// serve starts one more process and waits until it is ready.
func (f *fleet) serve(flags ...string) *replica {
	f.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		f.Fatal(err)
	}
	r := &replica{fleet: f, address: l.Addr().String()}
	r.log = filepath.Join(f.bench.folder, fmt.Sprintf("replica-%d.log", len(f.replicas)))
	l.Close()
	f.replicas = append(f.replicas, r)
	f.Cleanup(r.end)
	r.start(flags...)
	return r
}

func (r *replica) start(flags ...string) {
	f := r.fleet
	f.Helper()
	args := []string{"serve", "--listen", r.address, "--user-rate", "1000000", "--project-rate", "1000000", "--roster-interval", "300ms", "--schedule", "off"}
	for _, h := range f.homes {
		args = append(args, "--source", fmt.Sprintf("s%d=%s,%s", h.index, h.from, h.repo))
	}
	cmd := f.bench.command(append(args, flags...)...)
	log, err := os.OpenFile(r.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		f.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		f.Fatal(err)
	}
	r.cmd = cmd
	f.eventually(time.Minute, func() error {
		if a := r.ask(http.MethodGet, "/readyz", "", nil); a.status != http.StatusOK {
			return errors.New(a.String())
		}
		return nil
	})
}

// kill ends the process as a power cut would.
func (r *replica) kill() { _ = r.cmd.Process.Kill() }

// end asks the process to end and demands that it does so cleanly.
func (r *replica) end() {
	f := r.fleet
	if r.cmd == nil {
		return
	}
	_ = r.cmd.Process.Signal(syscall.SIGINT)
	stuck := time.AfterFunc(time.Minute, r.kill)
	defer stuck.Stop()
	if err := r.cmd.Wait(); err != nil && !f.Failed() {
		f.Errorf("a replica ended with %v", err)
	}
	if f.Failed() {
		f.Logf("%s:\n%s", r.address, lastOf(r.log, 60))
	}
}

func lastOf(file string, lines int) string {
	text, _ := os.ReadFile(file)
	all := strings.Split(string(text), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}

// An answer is what came back: status 0 when nobody answered.
type answer struct {
	status int
	body   []byte
	err    error
}

// String is the answer as failures tell it.
func (a answer) String() string { return fmt.Sprintf("%d %s %v", a.status, a.body, a.err) }

// text is a field of the answer.
func (a answer) text(field string) string {
	fields := map[string]any{}
	_ = json.Unmarshal(a.body, &fields)
	text, _ := fields[field].(string)
	return text
}

// code is the code in the envelope; empty when there is none.
func (a answer) code() string {
	var envelope struct {
		Error struct{ Code, RequestID string }
	}
	if json.Unmarshal(a.body, &envelope) != nil || envelope.Error.RequestID == "" {
		return ""
	}
	return envelope.Error.Code
}

// ask sends one request. It may be called from several goroutines.
func (r *replica) ask(method, path, key string, content any) (a answer) {
	var body io.Reader
	if content != nil {
		raw, err := json.Marshal(content)
		if err != nil {
			return answer{err: err}
		}
		body = bytes.NewReader(raw)
	}
	req, err := http.NewRequest(method, "http://"+r.address+path, body)
	if err != nil {
		return answer{err: err}
	}
	req.Header.Set("Authorization", "Bearer "+r.fleet.token)
	if key != "" {
		req.Header.Set("Idempotency-Key", key)
	}
	res, err := r.fleet.http.Do(req)
	if err != nil {
		return answer{err: err}
	}
	defer res.Body.Close()
	a.status = res.StatusCode
	a.body, a.err = io.ReadAll(res.Body)
	return a
}

func (r *replica) sync(h *home, key string) answer {
	return r.ask(http.MethodPost, "/github/secrets/sync", key, map[string]any{"projectId": h.project})
}

// A witness stands between the processes and GitHub. Of every write it asks the database which
// process holds the project's lease at that moment. It knows processes by their tokens, since each
// gets its own from the App, so it learns by the way who has which: were two processes ever to
// write for one project at a time, the token of one would be seen under the lease of the other.
type witness struct {
	http.Handler
	db *sql.DB

	mu      sync.Mutex
	senders map[string]int // process by token
	writing map[string]bool
	wrong   []string
}

func newWitness(gh http.Handler, db *sql.DB) *witness {
	return &witness{Handler: gh, db: db, senders: map[string]int{}, writing: map[string]bool{}}
}

// ServeHTTP looks at writes of secrets, and passes everything on.
func (w *witness) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if r.Method == http.MethodPut {
		process, err := w.holder(r.URL.Path)
		w.arrives(r, process, err)
		defer w.left(r)
	}
	w.Handler.ServeHTTP(rw, r)
}

func (w *witness) arrives(r *http.Request, process int, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	token := r.Header.Get("Authorization")
	known, seen := w.senders[token]
	switch {
	case errors.Is(err, sql.ErrNoRows):
		w.wrong = append(w.wrong, r.URL.Path+": written without a lease")
	case err != nil: // the database is away: what was sent before still arrives
	case seen && known != process:
		w.wrong = append(w.wrong, fmt.Sprintf("%s: written by process %d while process %d holds the lease", r.URL.Path, known, process))
	default:
		w.senders[token] = process
	}
	if w.writing[r.URL.Path] {
		w.wrong = append(w.wrong, r.URL.Path+": written twice at a time")
	}
	w.writing[r.URL.Path] = true
}

func (w *witness) left(r *http.Request) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.writing, r.URL.Path)
}

func (w *witness) complaints() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.wrong)
}

// holder is the process that holds the lease of the repository in a path. A lease says so at the end
// of its holder's name: "HOST, process 4711".
func (w *witness) holder(path string) (process int, err error) {
	part := strings.Split(path, "/")
	if len(part) < 4 {
		return 0, fmt.Errorf("%s has no repository", path)
	}
	var holder string
	err = w.db.QueryRow(`SELECT l.holder FROM run_leases l JOIN projects p ON p.id = l.project_id
		WHERE p.owner = $1 AND p.repo = $2`, part[2], part[3]).Scan(&holder)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(holder[strings.LastIndex(holder, " ")+1:])
}
