package plan_test

import (
	"time"

	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
)

// The fixed points of the tests. Everything was written at nine and is listed at noon.
var (
	nine = time.Date(2026, 3, 1, 9, 0, 0, 0, time.UTC)
	noon = nine.Add(3 * time.Hour)

	foo = secret.MustName("FOO")
	bar = secret.MustName("BAR")

	one = hashOf("one")
	two = hashOf("two")

	prod = must(secret.Environment("production"))
)

const (
	window = 40 * time.Second
	file   = "file:/srv/app/.env"
	other  = "file:/srv/other/.env"
	stdin  = ""
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func hashOf(value string) secret.Hash {
	return secret.Hasher{}.Hash(secret.NewPlaintext([]byte(value)))
}

// A given changes one thing about an input.
type given func(*plan.Input)

// input returns FOO and Codespaces, both empty, as a .env would be synchronised into it.
func input(changes ...given) plan.Input {
	in := plan.Input{
		Source:   plan.Source{Identity: file, Values: map[secret.Name]plan.Value{}},
		Observed: map[secret.Scope]plan.Observation{secret.Codespaces: list()},
		Memory:   map[secret.Name]plan.Mapping{},
		Excluded: map[secret.Name]plan.Exclusion{},
		Options:  plan.Options{Default: []secret.Scope{secret.Codespaces}, AllowDeletes: 100, Window: window},
	}
	for _, change := range changes {
		change(&in)
	}
	return in
}

func list() plan.Observation {
	return plan.Observation{Date: noon, UpdatedAt: map[secret.Name]time.Time{}}
}

// present puts a value into the source.
func present(h secret.Hash) given {
	return func(in *plan.Input) { in.Source.Values[foo] = plan.Value{Hash: h} }
}

// presentInActions makes Actions the source, which has a value whose time alone is known.
func presentInActions(at time.Time) given {
	return func(in *plan.Input) {
		in.Source.Identity = plan.ActionsSource
		in.Source.Values[foo] = plan.Value{UpdatedAt: at}
	}
}

func from(identity string) given {
	return func(in *plan.Input) { in.Source.Identity = identity }
}

// listed puts a copy into the target.
func listed(at time.Time) given {
	return func(in *plan.Input) { in.Observed[secret.Codespaces].UpdatedAt[foo] = at }
}

// remembered lets us have written the value "one" at nine, changed as told.
func remembered(changes ...func(*plan.State)) given {
	st := plan.State{Source: file, Hash: one, TargetUpdatedAt: nine, WrittenAt: nine}
	return state(append([]func(*plan.State){func(s *plan.State) { *s = st }}, changes...)...)
}

// begun lets an interrupted run have been about to write what was never there before.
func begun(at, alive time.Time) given {
	return state(func(s *plan.State) { s.Source = file }, interrupted(at, alive))
}

func state(changes ...func(*plan.State)) given {
	return func(in *plan.Input) {
		m, ok := in.Memory[foo]
		if !ok {
			m = plan.Mapping{TargetScopes: []secret.Scope{secret.Codespaces}, States: map[secret.Scope]plan.State{}}
		}
		st := m.States[secret.Codespaces]
		for _, change := range changes {
			change(&st)
		}
		m.States[secret.Codespaces] = st
		in.Memory[foo] = m
	}
}

func interrupted(at, alive time.Time) func(*plan.State) {
	return func(s *plan.State) { s.Intent = plan.Intent{At: at, Run: "run", Alive: alive} }
}

func writtenFrom(source string) func(*plan.State) {
	return func(s *plan.State) { s.Source = source }
}

func sourceTime(at time.Time) func(*plan.State) {
	return func(s *plan.State) { s.SourceUpdatedAt = at }
}

func writtenFromActions(at time.Time) given {
	return remembered(writtenFrom(plan.ActionsSource), sourceTime(at), func(s *plan.State) { s.Hash = secret.Hash{} })
}

func excluded(in *plan.Input) {
	in.Excluded[foo] = plan.Exclusion{Pattern: "^FOO$", Reason: "a test"}
}

func valueless(in *plan.Input) { in.Source.Valueless = map[secret.Name]bool{foo: true} }

func inOrganisation(in *plan.Input) {
	in.Source.Organisation = map[secret.Name]bool{foo: true}
}

func asked(in *plan.Input) { in.Options.Names = []secret.Name{foo} }

func unusable(in *plan.Input) { in.Source.Unusable = map[secret.Name]bool{foo: true} }

func only(in *plan.Input) { in.Options.Only = []string{"F*"} }

func except(in *plan.Input) { in.Options.Except = []string{"X*"} }

func forced(in *plan.Input) { in.Options.Force = true }

func adopting(a plan.Adopt) given { return func(in *plan.Input) { in.Options.Adopt = a } }

func scopes(s ...secret.Scope) given { return func(in *plan.Input) { in.Options.Scopes = s } }

func observed(s secret.Scope, o plan.Observation) given {
	return func(in *plan.Input) { in.Observed[s] = o }
}

func failing(s secret.Scope) given { return observed(s, plan.Observation{Failed: true}) }
