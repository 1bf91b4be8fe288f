package environment_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/store"
)

// Values that were planted are in no database, log, result, event or error, whatever went wrong.
func TestNoValueIsTold(t *testing.T) {
	const canary = "canary-9f3b1c"
	w := newWorld(t)
	dir := t.TempDir()
	db, err := store.Open(t.Context(), store.Config{DSN: "sqlite:" + filepath.Join(dir, "octoseal.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	w.db = db
	w.svc = w.service()

	w.sim.AddEnvironment(repo, "dev")
	w.sim.SetSecret(repo, "environment:dev", githubsim.Secret{Name: "THEIRS", Value: "theirs"})
	three := w.three("API_TOKEN")
	for i := range three {
		three[i].Secrets = []environment.Value{value("API_TOKEN", canary+"-1"), value("THEIRS", canary+"-2"), value("REFUSED", canary+"-3")}
	}
	three[1].Rules.ReviewerIDs = []int64{424242}
	w.sim.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{
		{Method: "PUT", Path: "/secrets/REFUSED", Answer: &githubsim.Answer{Status: 422, Body: `{"message":"Invalid request.\n\n` + canary + ` does not match"}`}},
		{Method: "PUT", Path: "/environments/production", Times: 1, Kinds: []githubsim.Kind{githubsim.LostAnswer}},
	}})
	var said strings.Builder
	tell := func(v any, err error) {
		raw, _ := json.Marshal(v)
		fmt.Fprintf(&said, "%s\n%+v\n%#v\n%v\n", raw, v, v, err)
	}
	tell(w.svc.Plan(t.Context(), w.request(three...)))
	tell(w.svc.Apply(t.Context(), w.request(three...)))
	w.sim.SetFaults(githubsim.Faults{})
	tell(w.svc.Apply(t.Context(), w.request(three...)))
	tell(w.svc.List(t.Context(), w.project()))
	tell(w.validate(environment.Tiers()...), nil)
	tell(w.request(three...), nil)
	tell(w.events(), nil)
	said.WriteString(w.log.String())
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		said.Write(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, form := range []string{canary, base64.StdEncoding.EncodeToString([]byte(canary))[:16]} {
		if i := strings.Index(said.String(), form); i >= 0 {
			t.Errorf("a value was told: …%q…", said.String()[max(0, i-200):i])
		}
	}
	if !strings.Contains(said.String(), "REFUSED") || said.Len() < 10_000 {
		t.Errorf("%d bytes were looked through, and the refused secret is not in them: the search is broken", said.Len())
	}
}
