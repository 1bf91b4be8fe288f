package store_test

import (
	"os"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/store/storetest"
)

// TestMain lives in a time zone that no database and no build server is in: a time that comes back
// in the local zone changes what the chain's hashes are made of.
func TestMain(m *testing.M) {
	time.Local = time.FixedZone("elsewhere", -(9*60+30)*60)
	os.Exit(m.Run())
}

func TestMemory(t *testing.T) {
	storetest.Run(t, func(testing.TB) string { return storetest.Memory })
}

func TestSQLite(t *testing.T) { storetest.Run(t, storetest.SQLite) }

func TestPostgres(t *testing.T) { storetest.Run(t, storetest.Postgres) }
