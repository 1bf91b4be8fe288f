package store

import (
	"context"
	"database/sql"
	"embed"
	"fmt"
	"io/fs"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/exclusion"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/lock"
)

//go:embed migrations
var migrations embed.FS

const (
	versions      = "schema_versions" // the table in which goose notes what it did
	seedVersion   = 2
	schemaVersion = 4 // the newest that this program knows
	migrationLock = 0x6f63746f7365616c
)

// prepared is the store ready for use, or closed again.
func (s *Store) prepared(ctx context.Context, cfg Config) (*Store, error) {
	if err := s.prepare(ctx, cfg); err != nil {
		_ = s.release()
		return nil, err
	}
	return s, nil
}

// prepare brings the schema up to date, and refuses one that this program does not know. Reading
// one number comes first: goose costs more than all the rest of a start.
func (s *Store) prepare(ctx context.Context, cfg Config) error {
	version, err := s.version(ctx)
	if err != nil {
		return s.explain(ctx, "read the schema's version of "+s.name, err)
	}
	switch {
	case version > schemaVersion:
		return s.unusableVersion("its schema", version, schemaVersion, "Use the newer octoseal, or name another place with --database.")
	case version == 0 && cfg.ReadOnly:
		return ErrNoDatabase
	case version < schemaVersion && cfg.ReadOnly:
		return s.unusableVersion("its schema", version, schemaVersion, "Run octoseal migrate, or any command that writes: it brings the database up to date.")
	case version < schemaVersion:
		if err := s.migrate(ctx, cfg.Now()); err != nil {
			return err
		}
	}
	if cfg.ReadOnly {
		return nil
	}
	if err := s.Partitions(ctx, cfg.Now()); err != nil || !cfg.Queue {
		return err
	}
	return s.openQueue(ctx)
}

// Migrate brings a database up to date, its queue included, and closes it.
func Migrate(ctx context.Context, cfg Config) error {
	cfg.ReadOnly, cfg.Queue = false, true
	s, err := Open(ctx, cfg)
	if err != nil {
		return err
	}
	return s.Close()
}

// version is that of the last migration applied; 0 is a database without our tables.
func (s *Store) version(ctx context.Context) (int64, error) {
	known, err := number(ctx, s.reader, s.dialect.hasTable, versions)
	if err != nil || known == 0 {
		return 0, err
	}
	return number(ctx, s.reader, "SELECT max(version_id) AS n FROM "+versions+" WHERE is_applied")
}

func (s *Store) unusableVersion(what string, version, known int64, hint string) error {
	return fault.New(fault.StoreUnavailable, fault.Context{
		"reason":   fmt.Sprintf("%s: %s has version %d, this octoseal knows %d", s.name, what, version, known),
		"database": s.name,
	}).Hinting("%s", hint)
}

func (s *Store) migrate(ctx context.Context, now time.Time) error {
	folder, err := fs.Sub(migrations, "migrations/"+s.dialect.name)
	if err != nil {
		return err
	}
	options := []goose.ProviderOption{
		goose.WithTableName(versions),
		goose.WithDisableGlobalRegistry(true),
		goose.WithLogger(goose.NopLogger()),
		goose.WithGoMigrations(goose.NewGoMigration(seedVersion, &goose.GoFunc{
			RunTx: func(ctx context.Context, tx *sql.Tx) error { return seed(ctx, tx, stamp(now)) },
		}, nil)),
	}
	if s.postgres() {
		options = append(options, goose.WithSessionLocker(advisoryLock{}))
	}
	provider, err := goose.NewProvider(s.dialect.migrations, s.writer, folder, options...)
	if err != nil {
		return err
	}
	done, err := provider.Up(ctx)
	if err != nil {
		return s.explain(ctx, "migrate "+s.name, err)
	}
	for _, d := range done {
		s.log.InfoContext(ctx, "database migrated", "database", s.name, "version", d.Source.Version, "took", d.Duration)
	}
	return nil
}

// advisoryLock lets one replica migrate while the others wait. Waiting in the server costs
// nothing; goose's own locker asks again every few seconds.
type advisoryLock struct{}

var _ lock.SessionLocker = advisoryLock{}

func (advisoryLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_lock($1)", int64(migrationLock))
	return err
}

func (advisoryLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	_, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", int64(migrationLock))
	return err
}

// seed adds what every database holds from the start: the system users and the default rules.
func seed(ctx context.Context, tx *sql.Tx, now time.Time) error {
	if err := insert(ctx, tx, "users", "", systemUsers(now)...); err != nil {
		return err
	}
	var rules []ruleRow
	for i, rule := range exclusion.Defaults() {
		// A microsecond apart, so that they keep their order.
		at := now.Add(time.Duration(i) * time.Microsecond)
		rules = append(rules, ruleRow{
			ID: uuid.New(), Pattern: rule.Pattern.String(), Reason: rule.Reason, Global: true, CreatedAt: at, UpdatedAt: at,
		})
	}
	return insert(ctx, tx, "secret_exclusion_patterns", "", rules...)
}
