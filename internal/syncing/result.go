package syncing

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/store"
)

// A Result is the response of a synchronisation: data-model.md's fields, then ours.
type Result struct {
	SyncedCount   int           `json:"syncedCount"`
	SkippedCount  int           `json:"skippedCount"`
	Errors        []Failure     `json:"errors"`
	CorrelationID uuid.UUID     `json:"correlationId"`
	DurationMs    int64         `json:"durationMs"`
	Notices       []plan.Notice `json:"notices"`
	Summary       plan.Summary  `json:"summary"`
	Actions       []Done        `json:"actions"`
	Withheld      int           `json:"withheldDeletes"`
}

// A Failure is one secret in one scope that is not in step.
type Failure struct {
	SecretName string     `json:"secretName"`
	Scope      string     `json:"scope"`
	Error      string     `json:"error"`
	Code       fault.Code `json:"code"`
	Hint       string     `json:"hint,omitempty"`
}

// Done is one action with how it ended.
type Done struct {
	plan.Action
	OK bool `json:"ok"`
}

// A Preview is a plan as people and programs are shown it.
type Preview struct {
	CorrelationID uuid.UUID     `json:"correlationId"`
	Actions       []plan.Action `json:"actions"`
	Summary       plan.Summary  `json:"summary"`
	Cost          Cost          `json:"cost"`
	Notices       []plan.Notice `json:"notices"`
	Withheld      bool          `json:"deletesWithheld"`
	FirstRun      bool          `json:"firstRun"` // nothing is remembered of the repository yet
	Empty         bool          `json:"empty"`
}

// A Cost is what applying a plan takes; seconds are the governor's estimate.
type Cost struct {
	plan.Cost
	Seconds float64 `json:"seconds"`
}

// assumedLatency is how long a request is taken to last before any was measured.
const assumedLatency = 200 * time.Millisecond

func (r *run) preview() Preview {
	cost := r.plan.Cost()
	p := Preview{
		CorrelationID: r.record.ID, Actions: r.plan.Actions, Summary: r.plan.Summary, Notices: r.notices,
		Withheld: r.plan.Withheld, FirstRun: len(r.memory) == 0, Empty: r.plan.Empty(),
	}
	if p.Actions == nil {
		p.Actions = []plan.Action{}
	}
	if p.Notices == nil {
		p.Notices = []plan.Notice{}
	}
	p.Cost = Cost{Cost: cost}
	if cost.Requests > 0 {
		p.Cost.Seconds = r.hub.Governor().Estimate(cost.Requests-cost.Writes, cost.Writes, r.settings.Concurrency, assumedLatency).Seconds()
	}
	return p
}

// failure says what is wrong with a step, if anything is.
func (r *run) failure(s *step) *fault.Fault {
	about := fault.Context{"secretName": s.SecretName.String(), "scope": s.Scope.String(), "conflictingScopes": []string{s.Scope.String()}}
	why := s.Reason.Explain()
	switch {
	case s.err != nil:
		return s.err
	case s.Reason == plan.NoValue && r.req.Source.Problems[s.SecretName] != nil:
		return r.req.Source.Problems[s.SecretName]
	case s.Verb.Failed():
		return advise(s, fault.New(why.Code, about).Saying("%s", why.Words))
	case s.deletes() && r.plan.Withheld:
		return fault.New(fault.ConflictDetected, about).Saying("not deleted: %s, and more would be deleted than may be unasked", why.Words).
			Hinting("If these are meant to go: --allow-deletes %d.", r.plan.Summary.Delete)
	}
	return nil
}

// advise says what a person can do about a conflict, or about a name that nobody has.
func advise(s *step, f *fault.Fault) *fault.Fault {
	switch {
	case s.Verb == plan.Conflict:
		return f.Hinting("To write over it: --force, or --adopt overwrite if it was never ours. To leave it: --adopt keep, or octoseal scopes set %s.", s.SecretName)
	case s.Reason == plan.Unusable:
		return f.Hinting("Correct %s in the source; without --skip-invalid it is said what is wrong with it.", s.SecretName)
	case f.Code == fault.SourceUnavailable:
		return f.Hinting("Check the spelling of %s, or add it to the source.", s.SecretName)
	}
	return f
}

// result counts each selected secret once.
func (r *run) result() Result {
	res := Result{
		CorrelationID: r.record.ID, DurationMs: r.lasted().Milliseconds(),
		Errors: []Failure{}, Notices: r.notices, Summary: r.plan.Summary, Actions: []Done{},
	}
	if res.Notices == nil {
		res.Notices = []plan.Notice{}
	}
	if r.plan.Withheld {
		res.Withheld = r.plan.Summary.Delete
	}
	byName := r.stepsByName()
	for _, name := range r.plan.Selected {
		failed, changed := false, false
		for _, s := range byName[name] {
			f := r.failure(s)
			if f != nil {
				failed = true
				res.Errors = append(res.Errors, Failure{name.String(), s.Scope.String(), f.Message, f.Code, f.Hint})
			}
			changed = changed || s.confirmed
			res.Actions = append(res.Actions, Done{s.Action, f == nil})
		}
		switch {
		case failed:
		case changed:
			res.SyncedCount++
		default:
			res.SkippedCount++
		}
	}
	return res
}

func (r Result) failedNames() int {
	names := map[string]bool{}
	for _, f := range r.Errors {
		names[f.SecretName] = true
	}
	return len(names)
}

// InStep says whether nothing needs attention.
func (r Result) InStep() bool { return len(r.Errors) == 0 }

func (r Result) state() store.RunState {
	if r.InStep() {
		return store.Succeeded
	}
	return store.Partial
}

// kept is the result as it is stored: without the actions that did nothing, which are nearly all of
// them in a run that nobody asked for.
func (r Result) kept() json.RawMessage {
	r.Actions = slices.DeleteFunc(slices.Clone(r.Actions), func(d Done) bool { return d.Verb == plan.Skip && d.OK })
	raw, err := json.Marshal(r)
	if err != nil { // numbers, texts and times always marshal
		panic(err)
	}
	return raw
}

// refusal is what is stored as the result of a run that ended before it wrote anything.
func refusal(f *fault.Fault) json.RawMessage {
	type failure struct {
		Code    fault.Code    `json:"code"`
		Message string        `json:"message"`
		Hint    string        `json:"hint,omitempty"`
		Context fault.Context `json:"context,omitempty"`
	}
	told := failure{f.Code, f.Message, f.Hint, f.Context}
	raw, err := json.Marshal(map[string]failure{"error": told})
	if err != nil { // something odd in the context: the message says it too
		told.Context = nil
		raw, _ = json.Marshal(map[string]failure{"error": told})
	}
	return raw
}

// The quotas of data-model.md that a run knows of.
const (
	quotaCore    = "core"
	quotaSecrets = "secrets"
)

// quotaFloor is how much of the core quota a run leaves to everybody else.
const quotaFloor = 100

// passQuota refuses a run that would take the hourly quota under the floor, or sits it out. What is
// not known passes: a server without quota headers has no quota.
func (r *run) passQuota(ctx context.Context) error {
	for {
		cost := r.plan.Cost().Requests
		q := r.hub.Quota()
		if cost == 0 || !q.Known || q.Remaining-cost >= quotaFloor {
			return nil
		}
		if f := overQuota(q, cost); !r.req.Wait || q.Limit-cost < quotaFloor {
			return f
		}
		wait := q.Reset.Sub(r.hub.Clock().GitHub(r.now())) + time.Second
		r.req.Progress(Event{Stage: Waiting, Detail: "the quota has " + strconv.Itoa(q.Remaining) + " requests left; going on at its reset, " + r.now().Add(wait).Local().Format(time.TimeOnly)})
		if err := sleep(ctx, wait); err != nil {
			return err
		}
		if err := r.lookAgain(ctx); err != nil {
			return err
		}
		if err := r.decide(ctx); err != nil {
			return err
		}
	}
}

func overQuota(q github.Quota, cost int) *fault.Fault {
	f := fault.New(fault.RateLimitExhausted, fault.Context{"quotaType": quotaCore, "remaining": q.Remaining, "resetAt": q.Reset.UTC().Format(time.RFC3339), "cost": cost})
	if q.Limit-cost < quotaFloor {
		return f.Hinting("No reset will do: the run takes %d requests, the limit is %d an hour, and %d are left to others. Write fewer secrets at once: --secret, --only.", cost, q.Limit, quotaFloor)
	}
	return f
}
