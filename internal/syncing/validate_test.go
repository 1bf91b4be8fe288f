package syncing_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

// validated validates, and holds the answer to what every answer has to keep.
func (w *world) validated(change ...func(*syncing.ValidateRequest)) syncing.Validation {
	w.t.Helper()
	req := syncing.ValidateRequest{Repo: w.request(nil).Repo, Actor: store.Local}
	for _, c := range change {
		c(&req)
	}
	v, err := w.svc.Validate(w.t.Context(), req)
	if err != nil {
		w.t.Fatal(err)
	}
	raw, err := json.Marshal(v)
	if err != nil || strings.Contains(string(raw), "null") {
		w.t.Errorf("%v %s", err, raw)
	}
	if s := v.Summary; s.MissingCount+s.ConflictCount+s.ValidCount > s.TotalSecrets {
		w.t.Errorf("%+v", s)
	}
	if !v.Valid && len(v.RemediationSteps) == 0 {
		w.t.Errorf("what next? %s", raw)
	}
	return v
}

func requiring(names ...string) func(*syncing.ValidateRequest) {
	return func(r *syncing.ValidateRequest) {
		for _, n := range names {
			r.Required = append(r.Required, secret.MustName(n))
		}
	}
}

func strict(r *syncing.ValidateRequest) { r.Strict = true }

func TestValidation(t *testing.T) {
	w := newWorld(t)
	if v := w.validated(); !v.Valid || v.Summary.TotalSecrets != 0 {
		t.Errorf("an empty repository: %+v", v)
	}
	if v := w.validated(requiring("TOKEN")); v.Valid || len(v.Missing) != 3 {
		t.Errorf("required and nowhere: %+v", v)
	}
	w.sim.SetSecret(repo, "dependabot", githubsim.Secret{Name: "TOKEN", Value: "theirs"})
	w.sim.Advance(time.Hour)
	v := values{"TOKEN": "ours", "OTHER": "o", "CI": "true"}
	w.sync(v)
	if got := w.validated(); !got.Valid || len(got.Unverified) != 1 || got.Summary.ValidCount != 2 {
		t.Errorf("an unmanaged copy proves nothing, and is there: %+v", got)
	}
	if got := w.validated(strict); got.Valid {
		t.Errorf("strict: %+v", got)
	}
	w.sync(v, overwrite)
	w.edit(secret.Codespaces, "TOKEN", "theirs")
	w.sim.DeleteSecret(repo, "actions", "OTHER")
	got := w.validated()
	if got.Valid || got.Summary.MissingCount != 1 || got.Summary.ConflictCount != 1 || len(got.Conflicts) != 1 {
		t.Errorf("one drifted, one missing: %+v", got)
	}
	if h := got.Conflicts[0].ValueHashes; len(h) != 2 || h["codespaces"] != "" {
		t.Errorf("hashes are of what is known and current: %v", h)
	}
	if got = w.validated(func(r *syncing.ValidateRequest) { r.Scopes = []secret.Scope{secret.Dependabot} }); !got.Valid {
		t.Errorf("Dependabot alone: %+v", got)
	}
}

// A scope that cannot be listed is unknown, never valid, and fails in the event.
func TestValidationOfAScopeThatCannotBeListed(t *testing.T) {
	w := newWorld(t)
	w.sync(values{"TOKEN": "t"})
	w.sim.SetFaults(githubsim.Faults{Failures: []githubsim.Failure{{Path: "/dependabot/", Kinds: []githubsim.Kind{githubsim.ServerError}}}})
	got := w.validated()
	if got.Valid || len(got.Unknown) != 1 || got.Summary.ValidCount != 0 || len(got.Notices) != 1 {
		t.Errorf("%+v", got)
	}
	events, _, err := w.svc.Events(t.Context(), w.request(nil).Repo, store.Filter{Operation: audit.Validate})
	if err != nil || len(events) != 1 {
		t.Fatalf("%v %d events", err, len(events))
	}
	if e := events[0]; e.Status != audit.Partial || e.FailureCount != 1 || !slices.Contains(e.AffectedScopes, secret.Dependabot) {
		t.Errorf("%+v", e)
	}
	w.intact()
}
