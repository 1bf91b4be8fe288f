package syncing

import (
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// The kinds of stored lists that are no scope's.
const (
	kindRepository   = "repository"
	kindOrganisation = "organisation"
)

// SourceKind is the kind under which the stamp of a run's source is stored beside its lists.
const SourceKind = "source"

// A look is what one observation asks for.
type look struct {
	ref          github.Ref
	number       int64 // of the repository, if it was seen before
	scopes       []secret.Scope
	asked        bool           // the scopes were named by the request, not filled in
	organisation bool           // the names visible as organisation secrets, too
	keysFor      []secret.Scope // fetch these keys beside the lists, since they will be needed
	known        map[string]json.RawMessage
}

// A view is what one observation found.
type view struct {
	repo     github.Repository
	date     time.Time
	lists    map[string]github.Listing // by the kind they are stored under
	keys     map[secret.Scope]secret.PublicKey
	observed map[secret.Scope]plan.Observation
	notices  []plan.Notice
}

// observe looks at the repository and at every list at once: one round trip when nothing has more
// than a page. Lists are conditional on what is stored, so an unchanged repository costs no quota.
func (r *run) observe(ctx context.Context, l look) (view, error) {
	v := view{lists: map[string]github.Listing{}, keys: map[secret.Scope]secret.PublicKey{}, observed: map[secret.Scope]plan.Observation{}}
	named := github.Repository{ID: l.number, Owner: l.ref.Owner, Name: l.ref.Name}
	errs := map[string]error{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	list := func(kind string, fetch func(known *github.Listing) (github.Listing, error)) {
		wg.Go(func() {
			got, err := fetch(l.listing(kind))
			mu.Lock()
			defer mu.Unlock()
			v.lists[kind], errs[kind] = got, err
		})
	}
	for _, scope := range l.scopes {
		list(scope.String(), func(known *github.Listing) (github.Listing, error) { return r.hub.List(ctx, named, scope, known) })
	}
	if l.organisation {
		list(kindOrganisation, func(known *github.Listing) (github.Listing, error) {
			return r.hub.OrganizationSecrets(ctx, named, known)
		})
	}
	for _, scope := range l.keysFor {
		wg.Go(func() {
			key, err := r.hub.PublicKey(ctx, named, scope)
			if named.ID == 0 {
				r.hub.ForgetKey(named, scope) // keys are kept by number: this one is for this run alone
			}
			mu.Lock()
			defer mu.Unlock()
			if err == nil { // otherwise whoever needs it asks again, and hears why not
				v.keys[scope] = key
			}
		})
	}
	var err error
	v.repo, v.date, err = r.hub.Repository(ctx, l.ref, l.repository())
	wg.Wait()
	if err != nil {
		return view{}, err
	}
	return v, v.judge(ctx, l, errs)
}

func (l look) repository() *github.Repository {
	var r github.Repository
	if raw, ok := l.known[kindRepository]; !ok || json.Unmarshal(raw, &r) != nil {
		return nil
	}
	return &r
}

func (l look) listing(kind string) *github.Listing {
	var li github.Listing
	if raw, ok := l.known[kind]; !ok || json.Unmarshal(raw, &li) != nil {
		return nil
	}
	return &li
}

// judge turns what the lists answered into observations, or into the error that ends the run: a
// store that refuses us, or one that was asked for and is not there.
func (v *view) judge(ctx context.Context, l look, errs map[string]error) error {
	missing := 0
	for _, scope := range l.scopes {
		err := errs[scope.String()]
		switch {
		case err == nil:
			v.observed[scope] = v.lists[scope.String()].Observation()
			continue
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, github.ErrStoreMissing) && l.asked:
			return storeMissing(scope, v.repo).Because(err)
		case errors.Is(err, github.ErrStoreMissing):
			missing++
			v.observed[scope] = plan.Observation{Missing: true}
			v.notices = append(v.notices, missingNotice(scope, v.repo))
		case fault.Is(err, fault.IntegrationDenied), fault.Is(err, fault.RateLimitExhausted):
			return err
		default:
			v.observed[scope] = plan.Observation{Failed: true}
			f := fault.Of(err)
			v.notices = append(v.notices, plan.Notice{Code: f.Code, Message: f.Message, Scope: scope.String(), Context: f.Context})
		}
		delete(v.lists, scope.String())
	}
	if missing > 0 && missing == len(l.scopes) {
		return storeMissing(l.scopes[0], v.repo)
	}
	if err := errs[kindOrganisation]; err != nil {
		// Without it a secret that moved to the organisation looks like one that is gone.
		return err
	}
	return nil
}

func storeMissing(scope secret.Scope, r github.Repository) *fault.Fault {
	perm := permission(scope)
	return fault.New(fault.IntegrationDenied, fault.Context{"scope": scope.String(), "repository": r.Owner + "/" + r.Name, "permission": perm.Slug + ":" + perm.Read}).
		Saying("%s/%s has no %s secrets: GitHub answers 404, although the repository is there.", r.Owner, r.Name, scope).
		Hinting("The repository's plan or server may lack the store, or the credential the permission %s:%s. Leave %s out of --scopes to go on without it.", perm.Slug, perm.Read, scope)
}

func missingNotice(scope secret.Scope, r github.Repository) plan.Notice {
	f := fault.New(fault.ResourceNotFound, fault.Context{"resource": scope.String() + " secrets", "repository": r.Owner + "/" + r.Name})
	return plan.Notice{
		Code: f.Code, Scope: scope.String(), Context: f.Context,
		Message: "This repository's plan or server has no " + scope.String() + " secrets; the scope is left out.",
	}
}

func permission(scope secret.Scope) github.Permission {
	for _, p := range github.Permissions() {
		if p.Store == scope.String() {
			return p
		}
	}
	return github.Permission{Slug: "environments", Read: "read", Write: "write"}
}

// odd returns the names of a list that GitHub holds and the contract refuses.
func odd(l github.Listing) []string {
	var names []string
	for _, s := range l.Secrets() {
		if _, err := secret.ParseName(s.Name); err != nil {
			names = append(names, s.Name)
		}
	}
	return names
}

func oddNotice(name string) plan.Notice {
	f := fault.New(fault.NameInvalid, fault.Context{"secretName": name, "pattern": secret.NamePattern})
	return plan.Notice{Code: f.Code, Message: "Secret " + name + " is left out: GitHub holds it under a name that cannot be kept in step. " + f.Hint, SecretName: name, Context: f.Context}
}

// seen returns the lists as they are to be remembered, and the source's stamp: the next run compares
// with them, and so does whoever looks whether a run is needed.
func (r *run) seen() []store.List {
	lists := make([]store.List, 0, len(r.view.lists)+2)
	add := func(kind string, date time.Time, content any) {
		raw, err := json.Marshal(content)
		if err != nil { // plain structs of strings and times always marshal
			panic(err)
		}
		lists = append(lists, store.List{Kind: kind, Credential: r.record.Credential, Date: date, Content: raw})
	}
	if r.view.repo.ID == r.project.RepositoryID {
		for kind, l := range r.view.lists {
			if kind == secret.Actions.String() && (r.overtaken || r.hides(l)) {
				l = github.Listing{Scope: secret.Actions, Date: l.Date} // whoever compares finds a change, and looks again
			}
			add(kind, l.Date, l)
		}
		add(kindRepository, r.view.date, r.view.repo)
	}
	if r.req.Source.Stamp != "" {
		add(SourceKind, r.started, r.req.Source.Stamp)
	}
	return lists
}

// hides says whether to remember this list of Actions would hide a change from whoever compares: one of
// a name or for a scope that the run was not asked to bring.
func (r *run) hides(actions github.Listing) bool {
	isNarrow := len(r.req.Options.Names) > 0 || len(r.req.Options.Scopes) > 0
	isSource := r.req.Source.Identity == plan.ActionsSource || r.project.ValueSource == relaySource
	if !isNarrow || !isSource {
		return false
	}
	var before github.Listing
	_ = json.Unmarshal(r.known[secret.Actions.String()], &before) // none was seen before a first run
	return before.Mark().Digest != actions.Mark().Digest
}
