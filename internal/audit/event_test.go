package audit_test

import (
	"slices"
	"testing"

	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/secret"
	"pgregory.net/rapid"
)

var prod = func() secret.Scope {
	s, err := secret.Environment("production")
	if err != nil {
		panic(err)
	}
	return s
}()

var everyScope = append(secret.Stores(), prod)

func drawScopes(t *rapid.T) []secret.Scope {
	n := rapid.IntRange(1, len(everyScope)).Draw(t, "scopes")
	return everyScope[:n]
}

func drawOperation(t *rapid.T) audit.Operation {
	return rapid.SampledFrom(audit.Operations()).Draw(t, "operation")
}

// named gives an event the name that goes with its operation.
func named(e audit.Event) audit.Event {
	e.SecretName = nil
	if e.Operation != audit.SyncAll && e.Operation != audit.Validate {
		name := "DEPLOY_KEY"
		e.SecretName = &name
	}
	return e
}

// Whatever the outcome, it passes the check, and says what data-model.md demands: the counts add up
// to the scopes, success has no failure, failure no success, partial both.
func TestOutcomeKeepsTheInvariants(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		scopes := drawScopes(t)
		failed, bad := map[secret.Scope]bool{}, 0
		for _, s := range scopes {
			if failed[s] = rapid.Bool().Draw(t, "failed"); failed[s] {
				bad++
			}
		}
		e := named(audit.Event{Operation: drawOperation(t)}).Outcome(scopes, failed, "why")
		if err := e.Check(); err != nil {
			t.Fatal(err)
		}
		want := audit.Partial
		switch bad {
		case 0:
			want = audit.Success
		case len(scopes):
			want = audit.Failure
		}
		if e.Status != want || e.FailureCount != bad || e.SuccessCount != len(scopes)-bad {
			t.Fatalf("%d of %d failed: %s, %d + %d", bad, len(scopes), e.Status, e.SuccessCount, e.FailureCount)
		}
		if told := e.ErrorMessage != nil; told != (bad > 0) {
			t.Fatalf("%d failed and a message is there: %v", bad, told)
		}
		if !slices.Equal(e.AffectedScopes, scopes) {
			t.Fatalf("affects %v, want %v", e.AffectedScopes, scopes)
		}
	})
}

// An event passes the check exactly when the invariants hold, told here in other words.
func TestCheck(t *testing.T) {
	operations := append(audit.Operations(), "", "rotate")
	statuses := append(audit.Statuses(), "", "pending")
	rapid.Check(t, func(t *rapid.T) {
		e := audit.Event{
			Operation:    rapid.SampledFrom(operations).Draw(t, "operation"),
			Status:       rapid.SampledFrom(statuses).Draw(t, "status"),
			SuccessCount: rapid.IntRange(-1, 3).Draw(t, "success"),
			FailureCount: rapid.IntRange(-1, 3).Draw(t, "failure"),
		}
		e.AffectedScopes = everyScope[:rapid.IntRange(0, 4).Draw(t, "scopes")]
		if sum := e.SuccessCount + e.FailureCount; rapid.Bool().Draw(t, "adds up") && sum >= 0 && sum <= len(everyScope) {
			e.AffectedScopes = everyScope[:sum]
		}
		if rapid.Bool().Draw(t, "named") {
			name := "DEPLOY_KEY"
			e.SecretName = &name
		}
		counts := e.SuccessCount >= 0 && e.FailureCount >= 0 && len(e.AffectedScopes) > 0 && e.SuccessCount+e.FailureCount == len(e.AffectedScopes)
		status := map[audit.Status]bool{
			audit.Success: e.FailureCount == 0, audit.Failure: e.SuccessCount == 0, audit.Partial: e.SuccessCount > 0 && e.FailureCount > 0,
		}[e.Status]
		whole := map[audit.Operation]bool{audit.SyncAll: true, audit.Validate: true}[e.Operation]
		known := slices.Contains(audit.Operations(), e.Operation)
		want := counts && status && known && whole == (e.SecretName == nil)
		if got := e.Check() == nil; got != want {
			t.Fatalf("%+v: passes %v, want %v: %v", e, got, want, e.Check())
		}
	})
}
