package plan_test

import (
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
)

// A name that stands in the source without a usable value is neither written nor taken for gone.
func TestUnusableIsNotGone(t *testing.T) {
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	name := secret.MustName("FOO")
	in := plan.Input{
		Source:   plan.Source{Identity: "file:/.env", Unusable: map[secret.Name]bool{name: true}},
		Observed: map[secret.Scope]plan.Observation{secret.Actions: {Date: at, UpdatedAt: map[secret.Name]time.Time{name: at}}},
		Memory: map[secret.Name]plan.Mapping{name: {
			TargetScopes: []secret.Scope{secret.Actions},
			States:       map[secret.Scope]plan.State{secret.Actions: {Source: "file:/.env", TargetUpdatedAt: at, WrittenAt: at}},
		}},
		Options: plan.Options{AllowDeletes: 9},
	}
	if p := plan.Make(in); len(p.Actions) != 0 || !p.Empty() {
		t.Errorf("%+v", p.Actions)
	}
	in.Source.Unusable = nil
	if p := plan.Make(in); p.Summary.Delete != 1 {
		t.Errorf("without it the name is gone: %+v", p.Actions)
	}
}
