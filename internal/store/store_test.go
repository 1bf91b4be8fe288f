package store_test

import (
	"testing"

	"github.com/octoseal/octoseal/internal/store/storetest"
)

func TestMemory(t *testing.T) {
	storetest.Run(t, func(testing.TB) string { return storetest.Memory })
}

func TestSQLite(t *testing.T) { storetest.Run(t, storetest.SQLite) }

func TestPostgres(t *testing.T) { storetest.Run(t, storetest.Postgres) }
