package httpapi

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/store/storetest"
)

// BenchmarkStatus asks for the status of projects among 10,000 at 500 requests a second and reports
// the 95th percentile, counted from when a request was due: a server that lags does not hide it.
func BenchmarkStatus(b *testing.B) {
	for name, dsn := range map[string]func() string{
		"sqlite":   func() string { return "sqlite:" + b.TempDir() + "/bench.db" },
		"postgres": func() string { return storetest.Postgres(b) },
	} {
		b.Run(name, func(b *testing.B) { statusAtPace(b, dsn()) })
	}
}

func statusAtPace(b *testing.B, dsn string) {
	const projects, perSecond = 10_000, 500
	w := newWorldOn(b, dsn, asServed, func(c *Config) { c.TokenCache, c.Log = 0, nil })
	token := w.token("dev", store.Developer)
	dev, _, err := w.db.UserByLogin(context.Background(), "dev")
	must(b, err)
	ids := make([]string, projects)
	for i := range ids {
		p, err := w.db.EnsureProject(context.Background(), time.Now(), store.Project{
			APIHost: "bench", Owner: "bench", Repo: fmt.Sprintf("repo-%05d", i), RepositoryID: int64(1000 + i),
		})
		must(b, err)
		ids[i] = p.ID.String()
		must(b, w.db.SetMember(context.Background(), time.Now(), p.ID, dev.ID, store.Developer))
		if i%6 != 0 { // of runs six hours apart a sixth was in the last hour, whose writes are counted
			continue
		}
		must(b, w.db.BeginRun(context.Background(), store.Run{
			ID: uuid.New(), Project: p.ID, Actor: store.Scheduler, Credential: unused.Fingerprint(), StartedAt: time.Now(),
		}))
	}
	w.client.Transport = &http.Transport{MaxIdleConnsPerHost: 100}
	defer w.client.CloseIdleConnections()
	var mu sync.Mutex
	var took []time.Duration
	var group sync.WaitGroup
	b.ResetTimer()
	began := time.Now()
	for i := range b.N {
		due := began.Add(time.Duration(i) * time.Second / perSecond)
		time.Sleep(time.Until(due))
		group.Go(func() {
			w.send(token, "GET", syncPath+"/status?projectId="+ids[rand.IntN(projects)], nil).into(http.StatusOK, nil)
			mu.Lock()
			defer mu.Unlock()
			took = append(took, time.Since(due))
		})
	}
	group.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*95/100].Microseconds())/1000, "p95-ms")
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
}
