package storetest

import (
	"context"
	"database/sql"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"
	_ "github.com/jackc/pgx/v5/stdlib" // the driver called pgx
)

const (
	urlVariable     = "OCTOSEAL_TEST_POSTGRES_URL"
	requireVariable = "OCTOSEAL_REQUIRE_POSTGRES"
)

// server is the URL of the server that this process tests against, or why there is none.
var server = sync.OnceValues(func() (string, error) {
	if given := os.Getenv(urlVariable); given != "" {
		return given, nil
	}
	return startServer()
})

// Postgres returns the URL of a new, empty PostgreSQL database that is gone after the test. The
// server is OCTOSEAL_TEST_POSTGRES_URL's, or one started from the machine's own binaries and shared
// by all tests of the process. Where neither is to be had the test is skipped, or fails when
// OCTOSEAL_REQUIRE_POSTGRES is 1.
func Postgres(t testing.TB) (dsn string) {
	t.Helper()
	root, err := server()
	if err != nil {
		const hint = "install PostgreSQL (Debian: postgresql, Homebrew: postgresql@17) or set " + urlVariable
		if os.Getenv(requireVariable) == "1" {
			t.Fatalf("no PostgreSQL: %v; %s", err, hint)
		}
		t.Skipf("no PostgreSQL: %v; %s", err, hint)
	}
	name := "octoseal_" + strings.ReplaceAll(uuid.NewString(), "-", "")
	administer(t, root, "CREATE DATABASE "+name)
	t.Cleanup(func() { administer(t, root, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)") })
	return onDatabase(t, root, name)
}

func onDatabase(t testing.TB, root, name string) string {
	u, err := url.Parse(root)
	if err != nil {
		t.Fatalf("%s is not a URL", urlVariable)
	}
	u.Path = "/" + name
	return u.String()
}

func administer(t testing.TB, root, statement string) {
	t.Helper()
	db, err := sql.Open("pgx", root)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(context.Background(), statement); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", statement, err))
	}
}
