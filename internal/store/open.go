package store

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"github.com/riverqueue/river"
)

// A Config says which database to open and how.
type Config struct {
	// DSN is postgres://…, sqlite:PATH, a bare path, or sqlite::memory:.
	DSN string
	// ReadOnly opens an existing database and writes nothing, not even beside it. Where there is
	// none, Open answers ErrNoDatabase.
	ReadOnly bool
	// Queue opens the queue as well, for a service. A command that runs by itself needs none.
	Queue bool
	// MaxConns bounds the connections to PostgreSQL; 10 unless set.
	MaxConns int
	// Log hears about migrations and partitions; nothing is logged without it.
	Log *slog.Logger
	// Now is the clock for what Open itself does; time.Now unless set.
	Now func() time.Time
}

// A Store is an open database. Its methods may be called from several goroutines.
type Store struct {
	dialect dialect
	name    string  // for people: the path, or host and database
	writer  *sql.DB // SQLite: one connection
	reader  *sql.DB // SQLite: several that cannot write; PostgreSQL: the writer
	path    string  // of an SQLite file; lock files stand beside it
	log     *slog.Logger
	conn    string // PostgreSQL's URL, for the connection that listens to the queue

	queue        *river.Client[*sql.Tx] // adds jobs; nil without Config.Queue
	queueVersion int64                  // the newest that this program knows
	sole         claim                  // on the queue of an SQLite file
}

// Open opens the database. It is made when absent and migrated when older; one that a newer
// program wrote is refused. What cannot be opened is a fault with the code STORE_UNAVAILABLE.
func Open(ctx context.Context, cfg Config) (*Store, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if strings.HasPrefix(cfg.DSN, "postgres://") || strings.HasPrefix(cfg.DSN, "postgresql://") {
		return openPostgres(ctx, cfg)
	}
	return openSQLite(ctx, cfg)
}

// Ping says whether the database answers.
func (s *Store) Ping(ctx context.Context) error {
	_, err := number(ctx, s.reader, "SELECT 1 AS n")
	return s.explain(ctx, "ping", err)
}

// Close releases everything. An SQLite database is one whole file afterwards, unless another
// process still has it open. Leases that are still held are not given back.
func (s *Store) Close() error {
	defer s.unstake()
	var err error
	if s.dialect.atClose != "" && s.reader != s.writer {
		s.reader.Close() // the writer is to be the last, whose end takes the log away
		_, err = s.writer.ExecContext(context.Background(), s.dialect.atClose)
	}
	if closing := s.release(); err == nil {
		err = closing
	}
	if err != nil {
		return s.explain(context.Background(), fmt.Sprintf("close %s", s.name), err)
	}
	return nil
}

// release closes the connections and no more.
func (s *Store) release() error {
	if s.reader != s.writer {
		s.reader.Close()
	}
	return s.writer.Close()
}

// Dialect is "sqlite" or "postgres".
func (s *Store) Dialect() string { return s.dialect.name }

// String names the database for people, without any password.
func (s *Store) String() string { return s.dialect.name + " " + s.name }
