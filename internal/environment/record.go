package environment

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// finish records what was done, in one transaction, and sums it up. It runs to its end even when the
// apply was cancelled: what was confirmed is remembered, the rest keeps its intent.
func (a *apply) finish(ctx context.Context) (Result, error) {
	res, cancelled := a.result(), context.Cause(ctx)
	if res.InStep() {
		cancelled = nil // it came too late to cut anything short
	}
	ctx, stop := ending(ctx)
	defer stop()
	head, err := a.store.RecordEnvironments(ctx, a.now(), a.outcome(res))
	if err != nil {
		return Result{}, a.unrecorded(err)
	}
	a.log.InfoContext(ctx, "environments recorded", "run", a.id, "project", a.project.ID, "created", res.Created,
		"updated", res.Updated, "errors", len(res.Errors), "head_seq", head.Seq, "head_hash", head.Hash)
	return res, cancelled
}

// abandon records an apply that ended before it wrote anything, and returns why it ended.
func (s *session) abandon(ctx context.Context, req Request, why error) error {
	if cause := context.Cause(ctx); cause != nil {
		why = cause // a lease that was lost, rather than what was cut short by it
	}
	reason := "interrupted before anything was written"
	if !errors.Is(why, context.Canceled) {
		reason = fault.Of(why).Message
	}
	var scopes []secret.Scope
	failed := map[secret.Scope]bool{}
	for _, a := range req.Environments {
		scope := Tier(a.Name).Scope() // it was checked before
		scopes, failed[scope] = append(scopes, scope), true
	}
	slices.SortFunc(scopes, secret.Scope.Compare)
	e := s.event(audit.SyncAll).Outcome(scopes, failed, reason)
	e.Metadata = map[string]any{"environments": true}
	ctx, stop := ending(ctx)
	defer stop()
	o := store.EnvironmentOutcome{Project: s.project.ID, Actor: s.actor, Run: s.id, Events: []audit.Event{e}}
	if _, err := s.store.RecordEnvironments(ctx, s.now(), o); err != nil {
		s.log.WarnContext(ctx, "abandoned apply not recorded", "run", s.id, "cause", err)
	}
	return why
}

// unrecorded says that the database refused what was done. Its intents stand, so the next apply puts
// right what this one wrote.
func (a *apply) unrecorded(why error) error {
	if !slices.ContainsFunc(a.works, func(w *work) bool { return w.Put || len(w.steps) > 0 }) {
		return why
	}
	f := fault.Of(why)
	return fault.New(f.Code, f.Context).Saying("%s What was written is on GitHub, and not recorded.", f.Message).
		Hinting("Apply again when the database can be written: that settles it.").Because(why)
}

func (a *apply) outcome(res Result) store.EnvironmentOutcome {
	o := store.EnvironmentOutcome{
		Project: a.project.ID, Actor: a.actor, Run: a.id, Lease: a.lease.Lease, Lists: a.seen(), Events: a.events(res),
	}
	for _, w := range a.works {
		if c, ok := a.config(w); ok {
			o.Configs = append(o.Configs, c)
			if w.whole() {
				o.Synced = append(o.Synced, string(w.Tier))
			}
		}
		o.Settled = append(o.Settled, settledOf(w)...)
	}
	return o
}

// settledOf are the intents of which nothing is open: a list has shown the write, or nothing was
// sent. One that took over from an interrupted apply stays until its secret is written, since what is
// listed may be that one's.
func settledOf(w *work) []store.Target {
	var targets []store.Target
	for _, s := range w.steps {
		if s.confirmed || s.overtaken() || !s.sent && !s.resumed {
			targets = append(targets, store.Target{Name: s.name, Scope: s.tier.Scope()})
		}
	}
	return targets
}

// config is what is to be remembered of an environment. One that GitHub never had is not remembered,
// and one that was left alone stays remembered as it was applied last.
func (a *apply) config(w *work) (store.EnvironmentConfig, bool) {
	before, known := a.configs[w.Tier]
	switch {
	case w.shown.ID == 0 && known: // it was deleted outside, and was not to be had again
		before.Status = store.EnvironmentFailed
		return before, true
	case w.shown.ID == 0, w.Blocked && !known:
		return store.EnvironmentConfig{}, false
	}
	c := store.EnvironmentConfig{
		Name: string(w.Tier), GitHubID: w.shown.ID, Rules: raw(a.wantedOf(w.Tier).Rules), Linked: raw(a.linkedAfter(w)),
		Secrets: a.secretsAfter(w), Status: store.EnvironmentFailed,
	}
	if w.Blocked {
		c.Rules, c.Linked = before.Rules, before.Linked
	}
	if w.whole() {
		c.Status = store.EnvironmentActive
	}
	if d := a.deployed[w.Tier]; d != nil {
		at := d.CreatedAt
		c.LastDeploymentAt = &at
	}
	return c, true
}

func (j *job) wantedOf(t Tier) Wanted {
	for _, w := range j.wanted {
		if w.Tier == t {
			return w
		}
	}
	return Wanted{}
}

// linkedAfter are the links that an environment has now. One whose secret was not written stays what
// it was, and so do its claims against the other environments.
func (a *apply) linkedAfter(w *work) Links {
	asked, before := a.wantedOf(w.Tier).Linked, a.memory[w.Tier].Linked
	for _, link := range asked.each() {
		s := w.step(link.Secret)
		if s != nil && !s.answered && (!s.sent || before.at(link.Subject) != "") {
			asked = asked.without(link.Subject)
		}
	}
	return asked.over(before)
}

func raw(v any) json.RawMessage {
	b, err := json.Marshal(v)
	if err != nil { // plain structs of strings, numbers and flags always marshal
		panic(err)
	}
	return b
}

// secretsAfter are the secrets of ours in an environment: those remembered that are still listed, and
// those written now.
func (a *apply) secretsAfter(w *work) []store.EnvironmentSecret {
	after := maps.Clone(a.memory[w.Tier].Secrets)
	if after == nil {
		after = map[secret.Name]Remembered{}
	}
	listed := a.secrets[w.Tier].Observation().UpdatedAt
	for name := range after {
		if _, there := listed[name]; !there {
			delete(after, name)
		}
	}
	for _, s := range w.steps {
		switch hash := a.wantedOf(w.Tier).Secrets[s.name]; {
		case s.confirmed:
			after[s.name] = Remembered{Hash: hash, UpdatedAt: s.listed}
		case s.overtaken():
			after[s.name] = Remembered{Hash: hash, UpdatedAt: s.written.Date.Truncate(time.Second)}
		}
	}
	var out []store.EnvironmentSecret
	for name, r := range after {
		out = append(out, store.EnvironmentSecret{Name: name, Hash: r.Hash, LastUpdatedAt: r.UpdatedAt})
	}
	slices.SortFunc(out, func(x, y store.EnvironmentSecret) int { return x.Name.Compare(y.Name) })
	return out
}

// event is what all events of a session have in common.
func (s *session) event(op audit.Operation) audit.Event {
	return audit.Event{
		ID: uuid.New(), ProjectID: s.project.ID, ActorID: s.actor, Operation: op, CorrelationID: s.id, CreatedAt: s.started,
		DurationMs: s.now().Sub(s.started).Milliseconds(),
	}
}

// events are one for the apply, over the environments asked for, and one for each secret and verb,
// over the environments in which it had that verb.
func (a *apply) events(res Result) []audit.Event {
	var scopes []secret.Scope
	failed := map[secret.Scope]bool{}
	for _, w := range a.works {
		scopes = append(scopes, w.Tier.Scope())
		failed[w.Tier.Scope()] = !w.whole()
	}
	all := a.event(audit.SyncAll).Outcome(scopes, failed, summed(res.Errors))
	all.Metadata = map[string]any{"environments": true, "created": res.Created, "updated": res.Updated, "writes": a.writes()}
	if q := a.hub.Quota(); q.Known {
		all.Metadata["quotaRemaining"] = q.Remaining
	}
	return append([]audit.Event{all}, a.secretEvents()...)
}

func summed(failures []Failure) string {
	lines := make([]string, len(failures))
	for i, f := range failures {
		lines[i] = f.Environment + ": " + f.Error
	}
	return strings.Join(lines, " ")
}

func (a *apply) writes() int {
	n := 0
	for _, w := range a.works {
		if w.Put && !w.Blocked {
			n++
		}
		for _, s := range w.steps {
			if s.sent {
				n += max(1, s.written.Attempts)
			}
		}
	}
	return n
}

// A deed is one secret under one operation, in the environments in which it happened.
type deed struct {
	op     audit.Operation
	name   secret.Name
	scopes []secret.Scope
	failed map[secret.Scope]bool
	why    string
	steps  []*step
}

func (a *apply) secretEvents() []audit.Event {
	deeds := map[string]*deed{}
	for _, w := range a.works {
		for _, action := range w.Actions {
			name, isSecret := action.SecretName()
			op := operation(action.Verb)
			if !isSecret || op == "" {
				continue
			}
			key := name.String() + " " + string(op)
			d := deeds[key]
			if d == nil {
				d = &deed{op: op, name: name, failed: map[secret.Scope]bool{}}
				deeds[key] = d
			}
			scope := w.Tier.Scope()
			d.scopes = append(d.scopes, scope)
			if f := w.failed(action); f != nil {
				d.failed[scope], d.why = true, fmt.Sprintf("%s: %s", scope, f.Message)
			}
			if s := w.step(name); s != nil {
				d.steps = append(d.steps, s)
			}
		}
	}
	var events []audit.Event
	for _, key := range slices.Sorted(maps.Keys(deeds)) {
		d := deeds[key]
		e := a.event(d.op).Outcome(d.scopes, d.failed, d.why)
		spelled := d.name.String()
		e.SecretName, e.DurationMs = &spelled, took(d.steps).Milliseconds()
		events = append(events, e)
	}
	return events
}

// operation is what the audit trail calls a verb; a conflict is an update that failed.
func operation(v plan.Verb) audit.Operation {
	switch v {
	case plan.Create:
		return audit.Create
	case plan.Update, plan.Conflict:
		return audit.Update
	}
	return ""
}
