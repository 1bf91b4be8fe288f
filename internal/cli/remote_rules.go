package cli

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

func (r *remote) events(ctx context.Context, f store.Filter) error {
	id, err := r.project(ctx)
	if err != nil {
		return err
	}
	run := ""
	if f.CorrelationID != uuid.Nil {
		run = f.CorrelationID.String()
	}
	page, err := r.history(ctx, asking("projectId", id.String(), "operation", string(f.Operation),
		"status", string(f.Status), "secret", f.Secret, "correlationId", run, "cursor", f.Before, "limit", strconv.Itoa(f.Limit)))
	if err != nil {
		return err
	}
	return r.app.tellEvents(page.Events, page.Next)
}

// A page of the history, newest first; Next is empty on the last.
type page struct {
	Events []audit.Event `json:"events"`
	Next   string        `json:"nextCursor"`
}

func (r *remote) history(ctx context.Context, query string) (p page, err error) {
	_, err = r.ask(ctx, http.MethodGet, "/github/secrets/sync/history"+query, nil, &p)
	return p, err
}

func (r *remote) setScopes(ctx context.Context, name secret.Name, scopes []secret.Scope) error {
	id, err := r.project(ctx)
	if err != nil {
		return err
	}
	var answer struct {
		Dropped []secret.Scope `json:"droppedScopes"`
	}
	if _, err := r.ask(ctx, http.MethodPatch, "/github/secrets/mappings/"+name.String()+asking("projectId", id.String()), struct {
		Scopes []secret.Scope `json:"targetScopes"`
	}{scopes}, &answer); err != nil {
		return err
	}
	return r.app.tellScopes(name, scopes, answer.Dropped)
}

const globalRules = "/secret-exclusions"

// rulesPath is where the rules of the repository that is meant are.
func (r *remote) rulesPath(ctx context.Context) (string, error) {
	id, err := r.project(ctx)
	return "/projects/" + id.String() + "/secret-exclusions", err
}

// rulesAt is rulesPath, or where the rules for every repository are.
func (r *remote) rulesAt(ctx context.Context, global bool) (string, error) {
	if global {
		return globalRules, nil
	}
	return r.rulesPath(ctx)
}

func (r *remote) rules(ctx context.Context, path string) ([]shownRule, error) {
	var answer struct {
		Rules []shownRule `json:"exclusions"`
	}
	_, err := r.ask(ctx, http.MethodGet, path, nil, &answer)
	return answer.Rules, err
}

func (r *remote) listRules(ctx context.Context) error {
	path, err := r.rulesPath(ctx)
	if err != nil {
		return err
	}
	rules, err := r.rules(ctx, path)
	if err != nil {
		return err
	}
	return r.app.tellRules(rules)
}

func (r *remote) addRule(ctx context.Context, pattern, reason string, global bool) error {
	path, err := r.rulesAt(ctx, global)
	if err != nil {
		return err
	}
	var rule shownRule
	if _, err := r.ask(ctx, http.MethodPost, path, map[string]string{"pattern": pattern, "reason": reason}, &rule); err != nil {
		return err
	}
	return r.app.tellAdded(rule)
}

func (r *remote) removeRule(ctx context.Context, idOrPattern string, global bool) error {
	path, err := r.rulesAt(ctx, global)
	if err != nil {
		return err
	}
	rules, err := r.rules(ctx, path)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(rules, func(k shownRule) bool {
		return k.IsGlobal == global && (k.ID == idOrPattern || k.Pattern == idOrPattern)
	})
	if i < 0 {
		return fault.New(fault.ResourceNotFound, fault.Context{"resource": "Rule " + idOrPattern}).
			Hinting("%s exclusions list shows the rules.", r.app.programName())
	}
	at := path + "/" + url.PathEscape(rules[i].ID)
	if global {
		at = path + asking("id", rules[i].ID)
	}
	if _, err := r.ask(ctx, http.MethodDelete, at, nil, nil); err != nil {
		return err
	}
	return r.app.tellRemoved(idOrPattern)
}

func (r *remote) testNames(ctx context.Context, pattern string, names []string) error {
	path, err := r.rulesPath(ctx)
	if err != nil {
		return err
	}
	var answer struct {
		Results []syncing.TestedName `json:"results"`
	}
	if _, err := r.ask(ctx, http.MethodPost, path+"/test", struct {
		Names   []string `json:"names"`
		Pattern string   `json:"pattern,omitempty"`
	}{names, pattern}, &answer); err != nil {
		return err
	}
	return r.app.showTested(answer.Results)
}
