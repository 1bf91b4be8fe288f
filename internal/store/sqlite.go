package store

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/octoseal/octoseal/internal/fault"
	_ "modernc.org/sqlite" // the driver called sqlite
)

// readers is how many connections read at once. They never write, so that a long read and a short
// write do not wait for each other.
const readers = 4

// Every connection keeps times as integers of microseconds, in UTC. The driver's own way, the text
// of time.String with its monotonic clock, neither sorts nor compares.
const timesAsIntegers = "_time_integer_format=unix_micro&_inttotime=1&_timezone=UTC"

// synchronous(FULL), because a commit that is lost at a power cut may be an intent.
// recursive_triggers, because REPLACE walks past the append-only triggers otherwise.
const writing = "_pragma=busy_timeout(10000)&_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)" +
	"&_pragma=foreign_keys(1)&_pragma=recursive_triggers(1)&_txlock=immediate&" + timesAsIntegers

// unchanging reads a file as if nothing could change it, and leaves no trace beside it.
const unchanging = "mode=ro&immutable=1&"

const reading = "_pragma=busy_timeout(10000)&_pragma=query_only(1)&" + timesAsIntegers

func openSQLite(ctx context.Context, cfg Config) (*Store, error) {
	path := strings.TrimPrefix(cfg.DSN, "sqlite:")
	if path == ":memory:" {
		return openMemory(ctx, cfg)
	}
	if path == "" {
		return nil, fault.Invalid("the database has no name; give sqlite:PATH or postgres://…")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fault.Invalid("the database's path has no absolute form").Because(err)
	}
	s := &Store{dialect: sqliteDialect, name: path, path: path, log: cfg.Log}
	if cfg.ReadOnly {
		return s.openToRead(ctx, cfg)
	}
	return s.openToWrite(ctx, cfg)
}

// openMemory opens a database that is gone at Close. It is its one connection, which never ends.
func openMemory(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.ReadOnly {
		return nil, ErrNoDatabase
	}
	db, err := sql.Open("sqlite", "file::memory:?"+writing)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	s := &Store{dialect: sqliteDialect, name: ":memory:", writer: db, reader: db, log: cfg.Log}
	return s.prepared(ctx, cfg)
}

// openToWrite lets one process at a time make and migrate the file. SQLite does not wait for its
// turn where several begin to keep a log, and two would make the same tables. A place without
// locks is taken as it is: then one of two has to be run again.
func (s *Store) openToWrite(ctx context.Context, cfg Config) (*Store, error) {
	if err := os.MkdirAll(filepath.Dir(s.path), 0o700); err != nil {
		return nil, s.unusable("its directory cannot be made", err)
	}
	unlock, err := waitForLock(ctx, s.path+".open.lock")
	if err == nil {
		defer unlock()
	} else if ctx.Err() != nil {
		return nil, s.explain(ctx, "open "+s.path, err)
	}
	if err := s.makeFile(ctx); err != nil {
		return nil, err
	}
	if s.writer, err = sql.Open("sqlite", fileURI(s.path, writing)); err != nil {
		return nil, err
	}
	s.writer.SetMaxOpenConns(1)
	if s.reader, err = sql.Open("sqlite", fileURI(s.path, reading)); err != nil {
		return nil, err
	}
	s.reader.SetMaxOpenConns(readers)
	s.reader.SetMaxIdleConns(readers)
	if err := s.writer.PingContext(ctx); err != nil { // before the readers: it begins the log
		_ = s.release()
		return nil, s.explain(ctx, "open "+s.path, err)
	}
	return s.prepared(ctx, cfg)
}

// openToRead opens the file without writing, not even beside it: a reader of a log would put its
// index there. As long as no log stands beside the file, the file is the whole database and is
// read as if nothing could change it; otherwise a writer is at work, or was killed at it, and left
// the index too.
func (s *Store) openToRead(ctx context.Context, cfg Config) (_ *Store, err error) {
	if err := s.looksLikeOurs(ctx); err != nil {
		return nil, err
	}
	how := unchanging
	if log, err := os.Stat(s.path + "-wal"); err == nil && log.Size() > 0 {
		how = "mode=ro&"
	}
	if s.reader, err = sql.Open("sqlite", fileURI(s.path, how+reading)); err != nil {
		return nil, err
	}
	s.writer = s.reader
	return s.prepared(ctx, cfg)
}

// makeFile makes sure that there is a file, which only its owner may read, and that it is ours.
// SQLite gives the files beside it the same permissions.
func (s *Store) makeFile(ctx context.Context) error {
	f, err := os.OpenFile(s.path, os.O_CREATE|os.O_EXCL|os.O_RDWR, 0o600)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, fs.ErrExist) {
		return s.unusable("it cannot be made", err)
	}
	if err := s.looksLikeOurs(ctx); err != nil && !errors.Is(err, ErrNoDatabase) {
		return err
	}
	return nil
}

// The beginning of an SQLite file: what it is, and at 68 whose it is, which our schema sets.
const (
	magic         = "SQLite format 3\x00"
	ownerAt       = 68
	applicationID = "OCSL"
)

// looksLikeOurs refuses what is no database, or another program's, before anything is written to
// it: SQLite itself would begin by changing its journal mode.
func (s *Store) looksLikeOurs(ctx context.Context) error {
	info, err := os.Stat(s.path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrNoDatabase
	case err != nil:
		return s.unusable("it cannot be read", err)
	case info.IsDir():
		return s.unusable("it is a directory", nil)
	case info.Size() == 0:
		return ErrNoDatabase
	}
	f, err := os.Open(s.path)
	if err != nil {
		return s.unusable("it cannot be read", err)
	}
	defer f.Close()
	head := make([]byte, ownerAt+len(applicationID))
	if _, err := io.ReadFull(f, head); err != nil || !bytes.HasPrefix(head, []byte(magic)) {
		return s.unusable("it is not an SQLite database", nil)
	}
	if string(head[ownerAt:]) == applicationID {
		return nil
	}
	return s.refuseStranger(ctx)
}

// refuseStranger looks into a file that does not say it is ours: another program's has tables, and
// one whose making was interrupted has none, or the table that comes first. What cannot be read
// this way is for SQLite to judge: the file may be in the making right now.
func (s *Store) refuseStranger(ctx context.Context) error {
	db, err := sql.Open("sqlite", fileURI(s.path, unchanging+reading))
	if err != nil {
		return err
	}
	defer db.Close()
	tables, err := number(ctx, db, "SELECT count(*) AS n FROM sqlite_master WHERE type = 'table'")
	if err != nil || tables == 0 {
		return nil
	}
	if ours, err := number(ctx, db, s.dialect.hasTable, versions); err != nil || ours > 0 {
		return nil
	}
	return s.unusable("it is the database of another program", nil)
}

// unusable is the fault of a file that SQLite was never asked to open.
func (s *Store) unusable(why string, cause error) *fault.Fault {
	if said := reasonOf(cause); said != "" {
		why += ": " + said
	}
	return fault.New(fault.StoreUnavailable, fault.Context{"reason": s.name + ": " + why, "database": s.name}).
		Hinting("Check the path and its permissions, or name another place with --database.").Because(cause)
}

// reasonOf is the operating system's word for what happened, without the path again.
func reasonOf(err error) string {
	if e := (*fs.PathError)(nil); errors.As(err, &e) {
		return e.Err.Error()
	}
	return ""
}

// fileURI spells a path so that no character of it is taken for a parameter.
func fileURI(path, parameters string) string {
	path = filepath.ToSlash(path)
	if runtime.GOOS == "windows" {
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path, RawQuery: parameters}).String()
}
