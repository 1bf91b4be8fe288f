package plan_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
)

// large is a project of n secrets with two targets each, everything written by us: a tenth is
// stale, a tenth was removed from the source, a tenth drifted, a tenth is new, the rest is in step.
func large(n int) plan.Input {
	targets := []secret.Scope{secret.Codespaces, secret.Dependabot}
	in := plan.Input{
		Source:   plan.Source{Identity: plan.ActionsSource, Values: make(map[secret.Name]plan.Value, n)},
		Observed: map[secret.Scope]plan.Observation{},
		Memory:   make(map[secret.Name]plan.Mapping, n),
		Options:  plan.Options{Default: targets, AllowDeletes: 2 * n, Window: window},
	}
	for _, s := range targets {
		in.Observed[s] = plan.Observation{Date: noon, UpdatedAt: make(map[secret.Name]time.Time, n)}
	}
	for i := range n {
		name := secret.MustName(fmt.Sprintf("SECRET_%06d", i))
		wrote, source := noon.Add(-time.Hour), noon.Add(-2*time.Hour)
		if i%10 != 1 {
			in.Source.Values[name] = plan.Value{UpdatedAt: source}
		}
		m := plan.Mapping{TargetScopes: targets, States: map[secret.Scope]plan.State{}}
		for _, s := range targets {
			st := plan.State{Source: plan.ActionsSource, TargetUpdatedAt: wrote, SourceUpdatedAt: source, WrittenAt: wrote}
			switch i % 10 {
			case 0:
				st.SourceUpdatedAt = source.Add(-time.Hour)
			case 2:
				st.TargetUpdatedAt = wrote.Add(-time.Hour)
			case 3:
				continue
			}
			m.States[s] = st
			in.Observed[s].UpdatedAt[name] = wrote
		}
		if i%10 != 3 {
			in.Memory[name] = m
		}
	}
	return in
}

// BenchmarkMake plans 100,000 secret × scope pairs.
func BenchmarkMake(b *testing.B) {
	in := large(50_000)
	for b.Loop() {
		if p := plan.Make(in); len(p.Actions) != 100_000 {
			b.Fatalf("%d actions", len(p.Actions))
		}
	}
}

// BenchmarkMakeAskedFor is the same with every name asked for, as an API request may.
func BenchmarkMakeAskedFor(b *testing.B) {
	in := large(5_000)
	for n := range in.Source.Values {
		in.Options.Names = append(in.Options.Names, n)
	}
	for b.Loop() {
		plan.Make(in)
	}
}

// BenchmarkCheck surveys the same 100,000 pairs without a source.
func BenchmarkCheck(b *testing.B) {
	in := large(50_000)
	s := plan.Survey{Observed: in.Observed, Memory: in.Memory, Default: in.Options.Default, Window: window}
	for b.Loop() {
		s.Judge(plan.Check(s))
	}
}
