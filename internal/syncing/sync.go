package syncing

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// A Request is one synchronisation as somebody asked for it.
type Request struct {
	Repo    github.Ref
	Run     uuid.UUID // one that was queued before and is taken up; zero: a new one
	Actor   uuid.UUID
	Trigger store.Trigger
	Source  Source
	// Open, when set, reads the source once the run has begun, so that having none is a run that
	// failed. The Source is looked at even beside an error, for its Identity and Stamp.
	Open    func(ctx context.Context) (Source, error)
	Options plan.Options // Default and Window are filled in
	// Decide, when set, sees the plan before anything is written and may adopt or decline.
	Decide func(ctx context.Context, p Preview) (Decision, error)
	// Progress hears what happens while it happens, from several goroutines at once.
	Progress func(Event)
	// Wait sits out a quota reset where the run would be refused otherwise.
	Wait bool
	// Patient has a run from the queue wait for the lease like any other: what it is to write will
	// not come again.
	Patient bool
}

// A Decision is a person's answer to a preview.
type Decision struct {
	Proceed bool
	Adopt   plan.Adopt // for the secrets that the targets have and we did not write
}

// ErrDeclined is what a run ends with when the person said no: nothing was written.
var ErrDeclined = errors.New("declined: nothing was written")

// A run is one synchronisation under way.
type run struct {
	*Service
	hub      hub
	req      Request
	record   store.Run
	started  time.Time
	thought  time.Duration // of that a person took to answer
	known    map[string]json.RawMessage
	project  store.Project
	isKnown  bool // the project stands in the database
	planning bool // nothing will be written
	lease    *store.Lease
	view     view
	memory   map[secret.Name]plan.Mapping
	source   plan.Source
	hasher   secret.Hasher
	input    plan.Input
	plan     plan.Plan
	notices  []plan.Notice
	steps    []step // one for each action of the plan
	// overtaken says that a value may have been changed in Actions after it was read for this run.
	overtaken bool
}

// Plan says what Sync would do, and does nothing: it takes no lease and records nothing.
func (s *Service) Plan(ctx context.Context, req Request) (Preview, error) {
	r := s.newRun(ctx, req)
	defer r.closeSource()
	if err := r.planOnly(ctx); err != nil {
		return Preview{}, err
	}
	return r.preview(), nil
}

// planOnly makes the plan of a run that writes nothing.
func (r *run) planOnly(ctx context.Context) error {
	r.planning = true
	if err := r.recall(ctx); err != nil {
		return err
	}
	if err := r.openSource(ctx); err != nil {
		return err
	}
	if err := r.look(ctx); err != nil {
		return err
	}
	return r.decide(ctx)
}

// Sync brings the targets in step. The order is the safety: lease, lists, plan, gates, intents,
// writes, deletes, closing lists, record. The result is valid together with ErrDeclined or a
// cancellation when anything was written before.
func (s *Service) Sync(ctx context.Context, req Request) (res Result, err error) {
	r := s.newRun(ctx, req)
	ctx, end := r.span(ctx, "sync")
	defer func() { end(err) }()
	defer r.closeSource()
	ctx, release, err := r.begin(ctx)
	if err != nil {
		return Result{}, err
	}
	defer release()
	if err := r.prepare(ctx); err != nil {
		return Result{}, r.abandon(ctx, err)
	}
	if err := r.openIntents(ctx); err != nil {
		return Result{}, r.abandon(ctx, err)
	}
	r.apply(ctx)
	return r.finish(ctx)
}

// lasted is how long the run has worked. The time that a person took to answer is not its own.
func (r *run) lasted() time.Duration { return r.now().Sub(r.started) - r.thought }

func (s *Service) newRun(ctx context.Context, req Request) *run {
	if req.Progress == nil {
		req.Progress = func(Event) {}
	}
	r := &run{Service: s, hub: s.hubFor(ctx, req.Repo.Owner), req: req, started: s.now()}
	r.req.Options.Window = s.settings.window()
	r.record = store.Run{
		ID: req.Run, Actor: req.Actor, Trigger: req.Trigger, State: store.Running,
		Credential: r.hub.Credential().Fingerprint(), StartedAt: r.started,
	}
	if req.Run == uuid.Nil {
		r.record.ID = uuid.New()
	}
	if req.Open == nil {
		r.useDefaults()
	}
	return r
}

// useDefaults fills in what depends on the source.
func (r *run) useDefaults() {
	if len(r.req.Options.Default) == 0 {
		r.req.Options.Default = DefaultScopes(r.req.Source.FromActions())
	}
}

func (r *run) openSource(ctx context.Context) (err error) {
	if r.req.Open != nil {
		r.req.Source, err = r.req.Open(ctx)
		r.useDefaults()
	}
	if err == nil && r.req.Source.FromActions() && slices.Contains(r.req.Options.Scopes, secret.Actions) {
		err = fault.Invalid("Scope actions is where the values come from, so nothing can be written there").
			Hinting("Leave it out of the scopes, or take the values from elsewhere.")
	}
	return err
}

func (r *run) closeSource() {
	if r.req.Source.Done != nil {
		r.req.Source.Done()
	}
}

// onlyStores refuses environments: their secrets belong to their rules, and are written with them.
func onlyStores(scopes []secret.Scope) error {
	for _, scope := range scopes {
		if name, ok := scope.Environment(); ok {
			return fault.Invalid("Scope %s cannot be kept in step with the repository's: the secrets of environment %s are its own", scope, name)
		}
	}
	return nil
}

// DefaultScopes are the scopes written when the request names none.
func DefaultScopes(fromActions bool) []secret.Scope {
	if fromActions {
		return []secret.Scope{secret.Codespaces, secret.Dependabot}
	}
	return []secret.Scope{secret.Actions, secret.Codespaces, secret.Dependabot}
}

// begin finds the project, takes its lease and looks. A repository never seen before has no project
// yet, so it is looked at first; that look stands if no other run came in between.
func (r *run) begin(ctx context.Context) (held context.Context, release func(), err error) {
	if err := r.recall(ctx); err != nil {
		return ctx, nil, err
	}
	early := !r.isKnown
	if early {
		if err := r.look(ctx); err != nil {
			return ctx, nil, err
		}
		if err := r.ensureProject(ctx); err != nil {
			return ctx, nil, err
		}
	}
	held, release, err = r.hold(ctx)
	if err != nil {
		return ctx, nil, err
	}
	if err := r.settleIn(held, early); err != nil {
		err = r.abandon(held, err)
		release()
		return ctx, nil, err
	}
	return held, release, nil
}

// settleIn makes sure that what the run knows was seen under its lease, or before anybody could
// have had one: nobody has if this run is the project's only one.
func (r *run) settleIn(ctx context.Context, early bool) error {
	if err := r.openSource(ctx); err != nil {
		return err
	}
	if early {
		runs, err := r.store.LastRuns(ctx, r.project.ID, 2)
		if err != nil || len(runs) == 1 {
			return err
		}
	}
	return r.lookUnderLease(ctx)
}

func (r *run) lookUnderLease(ctx context.Context) error {
	if err := r.reload(ctx); err != nil {
		return err
	}
	if err := r.look(ctx); err != nil {
		return err
	}
	return r.ensureProject(ctx) // follows a rename
}

// recall finds the project by name and loads what is remembered of it.
func (r *run) recall(ctx context.Context) error {
	err := onlyStores(r.req.Options.Scopes)
	if err != nil {
		return err
	}
	r.project, r.isKnown, err = r.store.FindProject(ctx, r.apiHost, r.req.Repo.Owner, r.req.Repo.Name)
	if err != nil {
		return err
	}
	if !r.isKnown {
		r.hasher = secret.NewHasher(r.settings.HashKey, uuid.Nil.String())
		return nil
	}
	return r.reload(ctx)
}

// reload reads what is remembered of the project, under its lease if there is one.
func (r *run) reload(ctx context.Context) error {
	lists, err := r.store.Lists(ctx, r.project.ID, r.hub.Credential().Fingerprint())
	if err != nil {
		return err
	}
	r.known = make(map[string]json.RawMessage, len(lists))
	for _, l := range lists {
		r.known[l.Kind] = l.Content
	}
	r.hasher = secret.NewHasher(r.settings.HashKey, r.project.ID.String())
	r.memory, err = r.store.Memory(ctx, r.project.ID)
	return err
}

func (r *run) ensureProject(ctx context.Context) error {
	p, err := r.store.EnsureProject(ctx, r.started, r.projectFor(r.view.repo))
	if err != nil {
		return err
	}
	r.project, r.isKnown = p, true
	r.hasher = secret.NewHasher(r.settings.HashKey, p.ID.String())
	return nil
}

func (s *Service) projectFor(r github.Repository) store.Project {
	return store.Project{
		Name: r.Owner + "/" + r.Name, APIHost: s.apiHost, Owner: r.Owner, Repo: r.Name,
		RepositoryID: r.ID, DefaultBranch: r.DefaultBranch,
	}
}

// look observes GitHub for this run.
func (r *run) look(ctx context.Context) (err error) {
	ctx, end := r.span(ctx, "observe")
	defer func() { end(err) }()
	r.req.Progress(Event{Stage: Observing})
	l := look{ref: r.req.Repo, number: r.project.RepositoryID, scopes: r.scopes(), asked: len(r.req.Options.Scopes) > 0, organisation: r.req.Source.FromActions(), known: r.known, keysFor: r.likelyKeys(ctx)}
	v, err := r.observe(ctx, l)
	if errors.Is(err, github.ErrReplaced) || err == nil && r.isKnown && v.repo.ID != r.project.RepositoryID {
		return r.replaced()
	}
	if err != nil {
		return err
	}
	r.view = v
	return nil
}

// replaced ends a run whose project is bound to another repository than its name leads to now.
// Whoever makes a repository under a deleted one's name must not be sent its secrets.
func (r *run) replaced() error {
	return fault.New(fault.ResourceNotFound, fault.Context{"resource": "The repository that was synced as " + r.req.Repo.String(), "repositoryId": r.project.RepositoryID}).
		Saying("%s is another repository now: the one that was synced under this name has the number %d. Nothing was written.", r.req.Repo, r.project.RepositoryID).
		Hinting("If that one was renamed, sync it once by its new name. If the new repository is meant, forget the old one: octoseal project remove --repo %s.", r.req.Repo).
		Because(github.ErrReplaced)
}

// scopes returns every scope this run has to know: those it may write, and the source.
func (r *run) scopes() []secret.Scope {
	scopes := slices.Clone(r.req.Options.Scopes)
	if len(scopes) == 0 {
		scopes = slices.Clone(r.req.Options.Default)
		for _, m := range r.memory {
			scopes = append(scopes, m.TargetScopes...)
		}
	}
	if r.req.Source.FromActions() {
		scopes = append(scopes, secret.Actions)
	}
	slices.SortFunc(scopes, secret.Scope.Compare)
	return slices.Compact(scopes)
}

// likelyKeys returns the scopes that will be written if GitHub still lists what it listed last, so
// that their keys can be fetched beside the lists. An unchanged source needs none, so an unchanged
// run pays for none.
func (r *run) likelyKeys(ctx context.Context) []secret.Scope {
	if r.req.Source.Known == nil || r.planning {
		return nil
	}
	in := plan.Input{
		Source: plan.Source{Identity: r.req.Source.Identity, Values: r.req.Source.Known(r.hasher)},
		Memory: r.memory, Options: r.req.Options, Observed: map[secret.Scope]plan.Observation{},
	}
	for _, scope := range r.scopes() {
		in.Observed[scope] = r.lastSeen(scope)
	}
	var err error
	if in.Excluded, err = r.verdicts(ctx, in.Source.Values); err != nil {
		return nil // the plan will meet it again, and say so
	}
	var keys []secret.Scope
	for _, a := range plan.Make(in).Actions {
		if a.Verb.Writes() {
			keys = append(keys, a.Scope)
		}
	}
	slices.SortFunc(keys, secret.Scope.Compare)
	return slices.Compact(keys)
}

// lastSeen is a scope as this credential saw it last. Where it never looked, what is remembered of
// our own writes has to do; a list that is missing among others was refused or not there.
func (r *run) lastSeen(scope secret.Scope) plan.Observation {
	l := look{known: r.known}
	if list := l.listing(scope.String()); list != nil {
		return list.Observation()
	}
	o := plan.Observation{Missing: l.repository() != nil, UpdatedAt: map[secret.Name]time.Time{}}
	for name, m := range r.memory {
		if st := m.States[scope]; st.Written() {
			o.UpdatedAt[name] = st.TargetUpdatedAt
		}
	}
	return o
}

// decide makes the plan from what was seen and what is remembered.
func (r *run) decide(ctx context.Context) error {
	if r.req.Options.Adopt == plan.AdoptNone {
		r.req.Options.Adopt = r.project.Adopt
	}
	r.source = plan.Source{Identity: r.req.Source.Identity, Unusable: map[secret.Name]bool{}}
	for _, name := range r.req.Source.Unusable {
		r.source.Unusable[name] = true
	}
	r.source.Valueless = make(map[secret.Name]bool, len(r.req.Source.Problems))
	for name := range r.req.Source.Problems {
		r.source.Valueless[name] = true
	}
	r.notices = slices.Clone(r.view.notices)
	if r.req.Source.FromActions() {
		if err := r.fromActions(); err != nil {
			return err
		}
	} else {
		r.source.Values = r.req.Source.Known(r.hasher)
	}
	excluded, err := r.verdicts(ctx, r.source.Values)
	if err != nil {
		return err
	}
	r.input = plan.Input{Source: r.source, Observed: r.view.observed, Memory: r.memory, Excluded: excluded, Options: r.req.Options}
	r.plan = plan.Make(r.input)
	r.notices = append(r.notices, r.plan.Notices...)
	return nil
}

// fromActions takes the names and times of the Actions list for the source.
func (r *run) fromActions() error {
	o := r.view.observed[secret.Actions]
	if o.Failed || o.Missing {
		return fault.New(fault.SourceUnavailable, fault.Context{"reason": "the Actions secrets could not be listed"})
	}
	var known map[secret.Name]plan.Value
	if r.req.Source.Known != nil {
		known = r.req.Source.Known(r.hasher)
	}
	r.source.Values = make(map[secret.Name]plan.Value, len(o.UpdatedAt))
	for name := range o.UpdatedAt {
		r.source.Values[name] = r.fromList(o, name, known[name].Hash)
	}
	r.source.Organisation = map[secret.Name]bool{}
	for name := range r.view.lists[kindOrganisation].Observation().UpdatedAt {
		r.source.Organisation[name] = true
	}
	for _, name := range odd(r.view.lists[secret.Actions.String()]) {
		r.notices = append(r.notices, oddNotice(name))
	}
	return nil
}

// fromList is what is known of one value of Actions. One that was read elsewhere may be older than what
// is listed now, unless that was listed before it was asked for: it is remembered one second early, so
// that the next run looks again.
func (r *run) fromList(o plan.Observation, name secret.Name, hash secret.Hash) plan.Value {
	at, _ := o.SourceTime(name)
	listed, asked := o.UpdatedAt[name], r.req.Source.AskedAt
	if hash.Seen() && !asked.IsZero() && !listed.Before(asked.Add(-plan.Tolerance)) {
		at, r.overtaken = listed.Add(-time.Second), true
	}
	return plan.Value{Hash: hash, UpdatedAt: at}
}

// verdicts asks the rules about every name of the source and of memory. Rules that cannot be read
// or that time out end the run: nothing is written when in doubt about a pattern.
func (r *run) verdicts(ctx context.Context, values map[secret.Name]plan.Value) (map[secret.Name]plan.Exclusion, error) {
	rules, err := r.store.Rules(ctx, r.project.ID)
	if err != nil {
		return nil, err
	}
	names := slices.Concat(slices.Collect(maps.Keys(values)), slices.Collect(maps.Keys(r.memory)), r.req.Options.Names)
	return Excluded(ctx, rules, names)
}

// prepare plans, asks, and passes the gates.
func (r *run) prepare(ctx context.Context) error {
	if err := r.decide(ctx); err != nil {
		return err
	}
	if r.req.Decide != nil {
		if err := r.ask(ctx); err != nil {
			return err
		}
	}
	return r.passQuota(ctx)
}

// ask shows the plan to a person. Answering takes time in which others write, so the lists are
// looked at once more before the answer is acted upon: what changed meanwhile is a conflict.
func (r *run) ask(ctx context.Context) error {
	asked := r.now()
	d, err := r.req.Decide(ctx, r.preview())
	r.thought = r.now().Sub(asked)
	if err != nil {
		return err
	}
	if !d.Proceed {
		return ErrDeclined
	}
	if d.Adopt != plan.AdoptNone {
		r.req.Options.Adopt = d.Adopt
	}
	if r.thought > time.Second {
		if err := r.lookAgain(ctx); err != nil {
			return err
		}
	}
	return r.decide(ctx)
}

// lookAgain renews what the run knows after it waited for somebody: others had the time to write,
// and to say where a secret belongs. The lists of the first look make the second one cheap.
func (r *run) lookAgain(ctx context.Context) error {
	r.known = map[string]json.RawMessage{}
	for _, l := range r.seen() {
		r.known[l.Kind] = l.Content
	}
	var err error
	if r.memory, err = r.store.Memory(ctx, r.project.ID); err != nil {
		return err
	}
	return r.look(ctx)
}
