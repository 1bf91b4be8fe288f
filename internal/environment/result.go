package environment

import (
	"slices"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
)

// A Result is the response of an apply: data-model.md's fields, then ours.
type Result struct {
	Created       []string      `json:"created"` // GitHub did not have them before, and has them now
	Updated       []string      `json:"updated"` // GitHub had them, and has them otherwise now
	Errors        []Failure     `json:"errors"`
	CorrelationID uuid.UUID     `json:"correlationId"`
	DurationMs    int64         `json:"durationMs"`
	Notices       []plan.Notice `json:"notices"`
	Summary       plan.Summary  `json:"summary"`
	Actions       []Done        `json:"actions"`
}

// A Failure is something about one environment that is not as asked.
type Failure struct {
	Environment string        `json:"environment"`
	Error       string        `json:"error"`
	Code        fault.Code    `json:"code"`
	SecretName  string        `json:"secretName,omitempty"` // when it is about one secret, and the others are in order
	Hint        string        `json:"hint,omitempty"`
	Context     fault.Context `json:"context,omitempty"`
}

// Done is one action with how it ended.
type Done struct {
	Action
	OK bool `json:"ok"`
}

// A Preview is a plan as people and programs are shown it.
type Preview struct {
	CorrelationID uuid.UUID     `json:"correlationId"`
	Actions       []Action      `json:"actions"`
	Summary       plan.Summary  `json:"summary"`
	Cost          plan.Cost     `json:"cost"`
	Errors        []Failure     `json:"errors"` // what Apply would answer without trying
	Notices       []plan.Notice `json:"notices"`
	Empty         bool          `json:"empty"`
}

func (j *job) preview() Preview {
	p := Preview{
		CorrelationID: j.id, Actions: j.plan.Actions(), Summary: j.plan.Summary(), Cost: j.plan.Cost(),
		Errors: []Failure{}, Notices: orEmpty(j.notices), Empty: j.plan.Empty(),
	}
	for _, a := range p.Actions {
		if a.Verb.Failed() {
			p.Errors = append(p.Errors, failure(a.Environment, a.name, a.fault))
		}
	}
	return p
}

func failure(t Tier, name secret.Name, f *fault.Fault) Failure {
	return Failure{Environment: string(t), Error: f.Message, Code: f.Code, SecretName: name.String(), Hint: f.Hint, Context: f.Context}
}

// InStep says whether nothing needs attention.
func (r Result) InStep() bool { return len(r.Errors) == 0 }

func (a *apply) result() Result {
	res := Result{
		Created: []string{}, Updated: []string{}, Errors: []Failure{}, CorrelationID: a.id,
		DurationMs: a.now().Sub(a.started).Milliseconds(), Notices: orEmpty(a.notices), Summary: a.plan.Summary(), Actions: []Done{},
	}
	for _, w := range a.works {
		switch {
		case w.created():
			res.Created = append(res.Created, string(w.Tier))
		case w.changed():
			res.Updated = append(res.Updated, string(w.Tier))
		}
		if w.fault != nil {
			res.Errors = append(res.Errors, failure(w.Tier, secret.Name{}, w.fault))
		}
		for _, action := range w.Actions {
			f := w.failed(action)
			if f != nil && (f != w.fault || action.Verb.Failed()) {
				res.Errors = append(res.Errors, failure(w.Tier, action.name, f))
			}
			res.Actions = append(res.Actions, Done{action, f == nil})
		}
	}
	return res
}

// created says that GitHub has the environment from now on, with all that was asked or not.
func (w *work) created() bool { return !w.Exists && w.shown.ID != 0 }

// changed says that GitHub shows other rules than before, or took a secret.
func (w *work) changed() bool {
	return w.Exists && w.shown.ID != 0 && (len(differences(w.before, w.shown.Rules)) > 0 ||
		slices.ContainsFunc(w.steps, func(s *step) bool { return s.answered }))
}

func (w *work) step(name secret.Name) *step {
	for _, s := range w.steps {
		if s.name == name {
			return s
		}
	}
	return nil
}

// failed says what kept an action from being carried out, if anything did.
func (w *work) failed(a Action) *fault.Fault {
	name, isSecret := a.SecretName()
	switch {
	case a.Verb.Failed():
		return a.fault
	case !a.Verb.Writes():
		return nil
	case w.fault != nil:
		return w.fault
	case isSecret:
		return w.step(name).fault
	}
	return nil
}

// whole says that the environment is as it was asked to be.
func (w *work) whole() bool {
	return w.fault == nil && !slices.ContainsFunc(w.Actions, func(a Action) bool { return w.failed(a) != nil })
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}

// took is the longest of the steps.
func took(steps []*step) time.Duration {
	var longest time.Duration
	for _, s := range steps {
		longest = max(longest, s.took)
	}
	return longest
}
