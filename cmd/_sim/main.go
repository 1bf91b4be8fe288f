package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

func main() {
	lat := flag.Duration("latency", 0, "")
	seed := flag.Bool("seed", false, "")
	n := flag.Int("dependabot", 0, "")
	points := flag.Int("points", 0, "")
	writes := flag.Int("writes", 0, "")
	addr := flag.String("addr", "127.0.0.1:9999", "")
	flag.Parse()
	g := githubsim.New(githubsim.Config{})
	tok := ""
	if *seed {
		tok = githubsim.Seed(g).Token
	} else {
		g.AddRepository(githubsim.Repository{FullName: "acme/widgets"})
		tok = g.AddToken(githubsim.Token{Value: "ghp_test0000000000000000000000000000000000"})
		for i := range *n {
			g.SetSecret("acme/widgets", "dependabot", githubsim.Secret{Name: fmt.Sprintf("SECRET_%03d", i), Value: "theirs", UpdatedAt: time.Now().Add(-time.Hour)})
		}
	}
	g.SetFaults(githubsim.Faults{Latency: *lat})
	g.SetLimits(githubsim.Limits{Points: *points, Writes: *writes})
	mux := http.NewServeMux()
	mux.HandleFunc("/_counts", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(g.Counts())
		if r.URL.Query().Get("reset") != "" {
			g.ResetRequests()
		}
	})
	mux.HandleFunc("/_set", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		g.SetSecret("acme/widgets", q.Get("scope"), githubsim.Secret{Name: q.Get("name"), Value: q.Get("value")})
	})
	mux.HandleFunc("/_del", func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		g.DeleteSecret("acme/widgets", q.Get("scope"), q.Get("name"))
	})
	mux.HandleFunc("/_secrets", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(g.Secrets("acme/widgets", r.URL.Query().Get("scope")))
	})
	mux.HandleFunc("/_without", func(w http.ResponseWriter, r *http.Request) {
		g.ChangeRepository("acme/widgets", func(x *githubsim.Repository) { x.Without = []string{r.URL.Query().Get("scope")} })
	})
	mux.Handle("/", g)
	fmt.Println(tok)
	panic(http.ListenAndServe(*addr, mux))
}
