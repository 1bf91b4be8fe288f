package syncing

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"golang.org/x/sync/errgroup"
)

// relaySource is the value_source of a project whose values stand in Actions, where a job of the
// repository reads them. A project that names no source has it.
const relaySource = "relay"

func fromRelay(p store.Project) bool { return p.ValueSource == "" || p.ValueSource == relaySource }

// FromRelay says whether a job of the repository brings the project's values, and can bring them here.
func (b *Bound) FromRelay() bool { return fromRelay(b.Project) && b.service.relay }

// LeaseWindow is how long after a run's last sign of life it is certain that it died.
func (s *Service) LeaseWindow() time.Duration { return s.settings.window() }

// withoutValues is Actions as a source whose values are not at hand: a run of it may delete and forget,
// and whatever turns out to need a value is an error of that secret.
func (s *Service) withoutValues() (Source, error) {
	src := Source{
		Identity: plan.ActionsSource,
		Seal: func(_ context.Context, _ secret.Hasher, name secret.Name, _ secret.PublicKey) (secret.Box, secret.Hash, error) {
			return secret.Box{}, secret.Hash{}, fault.New(fault.SourceUnavailable, fault.Context{
				"reason": name.String() + " changed while the run began, so that no job was asked for its value", "secretName": name.String(),
			}).Hinting("Run again.")
		},
	}
	if s.relay {
		return src, nil
	}
	return src, fault.New(fault.SourceUnavailable, fault.Context{"reason": "the project's values stand in Actions, and this server has no address at which a job of the repository could bring them"}).
		Hinting("Start it with octoseal serve --public-url URL; or name a source of the server's, --source NAME=FROM,OWNER/REPO, and give the project the value source source:NAME.")
}

// A Need is what a run lacks to bring its targets in step.
type Need struct {
	Names      []NeededName // in order; none: nothing is to be written
	Keys       map[secret.Scope]secret.PublicKey
	Hasher     secret.Hasher
	Repository github.Repository
	Plan       plan.Plan
	SeenAt     time.Time // GitHub's clock, when Actions was listed
}

// A NeededName is a secret whose value has to be written to some scopes.
type NeededName struct {
	Name   secret.Name
	Scopes []secret.Scope
}

// Needs says what a run would write now, and for which keys. It takes no lease and records nothing.
// It answers fault.SourceUnavailable when values do not come from the relay.
func (b *Bound) Needs(ctx context.Context, queued store.Run, o Order) (Need, error) {
	if !b.FromRelay() {
		return Need{}, fault.New(fault.SourceUnavailable, fault.Context{"reason": "the values of project " + b.repo.String() + " do not come from its jobs"}).
			Hinting("Give the project the value source relay.")
	}
	r := b.service.newRun(ctx, b.queued(queued, o))
	if err := r.planOnly(ctx); err != nil {
		return Need{}, err
	}
	n := Need{
		Names: needed(r.plan), Hasher: r.hasher, Repository: r.view.repo, Plan: r.plan, SeenAt: r.view.observed[secret.Actions].Date,
	}
	var err error
	n.Keys, err = r.publicKeys(ctx, n.Names)
	return n, err
}

func needed(p plan.Plan) []NeededName {
	var names []NeededName
	for _, a := range p.Actions {
		if !a.Verb.Writes() {
			continue
		}
		if n := len(names); n == 0 || names[n-1].Name != a.SecretName {
			names = append(names, NeededName{Name: a.SecretName})
		}
		last := &names[len(names)-1]
		last.Scopes = append(last.Scopes, a.Scope)
	}
	return names
}

// publicKeys fetches the key of each scope that a name is needed in, all at once.
func (r *run) publicKeys(ctx context.Context, names []NeededName) (map[secret.Scope]secret.PublicKey, error) {
	var scopes []secret.Scope
	for _, n := range names {
		scopes = append(scopes, n.Scopes...)
	}
	slices.SortFunc(scopes, secret.Scope.Compare)
	keys := map[secret.Scope]secret.PublicKey{}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	for _, scope := range slices.Compact(scopes) {
		g.Go(func() error {
			key, err := r.hub.PublicKey(ctx, r.view.repo, scope)
			mu.Lock()
			defer mu.Unlock()
			keys[scope] = key
			return err
		})
	}
	return keys, g.Wait()
}

// Relayed is what a job brought: for each secret a hash and a box for each scope, or why it has none.
type Relayed struct {
	Boxes    map[secret.Name]map[secret.Scope]secret.Box
	Hashes   map[secret.Name]secret.Hash
	Unusable map[secret.Name]*fault.Fault
}

// Apply carries a run out with what a job brought, under the project's lease, for which it waits. What
// is to be written is decided anew: a value that turns out to be in step is not written, and one that
// has changed since, or whose scope has another key by now, is an error that a next run settles.
func (b *Bound) Apply(ctx context.Context, queued store.Run, o Order, r Relayed, progress func(Event)) (Result, error) {
	req := b.queued(queued, o)
	req.Source, req.Open, req.Patient, req.Progress = r.source(queued.AskedAt), nil, true, progress
	return b.service.Sync(ctx, req)
}

func (r Relayed) source(askedAt time.Time) Source {
	return Source{
		Identity: plan.ActionsSource, Problems: r.Unusable, AskedAt: askedAt,
		Known: func(secret.Hasher) map[secret.Name]plan.Value {
			known := make(map[secret.Name]plan.Value, len(r.Hashes))
			for name, h := range r.Hashes {
				known[name] = plan.Value{Hash: h}
			}
			return known
		},
		Seal: func(_ context.Context, _ secret.Hasher, name secret.Name, key secret.PublicKey) (secret.Box, secret.Hash, error) {
			return r.seal(name, key)
		},
	}
}

// seal finds the box that was sealed for key. One for another key makes the caller ask for the key
// anew, once: it may be the box that is the newer of the two.
func (r Relayed) seal(name secret.Name, key secret.PublicKey) (secret.Box, secret.Hash, error) {
	box, hash := r.Boxes[name][key.Scope()], r.Hashes[name]
	switch {
	case box.IsZero(), box.Scope() != key.Scope(), !hash.Seen():
		about := fault.Context{"secretName": name.String(), "scope": key.Scope().String(), "error": "no box"}
		return secret.Box{}, secret.Hash{}, fault.New(fault.EncryptionFailed, about).
			Saying("The job was not asked to seal %s for %s: it changed after the job began.", name, key.Scope()).Hinting("Run again.")
	case box.KeyID() != key.ID():
		about := fault.Context{"secretName": name.String(), "scope": key.Scope().String(), "error": github.StaleKey.Error()}
		return secret.Box{}, secret.Hash{}, fault.New(fault.EncryptionFailed, about).Because(github.StaleKey)
	}
	return box, hash, nil
}

// Fail ends a run that could not have its values, with its event. What GitHub lists now is remembered,
// as far as it answers, so that no look starts another run for the same state. It does not wait for
// the project's lease: while another run holds it, it answers *store.ErrLeaseHeld.
func (b *Bound) Fail(ctx context.Context, queued store.Run, f *fault.Fault) error {
	o, err := OrderOf(queued)
	if err != nil {
		return err
	}
	req := b.queued(queued, o)
	req.Source, req.Open = Source{Identity: plan.ActionsSource}, nil
	r := b.service.newRun(ctx, req)
	if err := r.recall(ctx); err != nil {
		return err
	}
	held, release, err := r.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := r.look(held); err != nil {
		r.log.DebugContext(ctx, "not looked at while a run is ended", "run", r.record.ID, "cause", err)
	}
	if err := context.Cause(held); err != nil {
		return errors.Join(err, r.recordEnd(held, err))
	}
	return r.recordEnd(held, f)
}

// queued is the request of a run from the queue.
func (b *Bound) queued(run store.Run, o Order) Request {
	req := b.request(o)
	req.Run, req.Actor, req.Trigger = run.ID, run.Actor, run.Trigger
	return req
}
