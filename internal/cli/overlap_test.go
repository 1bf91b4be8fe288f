package cli_test

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/store/storetest"
)

// A run that takes seconds is in the middle of its writes when another of the same project is asked
// for: of the other process, and with other options, so that it is a run of its own. GitHub itself
// tells whether they overlap, since the second one writes other values.
func TestOneRunAtATime(t *testing.T) {
	long(t)
	t.Parallel()
	const secrets, patience = 12, time.Minute
	f := newFleet(t, storetest.Postgres(t), 8)
	flags := []string{"--poll-interval", "off", "--concurrency", "1", "--wait-limit", "1ms"}
	f.serve(flags...)
	f.serve(flags...)
	// One to an account, whose limits are to hold nobody up, and with a file that can be changed.
	f.homes = slices.DeleteFunc(f.homes, func(h *home) bool { return h.file == "" || h.index%2 == 1 })
	for _, h := range f.homes {
		h.secrets = secrets
		f.write(h)
	}
	f.enrol()
	f.github.SetFaults(githubsim.Faults{Latency: 100 * time.Millisecond})
	book := f.watchRounds()
	for i, h := range f.homes {
		f.begin(f.replicas[i%2], h, nil)
	}
	f.eventually(patience, func() error { return book.begun(0, f.homes) })
	f.nextRound()
	for i, h := range f.homes {
		f.begin(f.replicas[1-i%2], h, map[string]any{"force": true})
	}
	f.none("a first run was over when the second was asked for: too soon to overlap",
		"SELECT id FROM sync_runs WHERE finished_at IS NOT NULL")
	f.allInStep(patience)
	f.none("a run did not write everything", fmt.Sprintf("SELECT id FROM sync_runs WHERE writes < %d", 3*secrets))
	if n := f.number("SELECT count(*) FROM sync_runs"); n != 2*len(f.homes) {
		t.Errorf("%d runs on record, want two of each of %d projects", n, len(f.homes))
	}
	for _, complaint := range book.outOfOrder() {
		t.Error(complaint)
	}
	f.wholeTrail()
}

// begin asks for a run of a project, with options of its own, and does not wait for it.
func (f *fleet) begin(r *replica, h *home, options map[string]any) {
	f.Helper()
	body := map[string]any{"projectId": h.project}
	maps.Copy(body, options)
	if a := r.ask(http.MethodPost, "/github/secrets/sync", "", body); a.status != http.StatusAccepted {
		f.Errorf("sync of %s: %s", h.repo, a)
	}
}

// A roundBook keeps the rounds of the values written to each repository, in the order of the writes.
type roundBook struct {
	mu     sync.Mutex
	rounds map[string][]int
}

// watchRounds opens every box as it is written, and notes of which round its value is.
func (f *fleet) watchRounds() *roundBook {
	b := &roundBook{rounds: map[string][]int{}}
	f.github.OnAnswer(func(r githubsim.Request) {
		part := strings.Split(r.Path, "/") // /repos/OWNER/REPO/SCOPE/secrets/NAME
		if r.Method != http.MethodPut || len(part) != 7 {
			return
		}
		repo := part[2] + "/" + part[3]
		value, _ := f.github.Value(repo, part[4], part[6])
		_, round, _ := strings.Cut(value, "-of-round-")
		n, err := strconv.Atoi(round)
		if err != nil {
			n = -1
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.rounds[repo] = append(b.rounds[repo], n)
	})
	return b
}

// begun says where no write of the round has arrived yet.
func (b *roundBook) begun(round int, homes []*home) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, h := range homes {
		if !slices.Contains(b.rounds[h.repo], round) {
			return fmt.Errorf("%s: no write of round %d, those so far are of %v", h.repo, round, b.rounds[h.repo])
		}
	}
	return nil
}

// outOfOrder tells where a value of an earlier round was written after one of a later: one run did
// so while another was at work.
func (b *roundBook) outOfOrder() (complaints []string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for repo, written := range b.rounds {
		if !slices.IsSorted(written) || written[0] < 0 {
			complaints = append(complaints, fmt.Sprintf("%s: values were written of the rounds %v", repo, written))
		}
	}
	return complaints
}
