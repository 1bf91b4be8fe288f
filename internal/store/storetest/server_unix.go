//go:build unix

package storetest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"time"
)

// places are where PostgreSQL's programs lie when they are not in PATH.
var places = []string{
	"/usr/lib/postgresql/*/bin",
	"/usr/pgsql-*/bin",
	"/usr/local/pgsql/bin",
	"/opt/homebrew/opt/postgresql*/bin",
	"/usr/local/opt/postgresql*/bin",
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// supervise runs the server until its standard input ends. The other end is held by the test
// process and by nobody else, so the server stops with it however that ends: done, panicked or
// killed.
const supervise = `
"$1/postgres" -D "$2/data" -k "$2" -c listen_addresses= -c fsync=off -c full_page_writes=off \
  -c synchronous_commit=off -c max_connections=200 -c shared_buffers=32MB -c timezone=Asia/Kathmandu >"$2/log" 2>&1 &
server=$!
cat >/dev/null
kill -QUIT $server
wait $server
rm -rf "$2"
`

// startServer makes a throw-away server on a socket in a directory of its own. Its time zone is an
// odd one, so that a time that lost its zone shows.
func startServer() (dsn string, err error) {
	bin, err := binaries()
	if err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp("/tmp", "octoseal-pg-") // short: a socket's path has at most 103 bytes
	if err != nil {
		return "", err
	}
	who, err := attributes(dir)
	if err != nil {
		return "", err
	}
	make := exec.Command(filepath.Join(bin, "initdb"), "-D", filepath.Join(dir, "data"), "-U", "postgres", "-A", "trust",
		"-E", "UTF8", "--locale=C", "--no-sync")
	make.Dir, make.SysProcAttr = dir, who
	if said, err := make.CombinedOutput(); err != nil {
		os.RemoveAll(dir)
		return "", fmt.Errorf("initdb: %w: %s", err, said)
	}
	run := exec.Command("/bin/sh", "-c", supervise, "sh", bin, dir)
	run.Dir, run.SysProcAttr = dir, who
	if alive, err = run.StdinPipe(); err != nil {
		return "", err
	}
	if err := run.Start(); err != nil {
		return "", err
	}
	dsn = (&url.URL{Scheme: "postgres", Path: "/postgres", RawQuery: url.Values{"host": {dir}, "user": {"postgres"}}.Encode()}).String()
	return dsn, answering(dsn, dir)
}

// alive is our end of the supervisor's standard input. It is kept from the garbage collector, who
// would close it.
//
//nolint:unused // being held is its use
var alive interface{ Close() error }

// attributes lets the server be another user when we are root, since it refuses to be root, and
// out of the terminal's reach: an interrupt is for us, and the server follows.
func attributes(dir string) (*syscall.SysProcAttr, error) {
	out := &syscall.SysProcAttr{Setsid: true}
	if os.Geteuid() != 0 {
		return out, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.Atoi(u.Uid)
		if err != nil {
			continue
		}
		gid, err := strconv.Atoi(u.Gid)
		if err != nil {
			continue
		}
		out.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
		return out, os.Chown(dir, uid, gid)
	}
	return nil, errors.New("it refuses to run as root, and this machine has neither a user postgres nor nobody")
}

// binaries finds the directory with the server's programs, the newest where there are several.
func binaries() (string, error) {
	var found []string
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		if complete(dir) {
			return dir, nil
		}
	}
	for _, place := range places {
		dirs, err := filepath.Glob(place)
		if err != nil {
			return "", err
		}
		found = append(found, slices.DeleteFunc(dirs, func(dir string) bool { return !complete(dir) })...)
	}
	if len(found) == 0 {
		return "", errors.New("its programs are neither in PATH nor where packages put them")
	}
	return slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) }), nil
}

func complete(dir string) bool {
	for _, program := range []string{"initdb", "postgres"} {
		if info, err := os.Stat(filepath.Join(dir, program)); err != nil || info.IsDir() {
			return false
		}
	}
	return true
}

var digits = regexp.MustCompile(`\d+`)

func version(dir string) int {
	n, err := strconv.Atoi(digits.FindString(dir))
	if err != nil {
		return 0
	}
	return n
}

// answering waits until the server does.
func answering(dsn, dir string) error {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	const patience, between = 30 * time.Second, 20 * time.Millisecond
	for deadline := time.Now().Add(patience); ; time.Sleep(between) {
		if err = db.PingContext(context.Background()); err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			said, _ := os.ReadFile(filepath.Join(dir, "log")) // the ping's error is the one that counts
			return fmt.Errorf("%w: %s", err, said)
		}
	}
}
