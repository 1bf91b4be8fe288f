package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/stdlib"
	"github.com/octoseal/octoseal/internal/fault"
)

const (
	defaultMaxConns = 10
	connectTimeout  = 10 * time.Second
	// idleTime lets a quiet program give its connections back to the server.
	idleTime = 5 * time.Minute
)

func openPostgres(ctx context.Context, cfg Config) (*Store, error) {
	conn, err := pgx.ParseConfig(cfg.DSN)
	if err != nil {
		// What the parser says may quote the URL, and the URL may hold a password.
		return nil, fault.Invalid("the database's URL is not one that PostgreSQL knows").
			Hinting("Give it as postgres://USER:PASSWORD@HOST:PORT/DATABASE.")
	}
	if conn.ConnectTimeout == 0 {
		conn.ConnectTimeout = connectTimeout
	}
	if conn.RuntimeParams["application_name"] == "" {
		conn.RuntimeParams["application_name"] = "octoseal"
	}
	if cfg.ReadOnly {
		conn.RuntimeParams["default_transaction_read_only"] = "on"
	}
	if cfg.MaxConns <= 0 {
		cfg.MaxConns = defaultMaxConns
	}
	db := stdlib.OpenDB(*conn)
	db.SetMaxOpenConns(cfg.MaxConns)
	db.SetMaxIdleConns(cfg.MaxConns)
	db.SetConnMaxIdleTime(idleTime)
	s := &Store{
		dialect: postgresDialect,
		name:    fmt.Sprintf("%s:%d/%s", conn.Host, conn.Port, conn.Database),
		writer:  db,
		reader:  db,
		log:     cfg.Log,
		conn:    cfg.DSN,
	}
	return s.prepared(ctx, cfg)
}
