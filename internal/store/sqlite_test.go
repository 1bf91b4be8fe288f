package store_test

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/store/storetest"
	"go.uber.org/goleak"
)

// beside lists what stands in the directory of a database.
func beside(t *testing.T, dsn string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(pathOf(dsn)))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func pathOf(dsn string) string { return strings.TrimPrefix(dsn, "sqlite:") }

// remember puts one secret into a database.
func remember(t *testing.T, s *store.Store) store.Project {
	t.Helper()
	p, err := s.EnsureProject(t.Context(), time.Now(), store.Project{APIHost: "h", Owner: "o", Repo: "r", RepositoryID: 1})
	if err != nil {
		t.Fatal(err)
	}
	run := store.Run{ID: uuid.New(), Project: p.ID, Actor: store.Local, State: store.Succeeded, StartedAt: time.Now()}
	_, err = s.Record(t.Context(), time.Now(), store.Outcome{Project: p.ID, Actor: store.Local, Run: run, Mappings: []store.MappingRecord{
		{Name: secret.MustName("TOKEN"), TargetScopes: secret.Stores()},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func remembers(t *testing.T, s *store.Store, p store.Project) {
	t.Helper()
	known, err := s.Memory(t.Context(), p.ID)
	if err != nil || len(known) != 1 {
		t.Fatalf("%d secrets remembered, want 1: %v", len(known), err)
	}
}

func TestOneWholePrivateFile(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has other permissions")
	}
	defer goleak.VerifyNone(t)
	// Characters that a URI would take for something else.
	dsn := "sqlite:" + filepath.Join(t.TempDir(), "new", "a b%20?x=1#y", "o.db")
	s, err := store.Open(t.Context(), store.Config{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	p := remember(t, s)
	for _, name := range beside(t, dsn) {
		info, err := os.Stat(filepath.Join(filepath.Dir(pathOf(dsn)), name))
		if err != nil || info.Mode() != 0o600 {
			t.Errorf("%s is open to others: %v, %v", name, info.Mode(), err)
		}
	}
	if info, err := os.Stat(filepath.Dir(pathOf(dsn))); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("its directory is open to others: %v, %v", info.Mode(), err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if got := beside(t, dsn); len(got) != 1 {
		t.Errorf("after the end there is more than the one file: %v", got)
	}
	// The file alone, elsewhere and by its bare path.
	content, err := os.ReadFile(pathOf(dsn))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := store.Open(t.Context(), store.Config{DSN: path})
	if err != nil {
		t.Fatal(err)
	}
	remembers(t, again, p)
	if err := again.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestCloseBesideAnother leaves the file whole even while another process goes on reading it.
func TestCloseBesideAnother(t *testing.T) {
	dsn := made(t)
	s, err := store.Open(t.Context(), store.Config{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.EnsureProject(t.Context(), time.Now(), store.Project{APIHost: "h", Owner: "o", Repo: "r", RepositoryID: 2})
	if err != nil {
		t.Fatal(err)
	}
	other := storetest.Open(t, store.Config{DSN: dsn})
	if _, err := other.Project(t.Context(), p.ID); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(pathOf(dsn))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := storetest.Open(t, store.Config{DSN: path}).Project(t.Context(), p.ID); err != nil {
		t.Error(err)
	}
}

func TestReadOnlyWritesNothing(t *testing.T) {
	dsn := storetest.SQLite(t)
	readOnly := store.Config{DSN: dsn, ReadOnly: true}
	nothing := func(why string) {
		t.Helper()
		if _, err := store.Open(t.Context(), readOnly); !errors.Is(err, store.ErrNoDatabase) {
			t.Errorf("%s, but Open answers %v", why, err)
		}
	}
	nothing("there is no file")
	if got := beside(t, dsn); len(got) != 0 {
		t.Errorf("looking for it left %v", got)
	}
	if err := os.WriteFile(pathOf(dsn), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	nothing("the file is empty")
	if _, err := store.Open(t.Context(), store.Config{DSN: storetest.Memory, ReadOnly: true}); !errors.Is(err, store.ErrNoDatabase) {
		t.Errorf("memory is empty, but Open answers %v", err)
	}

	s, err := store.Open(t.Context(), store.Config{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	p := remember(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(pathOf(dsn))
	if err != nil {
		t.Fatal(err)
	}
	reader, err := store.Open(t.Context(), readOnly)
	if err != nil {
		t.Fatal(err)
	}
	remembers(t, reader, p)
	if got := beside(t, dsn); len(got) != 1 {
		t.Errorf("reading left %v", got)
	}
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	after, err := os.ReadFile(pathOf(dsn))
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("reading changed the file: %v", err)
	}
}

// TestKilled leaves a database as a killed process does: with its log beside it.
func TestKilled(t *testing.T) {
	dsn := storetest.SQLite(t)
	s := storetest.Open(t, store.Config{DSN: dsn})
	p := remember(t, s)
	dir := t.TempDir()
	for _, name := range beside(t, dsn) {
		content, err := os.ReadFile(filepath.Join(filepath.Dir(pathOf(dsn)), name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	killed := filepath.Join(dir, filepath.Base(pathOf(dsn)))
	if _, err := os.Stat(killed + "-wal"); err != nil {
		t.Fatalf("no log was left: %v", err)
	}
	remembers(t, storetest.Open(t, store.Config{DSN: killed, ReadOnly: true}), p)
	remembers(t, storetest.Open(t, store.Config{DSN: killed}), p)
}

func TestUnusableFiles(t *testing.T) {
	write := func(content string) string {
		path := filepath.Join(t.TempDir(), "o.db")
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good, err := os.ReadFile(pathOf(made(t)))
	if err != nil {
		t.Fatal(err)
	}
	damaged := bytes.Clone(good)
	for i := 100; i < len(damaged); i++ {
		damaged[i] ^= 0x5a
	}
	for name, path := range map[string]string{
		"text":                write("dear diary, today I was no database"),
		"short":               write("SQLite"),
		"damaged":             write(string(damaged)),
		"truncated":           write(string(good[:len(good)/2])),
		"another program's":   stranger(t),
		"a directory":         t.TempDir(),
		"below a file":        filepath.Join(write("x"), "o.db"),
		"where nobody writes": "/proc/nowhere/o.db",
	} {
		t.Run(name, func(t *testing.T) {
			for _, readOnly := range []bool{true, false} {
				s, err := store.Open(t.Context(), store.Config{DSN: "sqlite:" + path, ReadOnly: readOnly})
				if err == nil { // damage may lie where opening does not look
					_, err = s.Rules(t.Context(), uuid.New())
					s.Close()
				}
				if readOnly && (errors.Is(err, store.ErrNoDatabase)) {
					continue
				}
				f := fault.Of(err)
				if f == nil || f.Code != fault.StoreUnavailable || !strings.Contains(f.Message, path) || f.Hint == "" {
					t.Errorf("want a fault that names the file and what to do, got %v (%v)", err, f)
					continue
				}
				for _, word := range []string{"failed", "unable", "could not"} {
					if strings.Contains(f.Message+f.Hint, word) {
						t.Errorf("%q says %s", f.Message+f.Hint, word)
					}
				}
				t.Logf("%s %s", f.Message, f.Hint)
			}
		})
	}
	if _, err := store.Open(t.Context(), store.Config{DSN: "sqlite:"}); !fault.Is(err, fault.RequestInvalid) {
		t.Errorf("a database without a name: %v", err)
	}
}

// made is the DSN of a database that was made and closed.
func made(t *testing.T) string {
	t.Helper()
	dsn := storetest.SQLite(t)
	s, err := store.Open(t.Context(), store.Config{DSN: dsn})
	if err != nil {
		t.Fatal(err)
	}
	remember(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return dsn
}

func stranger(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "o.db")
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec("CREATE TABLE cookies (name TEXT)"); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestStranger leaves the file of another program as it was, to the byte.
func TestStranger(t *testing.T) {
	path := stranger(t)
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), store.Config{DSN: path}); !fault.Is(err, fault.StoreUnavailable) {
		t.Errorf("want it refused, got %v", err)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Errorf("refusing it changed it: %v", err)
	}
}

// TestUnwritableDirectory runs as nobody, since root may write anywhere.
func TestUnwritableDirectory(t *testing.T) {
	if os.Geteuid() == 0 {
		asNobody(t)
		return
	}
	dsn := made(t)
	dir := filepath.Dir(pathOf(dsn))
	if err := os.Chmod(dir, 0o500); err != nil {
		t.Fatal(err)
	}
	defer os.Chmod(dir, 0o700)
	reader, err := store.Open(t.Context(), store.Config{DSN: dsn, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	p, found, err := reader.FindProject(t.Context(), "h", "o", "r")
	if err != nil || !found {
		t.Fatalf("project found: %v, %v", found, err)
	}
	remembers(t, reader, p)
	if err := reader.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{pathOf(dsn), filepath.Join(dir, "new.db"), filepath.Join(dir, "new", "o.db")} {
		s, err := store.Open(t.Context(), store.Config{DSN: path})
		if err == nil {
			s.Close()
		}
		f := fault.Of(err)
		if f == nil || f.Code != fault.StoreUnavailable || !strings.Contains(f.Message, path) {
			t.Errorf("%s: want a fault that names it, got %v", path, err)
			continue
		}
		t.Logf("%s %s", f.Message, f.Hint)
	}
}

func TestBrokenInUse(t *testing.T) {
	s := storetest.Open(t, store.Config{DSN: storetest.SQLite(t)})
	p := remember(t, s)
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	if err := s.Ping(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("ping past its deadline: %v", err)
	}
	remembers(t, s, p)
}

// TestLockFile takes over from a dead process as soon as its last write must have arrived, and
// from a live one only once it has been silent for long.
func TestLockFile(t *testing.T) {
	dsn := storetest.SQLite(t)
	s := storetest.Open(t, store.Config{DSN: dsn})
	p := remember(t, s)
	start := time.Now().UTC().Truncate(time.Microsecond)
	times := store.LeaseTimes{Heartbeat: time.Second, Lapse: time.Hour, Grace: time.Minute}
	ask := func(at time.Duration) (*store.Lease, *store.ErrLeaseHeld) {
		t.Helper()
		l, err := s.Acquire(t.Context(), start.Add(at), store.LeaseRequest{Project: p.ID, Run: uuid.New(), Times: times})
		var held *store.ErrLeaseHeld
		if err != nil && !errors.As(err, &held) {
			t.Fatal(err)
		}
		return l, held
	}
	kill := hold(t, dsn, p.ID, start, times)
	if _, held := ask(0); held == nil || held.Dead || !held.FreeAt.Equal(start.Add(times.Lapse+times.Grace)) {
		t.Errorf("a live process holds the lease: %+v", held)
	}
	kill()
	if _, held := ask(times.Grace - time.Microsecond); held == nil || !held.Dead || !held.FreeAt.Equal(start.Add(times.Grace)) {
		t.Errorf("a dead process held the lease: %+v", held)
	}
	l, held := ask(times.Grace)
	if held != nil {
		t.Fatalf("the dead process must have fallen silent: %v", held)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range beside(t, dsn) {
		if strings.HasSuffix(name, ".lock") {
			t.Errorf("%s was left behind", name)
		}
	}
}

const holderVariable = "OCTOSEAL_STORE_TEST_HOLD"

// hold lets another process acquire the lease of a project, and returns how to kill it.
func hold(t *testing.T, dsn string, project uuid.UUID, now time.Time, times store.LeaseTimes) (kill func()) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	other := exec.Command(self, "-test.run=^TestHolder$")
	other.Env = append(os.Environ(), holderVariable+"="+strings.Join([]string{
		project.String(), now.Format(time.RFC3339Nano), times.Lapse.String(), times.Grace.String(), dsn,
	}, " "))
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		other.Process.Kill()
		other.Wait()
	}
	t.Cleanup(kill)
	said := make([]byte, len("held"))
	if _, err := out.Read(said); err != nil || string(said) != "held" {
		t.Fatalf("the other process says %q: %v", said, err)
	}
	return kill
}

// TestHolder is the other process of TestLockFile.
func TestHolder(t *testing.T) {
	asked := os.Getenv(holderVariable)
	if asked == "" {
		t.Skip("only as another test's process")
	}
	words := strings.SplitN(asked, " ", 5)
	now, err := time.Parse(time.RFC3339Nano, words[1])
	if err != nil {
		t.Fatal(err)
	}
	lapse, _ := time.ParseDuration(words[2])
	grace, _ := time.ParseDuration(words[3])
	s, err := store.Open(t.Context(), store.Config{DSN: words[4]})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Acquire(t.Context(), now, store.LeaseRequest{
		Project: uuid.MustParse(words[0]), Run: uuid.New(), Times: store.LeaseTimes{Lapse: lapse, Grace: grace},
	})
	if err != nil {
		t.Fatal(err)
	}
	os.Stdout.WriteString("held")
	select {}
}
