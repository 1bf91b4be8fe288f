package storetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// pagesOfProjects walks all pages and asks that every project is on one of them, once.
func pagesOfProjects(w *world) {
	ada := w.user("ada")
	want, hers := []string{w.project.Slug}, []string{}
	for i := range 12 {
		p := w.newProject("acme", fmt.Sprintf("r%02d", i), int64(100+i))
		want = append(want, p.Slug)
		if i%2 == 0 {
			w.check(w.store.SetMember(w.ctx, w.now, p.ID, ada.ID, store.Viewer))
			hers = append(hers, p.Slug)
		}
	}
	slices.Sort(want)
	gone := w.newProject("acme", "gone", 99)
	w.check(w.store.Archive(w.ctx, w.now, gone.ID))

	w.same("all", w.slugs(store.ProjectFilter{Limit: 5}), want)
	w.same("hers", w.slugs(store.ProjectFilter{User: ada.ID, Limit: 2}), hers)
	w.same("nobody's", len(w.slugs(store.ProjectFilter{User: uuid.New()})), 0)
	_, _, err := w.store.Projects(w.ctx, store.ProjectFilter{After: "%%"})
	w.same("a made-up cursor", fault.Is(err, fault.RequestInvalid), true)

	w.begin()
	active := map[string]store.ActiveProject{}
	for p, err := range w.store.ActiveProjects(w.ctx) {
		w.check(err)
		active[p.Repo] = p
	}
	w.same("active", len(active), len(want))
	started := micro(w.now)
	w.same("as polling knows it", active["web"], store.ActiveProject{
		ID: w.project.ID, APIHost: "api.github.com", Owner: "acme", Repo: "web", RepositoryID: 7, DefaultBranch: "main",
		CreatedAt: w.project.CreatedAt, LastRunAt: &started,
	})
	w.same("never run", active["r00"].LastRunAt == nil, true)
	for range w.store.ActiveProjects(w.ctx) {
		break // and the connection is free again
	}
}

// slugs walks all pages.
func (w *world) slugs(f store.ProjectFilter) (slugs []string) {
	w.Helper()
	for {
		page, next, err := w.store.Projects(w.ctx, f)
		w.check(err)
		for _, p := range page {
			slugs = append(slugs, p.Slug)
		}
		if f.After = next; next == "" {
			return slugs
		}
	}
}

func patches(w *world) {
	w.now = w.now.Add(time.Hour)
	installation, reviewer, none := int64(5), int64(6), int64(0)
	name, source, auto, every, adopt := "The Web", "source:vault", true, time.Hour, plan.AdoptKeep
	got, err := w.store.PatchProject(w.ctx, w.now, w.project.ID, store.ProjectPatch{
		Name: &name, ValueSource: &source, AutoSync: &auto, SyncInterval: &every, Adopt: &adopt, DefaultReviewerID: &reviewer, InstallationID: &installation,
	})
	w.check(err)
	want := w.project
	want.Name, want.ValueSource, want.AutoSync, want.SyncInterval, want.Adopt = name, source, auto, every, adopt
	want.DefaultReviewerID, want.InstallationID, want.UpdatedAt = &reviewer, &installation, micro(w.now)
	w.same("patched", got, want)
	stored, err := w.store.Project(w.ctx, w.project.ID)
	w.check(err)
	w.same("stored", stored, want)

	owner, branch := "acme2", "trunk"
	got, err = w.store.PatchProject(w.ctx, w.now, w.project.ID, store.ProjectPatch{Owner: &owner, DefaultBranch: &branch, InstallationID: &none})
	w.check(err)
	w.same("moved, uninstalled", []any{got.Owner, got.Repo, got.DefaultBranch, got.Name, got.InstallationID}, []any{owner, "web", branch, name, (*int64)(nil)})
	found, ok, err := w.store.ProjectByRepositoryID(w.ctx, "api.github.com", 7)
	w.check(err)
	w.same("found by its repository", []any{ok, found}, []any{true, got})

	empty, odd, negative, unknown := "", "file:/etc/passwd", -time.Second, plan.Adopt("always")
	for name, bad := range map[string]store.ProjectPatch{
		"name": {Name: &empty}, "owner": {Owner: &empty}, "source": {ValueSource: &odd}, "interval": {SyncInterval: &negative}, "adopt": {Adopt: &unknown},
	} {
		_, err := w.store.PatchProject(w.ctx, w.now, w.project.ID, bad)
		w.same(name+" is refused", fault.Is(err, fault.RequestInvalid), true)
	}
	_, err = w.store.PatchProject(w.ctx, w.now, uuid.New(), store.ProjectPatch{})
	w.same("unknown project", fault.Is(err, fault.ProjectNotFound), true)
}

func oneMapping(w *world) {
	w.record(w.begin(), store.Outcome{Mappings: []store.MappingRecord{{Name: alpha, TargetScopes: secret.Stores(), Status: store.Synced}}})
	row, err := w.store.Mapping(w.ctx, w.project.ID, alpha)
	w.check(err)
	w.same("mapping", []any{row.Name.String(), row.Status}, []any{alpha.String(), store.Synced})
	_, err = w.store.Mapping(w.ctx, w.project.ID, secret.MustName("UNHEARD_OF"))
	w.same("unknown secret", fault.Is(err, fault.ResourceNotFound), true)
}
