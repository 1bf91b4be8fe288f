package github

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"

	"github.com/octoseal/octoseal/internal/fault"
)

// PutEnvironment makes an environment or changes its rules, brings its patterns in line, and returns
// what GitHub shows then. That may be less than was asked: reviewers without access are dropped
// without a word, so the caller compares. Reviewers of a type that GitHub takes from nobody are kept
// as long as none of the others is to change; otherwise the fault is ErrReviewerLost.
//
// With a fault the environment is what GitHub was last seen to show; it is the zero one where
// nothing is known to be there. A refusal can leave an environment behind that has not all its rules.
func (c *Client) PutEnvironment(ctx context.Context, repo Repository, name string, rules EnvironmentRules) (Environment, error) {
	if rules.Branches != AnyBranch && rules.Branches != ProtectedBranches && rules.Branches != CustomBranches {
		return Environment{}, fault.Invalid("environment %s of %s: there is no rule %q for branches", name, repo.FullName(), rules.Branches)
	}
	keep, err := c.keepsReviewers(ctx, repo, name, rules)
	if err != nil {
		return Environment{}, err
	}
	put, err := c.putRules(ctx, repo, name, rules, keep)
	if err != nil {
		return c.leftBehind(ctx, repo, name, err)
	}
	c.log.InfoContext(ctx, "environment written", "repository", repo.FullName(), "environment", name, "id", put.ID)
	shown, err := c.bringPatterns(ctx, repo, name, rules)
	if err != nil {
		return put, err
	}
	return shown, nil
}

// DeleteEnvironment deletes an environment with its secrets, variables and rules. One that is not
// there is deleted already.
func (c *Client) DeleteEnvironment(ctx context.Context, repo Repository, name string) error {
	_, err := c.change(ctx, repo, func(repo Repository) (request, error) {
		r, err := environmentRequest(http.MethodDelete, repo, name, "", "")
		r.subject.absentOK = true
		return r, err
	})
	if err == nil {
		c.log.InfoContext(ctx, "environment deleted", "repository", repo.FullName(), "environment", name)
	}
	return err
}

// keepsReviewers says whether the reviewers must stay unspoken of, since one of them is of a type
// that cannot be sent. That keeps them as they are, so it answers only for rules that want just that.
func (c *Client) keepsReviewers(ctx context.Context, repo Repository, name string, rules EnvironmentRules) (bool, error) {
	i := slices.IndexFunc(rules.Reviewers, func(r Reviewer) bool { return !r.known() })
	if i < 0 {
		return false, nil
	}
	now, found, err := c.rulesOf(ctx, repo, name)
	if err != nil {
		return false, err
	}
	if !found || !sameReviewers(now.Rules.Reviewers, rules.Reviewers) {
		return false, fault.New(fault.IntegrationDenied, fault.Context{"environment": name, "reason": fmt.Sprintf(
			"environment %s of %s has a reviewer of the type %s, which its API takes from nobody: changing the others would lose it",
			name, repo.FullName(), rules.Reviewers[i].Type)}).
			Hinting("Change the reviewers on the environment's settings page, or take that one away there first.").
			Because(ErrReviewerLost)
	}
	return true, nil
}

// sameReviewers compares two sets of reviewers by type and number.
func sameReviewers(a, b []Reviewer) bool {
	key := func(r Reviewer) string { return r.Type + " " + strconv.FormatInt(r.ID, 10) }
	in := map[string]bool{}
	for _, r := range a {
		in[key(r)] = true
	}
	for _, r := range b {
		if !in[key(r)] {
			return false
		}
	}
	return len(a) == len(b)
}

// putRules sends the rules. An older server refuses a key that it does not know; when what the key
// asks for is how that server behaves anyway, it is left out.
func (c *Client) putRules(ctx context.Context, repo Repository, name string, rules EnvironmentRules, keep bool) (Environment, error) {
	body := rules.body(keep)
	for {
		a, err := c.sendRules(ctx, repo, name, body)
		if key := refusedKey(err); key != "" && body[key] == harmless[key] {
			delete(body, key)
			continue
		}
		if err != nil {
			return Environment{}, c.withoutEnvironments(ctx, c.current(repo), err)
		}
		return environmentIn(a)
	}
}

// harmless are the keys that a server may not know, with the value that it behaves by then.
var harmless = map[string]any{"prevent_self_review": false, "can_admins_bypass": true}

// refusedKey is the key that a server was found not to know.
func refusedKey(err error) string {
	var f *fault.Fault
	if !errors.As(err, &f) || !errors.Is(err, errKeyUnknown) {
		return ""
	}
	key, _ := f.Context["key"].(string)
	return key
}

func (c *Client) sendRules(ctx context.Context, repo Repository, name string, body map[string]any) (answer, error) {
	raw, err := json.Marshal(body)
	if err != nil {
		return answer{}, err
	}
	return c.change(ctx, repo, func(repo Repository) (request, error) {
		r, err := environmentRequest(http.MethodPut, repo, name, "", "")
		r.body, r.subject.refused = raw, refusedRules
		return r, err
	})
}

// leftBehind answers a refusal with what GitHub shows after it: making an environment and giving it
// its rules are two steps there. Only a refusal is looked after; where GitHub did not answer, asking
// once more tells nothing that the next run does not find.
func (c *Client) leftBehind(ctx context.Context, repo Repository, name string, refusal error) (Environment, error) {
	if !errors.Is(refusal, errRulesRefused) {
		return Environment{}, refusal
	}
	shown, _, err := c.Environment(ctx, repo, name)
	if err != nil {
		return Environment{}, refusal
	}
	return shown, refusal
}

// fixes is how often patterns that somebody changes meanwhile are brought in line again.
const fixes = 2

// bringPatterns makes the patterns those that are wanted and returns what GitHub shows at last. New
// ones are sent without looking first: one that is there already is answered 303. Patterns of an
// environment that does not go by patterns are inert, and left alone.
func (c *Client) bringPatterns(ctx context.Context, repo Repository, name string, rules EnvironmentRules) (Environment, error) {
	var missing, others []BranchPattern
	custom := rules.Branches == CustomBranches
	if custom {
		missing = slices.DeleteFunc(slices.Clone(rules.Patterns), func(p BranchPattern) bool { return p.ID != 0 })
	}
	for n := 0; ; n++ {
		if err := c.changePatterns(ctx, repo, name, missing, others); err != nil {
			return Environment{}, err
		}
		shown, err := c.readBack(ctx, repo, name, custom)
		if err != nil || !custom {
			return shown, err
		}
		missing, others = without(rules.Patterns, shown.Rules.Patterns), without(shown.Rules.Patterns, rules.Patterns)
		if n == fixes || len(missing)+len(others) == 0 {
			return shown, nil
		}
	}
}

// without returns the patterns of all that are not among those others.
func without(all, others []BranchPattern) []BranchPattern {
	return slices.DeleteFunc(slices.Clone(all), func(p BranchPattern) bool {
		return slices.ContainsFunc(others, p.same)
	})
}

// changePatterns adds the missing patterns and removes the others, side by side.
func (c *Client) changePatterns(ctx context.Context, repo Repository, name string, missing, others []BranchPattern) error {
	errs := make([]error, len(missing)+len(others))
	var all sync.WaitGroup
	for i, p := range missing {
		all.Go(func() { errs[i] = c.addPattern(ctx, repo, name, p) })
	}
	for i, p := range others {
		all.Go(func() { errs[len(missing)+i] = c.removePattern(ctx, repo, name, p) })
	}
	all.Wait()
	return errors.Join(errs...)
}

func (c *Client) addPattern(ctx context.Context, repo Repository, name string, p BranchPattern) error {
	body, err := json.Marshal(map[string]string{"name": p.Name, "type": p.kind()})
	if err != nil {
		return err
	}
	_, err = c.change(ctx, repo, func(repo Repository) (request, error) {
		r, err := environmentRequest(http.MethodPost, repo, name, policies, policies)
		r.body, r.subject.thereOK = body, true
		r.subject.refused = refusedPattern(p)
		return r, err
	})
	return err
}

func (c *Client) removePattern(ctx context.Context, repo Repository, name string, p BranchPattern) error {
	_, err := c.change(ctx, repo, func(repo Repository) (request, error) {
		r, err := environmentRequest(http.MethodDelete, repo, name, policies+"/"+strconv.FormatInt(p.ID, 10), policies+"/{branch_policy}")
		r.subject.absentOK = true
		return r, err
	})
	return err
}

// readBack is Environment for one whose rule for branches is known, which saves waiting for it.
func (c *Client) readBack(ctx context.Context, repo Repository, name string, custom bool) (Environment, error) {
	var shown Environment
	var found bool
	var err, patternErr error
	var patterns sheets[BranchPattern]
	var both sync.WaitGroup
	both.Go(func() { shown, found, err = c.rulesOf(ctx, repo, name) })
	if custom {
		both.Go(func() { patterns, patternErr = c.patternPager(c.current(repo), name).read(ctx, nil) })
	}
	both.Wait()
	switch {
	case err != nil:
		return Environment{}, err
	case !found:
		return Environment{}, fault.New(fault.IntegrationUnavailable, fault.Context{"environment": name, "reason": fmt.Sprintf(
			"environment %s of %s was written, and is not there when it is read back", name, repo.FullName())}).
			Hinting("Somebody may have deleted it meanwhile; run again.")
	case patternErr != nil:
		return Environment{}, patternErr
	}
	if shown.Rules.Branches == CustomBranches {
		shown.Rules.Patterns = patterns.items
	}
	return shown, nil
}
