package httpapi

import (
	"net/http"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/store/storetest"
	"github.com/octoseal/octoseal/internal/syncing"
)

// TestStatusAsksTheDatabaseSeldom counts the journeys to the database that a request for a status
// takes. Unlike a time, their number is the same on every machine.
func TestStatusAsksTheDatabaseSeldom(t *testing.T) {
	for name, c := range map[string]struct {
		cache time.Duration
		most  int64
	}{
		"a caller who was seen a moment ago": {time.Hour, 2}, // the project with the role, and the standing
		"a caller who was not":               {time.Nanosecond, 3},
	} {
		t.Run(name, func(t *testing.T) {
			dsn, line := storetest.Severable(t)
			w := newWorldOn(t, dsn, asServed, func(cfg *Config) { cfg.TokenCache = c.cache })
			token := w.token("dev", store.Developer)
			least := int64(1000)
			for range 10 { // the first prepare the statements
				before := line.Journeys()
				w.send(token, "GET", syncPath+"/status?projectId="+w.project.ID.String(), nil).into(http.StatusOK, nil)
				least = min(least, line.Journeys()-before)
			}
			if least < 1 || least > c.most {
				t.Errorf("%d journeys, want at most %d", least, c.most)
			}
		})
	}
}

// unused is a credential with which nothing is sent.
var unused = github.Token("ghp_unused", "the test's token")

// asServed gives the API a service with a client for each account, as that of a server has.
func asServed(c *Config) {
	accounts, err := syncing.NewAccounts(github.Config{BaseURL: "http://" + c.APIHost, Credential: unused}, c.Store, nil)
	if err != nil {
		panic(err)
	}
	c.Service = syncing.New(syncing.Config{Accounts: accounts, Store: c.Store, APIHost: c.APIHost, Holder: "test"})
}
