package store

import (
	"context"
	"database/sql"
)

// attempts is how often a transaction is begun again after the database chose it as the victim of
// a deadlock or a serialization conflict.
const attempts = 4

// write runs do in one transaction. do may run more than once, so it keeps nothing from an
// earlier turn; and it uses nothing but the transaction, since SQLite's one writing connection is
// taken by it.
func (s *Store) write(ctx context.Context, doing string, do func(*sql.Tx) error) error {
	var err error
	for range attempts {
		if err = transact(ctx, s.writer, nil, do); classify(err) != troubleAgain {
			break
		}
	}
	return s.explain(ctx, doing, err)
}

// read runs do on one snapshot of the database.
func (s *Store) read(ctx context.Context, doing string, do func(*sql.Tx) error) error {
	return s.explain(ctx, doing, transact(ctx, s.reader, &s.dialect.snapshot, do))
}

func transact(ctx context.Context, db *sql.DB, opts *sql.TxOptions, do func(*sql.Tx) error) error {
	tx, err := db.BeginTx(ctx, opts)
	if err != nil {
		return err
	}
	defer tx.Rollback() // does nothing once committed
	if err := do(tx); err != nil {
		return err
	}
	return tx.Commit()
}
