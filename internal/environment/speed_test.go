package environment_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// Three environments with rules and ten secrets each, at 80 ms a request: as long as the longest chain
// of requests of which each needs the one before. That is, for a project that is new: the repository;
// reviewer; access; the environment; its branch; looking at both; the key; a secret; the closing list.
func TestSpeed(t *testing.T) {
	if testing.Short() {
		t.Skip("takes real time")
	}
	const latency, chain = 80 * time.Millisecond, 9
	w := newWorld(t)
	var secrets []string
	for i := range 10 {
		secrets = append(secrets, fmt.Sprintf("SECRET_%d", i))
	}
	three := w.three(secrets...)
	req := w.request(three...)
	w.sim.SetFaults(githubsim.Faults{Latency: latency})
	w.sim.ResetRequests()
	began := time.Now()
	res, err := w.svc.Apply(t.Context(), req)
	took := time.Since(began)
	if err != nil || !res.InStep() {
		t.Fatalf("%v %+v", err, res.Errors)
	}
	t.Logf("made in %s, %d requests", took, w.sim.Counts().Requests)
	if most := chain * latency * 13 / 10; took > most {
		t.Errorf("%s, want at most %s", took, most)
	}

	req = w.request(three...)
	w.sim.ResetRequests()
	began = time.Now()
	if res, err = w.svc.Apply(t.Context(), req); err != nil || len(res.Updated) != 0 {
		t.Fatalf("%v %+v", err, res)
	}
	took = time.Since(began)
	t.Logf("unchanged in %s, %d requests", took, w.sim.Counts().Requests)
	if took > 2*latency { // all of them side by side
		t.Errorf("unchanged: %s", took)
	}
	if rest := unconditional(w.sim.Requests()); len(rest) > 0 {
		t.Errorf("unchanged, and this was sent: %v", rest)
	}
}
