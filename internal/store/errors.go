package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/octoseal/octoseal/internal/fault"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// ErrNoDatabase is what a read-only Open answers when there is nothing to read yet.
var ErrNoDatabase = errors.New("there is no database yet; a run that may write makes it")

// ErrLeaseLost says that a run no longer holds its project's lease and must not write.
var ErrLeaseLost = errors.New("the lease on the project lapsed or went to another run; nothing more is written, run again")

// ErrRunFinished says that a run was recorded already: it cannot begin or intend anything again.
var ErrRunFinished = errors.New("the run has ended and was recorded; start a new one")

// ErrOtherWorkflow says that a run waits for another run of the workflow than the one that claims it.
var ErrOtherWorkflow = errors.New("another run of the workflow was started for this run")

// ErrEarlierAttempt says that a later attempt of the same run of the workflow has claimed the run.
var ErrEarlierAttempt = errors.New("a later attempt of the workflow run has claimed this run")

// An ErrDispatchHeld says that no workflow is to be started for a run yet: a run of its project is at
// work, or another waits for its job, after which there may be nothing left to do.
type ErrDispatchHeld struct {
	Run   uuid.UUID
	Until time.Time // at the latest
}

func (e *ErrDispatchHeld) Error() string {
	return fmt.Sprintf("run %s of this project comes first, until %s at the latest", e.Run, e.Until.Format(time.RFC3339))
}

// An ErrDispatchLimit says that so many workflows were started for a project that the next one has
// to wait.
type ErrDispatchLimit struct {
	Count int
	Next  time.Time
}

func (e *ErrDispatchLimit) Error() string {
	return fmt.Sprintf("%d workflows were started for this project lately; the next may be at %s", e.Count, e.Next.Format(time.RFC3339))
}

// An ErrLeaseHeld says who holds the lease of a project, and when it could be taken over.
type ErrLeaseHeld struct {
	Project     uuid.UUID
	Run         uuid.UUID
	Holder      string
	HeartbeatAt time.Time
	FreeAt      time.Time
	Dead        bool // the holder is known to be dead: its lock file is free
}

func (e *ErrLeaseHeld) Error() string {
	if e.Dead {
		return fmt.Sprintf("run %s of %s died at work; its lease is free at %s, once its last write must have arrived",
			e.Run, e.Holder, e.FreeAt.Format(time.RFC3339))
	}
	return fmt.Sprintf("run %s of %s is at work on this project; should it have died, its lease is free at %s",
		e.Run, e.Holder, e.FreeAt.Format(time.RFC3339))
}

// A trouble is one kind of refusal of a database, whichever database it was.
type trouble int

const (
	troubleNone        trouble = iota
	troubleOther               // not the database's
	troubleDuplicate           // something of this key exists
	troubleDangling            // something referred to does not exist, or something still refers to it
	troubleRefused             // a CHECK, NOT NULL or trigger
	troubleAgain               // chosen as the victim of a conflict: the same transaction may succeed now
	troubleUnavailable         // the database cannot be used
)

// classify reads the drivers' typed codes, never their texts.
func classify(err error) trouble {
	if err == nil {
		return troubleNone
	}
	if e := (*sqlite.Error)(nil); errors.As(err, &e) {
		return classifySQLite(e.Code())
	}
	if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		return classifyPostgres(e.Code)
	}
	if e := (*pgconn.ConnectError)(nil); errors.As(err, &e) {
		return troubleUnavailable
	}
	if e := (net.Error)(nil); errors.As(err, &e) {
		return troubleUnavailable
	}
	if pgconn.SafeToRetry(err) { // nothing was sent: the connection had ended before
		return troubleUnavailable
	}
	for _, gone := range []error{driver.ErrBadConn, sql.ErrConnDone, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed} {
		if errors.Is(err, gone) {
			return troubleUnavailable
		}
	}
	return troubleOther
}

func classifySQLite(code int) trouble {
	switch code {
	case sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_ROWID:
		return troubleDuplicate
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return troubleDangling
	}
	switch code & 0xff {
	case sqlite3.SQLITE_CONSTRAINT:
		return troubleRefused
	case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA, // our statements fit our tables: these are others
		sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT,
		sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH,
		sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_NOLFS:
		return troubleUnavailable
	}
	return troubleOther
}

func classifyPostgres(code string) trouble {
	switch code {
	case "23505":
		return troubleDuplicate
	case "23503":
		return troubleDangling
	case "40001", "40P01":
		return troubleAgain
	case "25006", // read-only: the primary became a standby
		"42P01", "42703": // a table or column is missing
		return troubleUnavailable
	}
	switch {
	case strings.HasPrefix(code, "23"):
		return troubleRefused
	case code == "57014": // the statement was cancelled, by us or by a timeout
		return troubleOther
	}
	for _, class := range []string{"08", "28", "3D", "53", "57", "58", "XX"} {
		if strings.HasPrefix(code, class) {
			return troubleUnavailable
		}
	}
	return troubleOther
}

// explain turns what a transaction answered into what a caller reads. Our own errors pass.
func (s *Store) explain(ctx context.Context, doing string, err error) error {
	if err == nil {
		return nil
	}
	if f := (*fault.Fault)(nil); errors.As(err, &f) {
		return err
	}
	switch ended := ctx.Err(); { // whatever the driver made of it
	case errors.Is(ended, context.DeadlineExceeded):
		return s.unavailable(ended)
	case ended != nil:
		return fmt.Errorf("%s: %w", doing, ended)
	}
	switch classify(err) {
	case troubleUnavailable, troubleAgain:
		return s.unavailable(err)
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// unavailable is the fault that says which database, why, and what to do.
func (s *Store) unavailable(err error) *fault.Fault {
	why, hint := "it does not answer", "Run again once the database is back; nothing recorded was lost."
	if errors.Is(err, context.DeadlineExceeded) {
		why = "it did not answer in the time allowed"
	} else if e := (*sqlite.Error)(nil); errors.As(err, &e) {
		why, hint = whySQLite(e.Code())
	} else if e := (*pgconn.PgError)(nil); errors.As(err, &e) {
		why, hint = whyPostgres(e.Code)
	}
	return fault.New(fault.StoreUnavailable, fault.Context{"reason": s.name + ": " + why, "database": s.name}).
		Hinting("%s", hint).Because(err)
}

func whySQLite(code int) (why, hint string) {
	const elsewhere = "or name another place with --database"
	switch code & 0xff {
	case sqlite3.SQLITE_FULL:
		return "the disk is full", "Make room, " + elsewhere + "; what was recorded is whole."
	case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_SCHEMA:
		return "its tables are not those that this program made",
			"Restore the file from a copy, or move it away: without it the next run treats every copy as unmanaged and asks before writing."
	case sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB:
		return "the file is damaged or not an SQLite database",
			"Restore it from a copy, or move it away: without it the next run treats every copy as unmanaged and asks before writing."
	case sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH:
		return "this user may not write the file or its directory", "Change its permissions, " + elsewhere + "."
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL:
		return "another process has kept it locked for more than 10 seconds", "Run again when that process is done."
	}
	return "the disk answered with an error", "Look at the disk, " + elsewhere + "."
}

func whyPostgres(code string) (why, hint string) {
	switch {
	case strings.HasPrefix(code, "28"):
		return "the server refuses this user or password", "Check the user and the password in the database's URL."
	case strings.HasPrefix(code, "3D"):
		return "the server has no database of this name", "Create the database, or correct its name in the URL."
	case code == "53100":
		return "the server's disk is full", "Make room on the server; what was recorded is whole."
	case code == "53300":
		return "the server has no connection left", "Raise max_connections there, or lower the number of connections here."
	case strings.HasPrefix(code, "42"):
		return "its tables are not those that this program made", "Restore the database from a copy; octoseal migrate makes those of an empty one."
	case code == "25006":
		return "the server takes no writes", "Point the database's URL at the primary."
	case strings.HasPrefix(code, "40"):
		return "other transactions kept getting in the way", "Run again."
	}
	return "the server is shutting down, starting, or in trouble", "Run again once the server is back; nothing recorded was lost."
}
