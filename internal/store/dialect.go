package store

import (
	"database/sql"

	"github.com/pressly/goose/v3"
)

// A dialect is all that differs between the two databases, besides how they are opened. The
// queries are the same text on both: placeholders are $1, $2, …, which SQLite takes for names.
type dialect struct {
	name       string
	migrations goose.Dialect // the folder of migrations is called as the dialect is
	snapshot   sql.TxOptions // of a transaction whose reads fit together
	forUpdate  string        // keeps others from a row that was read to be changed
	hasTable   string        // a number: whether there is a table called $1
	atClose    string
	lastWorker string // of a job: the replica that works on it
}

// SQLite has one writer at a time, so that nothing read by it needs keeping from others.
var sqliteDialect = dialect{
	name:       "sqlite",
	migrations: goose.DialectSQLite3,
	snapshot:   sql.TxOptions{ReadOnly: true},
	hasTable:   "SELECT count(*) AS n FROM sqlite_master WHERE type = 'table' AND name = $1",
	atClose:    "PRAGMA wal_checkpoint(TRUNCATE)",
	lastWorker: "attempted_by ->> '$[#-1]'",
}

var postgresDialect = dialect{
	name:       "postgres",
	migrations: goose.DialectPostgres,
	snapshot:   sql.TxOptions{ReadOnly: true, Isolation: sql.LevelRepeatableRead},
	forUpdate:  " FOR UPDATE",
	hasTable:   "SELECT (to_regclass($1) IS NOT NULL)::int AS n",
	lastWorker: "attempted_by[array_length(attempted_by, 1)]",
}

// postgres says whether the database is PostgreSQL, for the few methods that are another matter
// there altogether: partitions.
func (s *Store) postgres() bool { return s.dialect.name == postgresDialect.name }
