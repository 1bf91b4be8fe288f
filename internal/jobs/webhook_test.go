package jobs_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/jobs"
	"github.com/octoseal/octoseal/internal/store"
)

// deaf is a replica that does not poll: it hears of changes through webhooks alone.
func deaf(j *jobs.Config, _ *github.Config) { j.Interval = -1 }

func push(id int64, message string, files string) []byte {
	return fmt.Appendf(nil, `{"ref":"refs/heads/main","repository":{"id":%d,"full_name":"acme/widgets","default_branch":"main"},
		"head_commit":{"message":%q,"added":[],"modified":[%s],"removed":[]},"commits":[]}`, id, message, files)
}

func about(action string, id int64, name string) []byte {
	return fmt.Appendf(nil, `{"action":%q,"repository":{"id":%d,"full_name":%q,"default_branch":"main"}}`, action, id, name)
}

func (r *replica) deliver(guid, event string, body []byte) {
	r.t.Helper()
	if err := r.Deliver(r.t.Context(), guid, event, "application/json", body); err != nil {
		r.t.Errorf("%s %s: %v", event, guid, err)
	}
}

// hooked counts the runs that webhooks started.
func (w *world) hooked(p store.Project) int {
	n := 0
	for _, r := range w.runs(p) {
		if r.Trigger == store.Hooked && r.Actor == store.Webhook {
			n++
		}
	}
	return n
}

func TestAPushThatAsksForIt(t *testing.T) {
	w := newWorld(t, memoryDSN)
	p := w.project(repo)
	w.write(values{"TOKEN": "one"})
	r := w.replica(deaf)
	r.run()
	r.deliver("1", "push", push(p.RepositoryID, "nothing special", `"README.md"`))
	r.deliver("2", "push", push(p.RepositoryID+1, "[sync-secrets] of a stranger", ""))
	r.deliver("3", "ping", []byte(`{"zen":"Keep it logically awesome."}`))
	r.deliver("4", "push", push(p.RepositoryID, "now [sync-secrets] please", ""))
	w.eventually("in step", 5*time.Second, func() bool { return w.holds(repo, values{"TOKEN": "one"}) && w.idle(p) })
	r.deliver("4", "push", push(p.RepositoryID, "now [sync-secrets] please", ""))
	r.deliver("5", "push", push(p.RepositoryID, "a new variable", `".env.example"`))
	w.eventually("a second run", 5*time.Second, func() bool { return w.hooked(p) == 2 && w.idle(p) })
	time.Sleep(300 * time.Millisecond)
	if n := w.hooked(p); n != 2 {
		t.Errorf("%d runs for two pushes that asked", n)
	}
	if err := r.Deliver(t.Context(), "6", "push", "application/json", []byte("{")); !fault.Is(err, fault.RequestInvalid) {
		t.Errorf("half a payload: %v", err)
	}
}

// Renames delivered in the wrong order lead to the name that GitHub has now.
func TestRenamesInAnyOrder(t *testing.T) {
	w := newWorld(t, memoryDSN)
	p := w.project(repo)
	r := w.replica(deaf)
	r.run()
	w.sim.ChangeRepository(repo, func(r *githubsim.Repository) { r.FullName = "acme/gadgets" })
	w.sim.ChangeRepository("acme/gadgets", func(r *githubsim.Repository) { r.FullName = "acme/gizmos" })
	r.deliver("b", "repository", about("renamed", p.RepositoryID, "acme/gizmos"))
	r.deliver("a", "repository", about("renamed", p.RepositoryID, "acme/gadgets"))
	w.eventually("the project follows", 5*time.Second, func() bool { return w.called(p) == "acme/gizmos" })
	time.Sleep(300 * time.Millisecond)
	if got := w.called(p); got != "acme/gizmos" {
		t.Errorf("the project is called %s", got)
	}
}

func TestADeletedRepositoryIsArchivedOnlyWhenItIsGone(t *testing.T) {
	w := newWorld(t, memoryDSN)
	p := w.project(repo)
	r := w.replica(deaf)
	r.run()
	archived := func() bool {
		now, err := w.db.Project(t.Context(), p.ID)
		return err == nil && now.ArchivedAt != nil
	}
	r.deliver("1", "repository", about("deleted", p.RepositoryID, repo))
	time.Sleep(500 * time.Millisecond)
	if archived() {
		t.Fatal("archived while GitHub still has it")
	}
	w.sim.DeleteRepository(repo)
	r.deliver("2", "repository", about("deleted", p.RepositoryID, repo))
	w.eventually("archived", 5*time.Second, archived)
}

func TestInstallationsComeAndGo(t *testing.T) {
	w := newWorld(t, memoryDSN)
	p := w.project(repo)
	r := w.replica(deaf)
	r.run()
	installation := func() int64 {
		now, err := w.db.Project(t.Context(), p.ID)
		if err != nil || now.InstallationID == nil {
			return 0
		}
		return *now.InstallationID
	}
	body := func(action, key string, id int64) []byte {
		return fmt.Appendf(nil, `{"action":%q,"installation":{"id":%d},%q:[{"id":%d}]}`, action, id, key, p.RepositoryID)
	}
	r.deliver("1", "installation", body("created", "repositories", 7))
	w.eventually("installed", 5*time.Second, func() bool { return installation() == 7 })
	r.deliver("2", "installation_repositories", body("added", "repositories_added", 8))
	w.eventually("installed anew", 5*time.Second, func() bool { return installation() == 8 })
	r.deliver("3", "installation_repositories", body("removed", "repositories_removed", 7))
	time.Sleep(300 * time.Millisecond)
	if installation() != 8 {
		t.Error("a late word of the old installation took the new one away")
	}
	r.deliver("4", "installation", []byte(`{"action":"suspend","installation":{"id":8}}`))
	w.eventually("withdrawn", 5*time.Second, func() bool { return installation() == 0 })
}

// called is what a project's repository is called, as far as the database knows.
func (w *world) called(p store.Project) string {
	w.t.Helper()
	now, err := w.db.Project(w.t.Context(), p.ID)
	if err != nil {
		w.t.Fatal(err)
	}
	return now.Owner + "/" + now.Repo
}
