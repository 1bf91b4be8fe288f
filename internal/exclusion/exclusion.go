// Package exclusion decides which secrets are left alone because of their name.
//
// A Pattern is a JavaScript regular expression: people know that dialect from the
// dashboard and from other tools, and it is what the data model promises. A Rule is a
// pattern with the reason for it. Rules, in order, give each name a Verdict: the first
// rule that matches excludes it, and its reason is what the user is told.
//
// Exclusion fails closed. A rule is there to keep something from being written, so a rule
// that gives no answer must stop the writing. JavaScript's expressions can take
// exponential time; Match gives up after a bounded time and says so with ErrTimeout, and
// one such answer stops a whole list of names: a caller that gets an error from this
// package writes nothing.
//
// No Go engine reads JavaScript's syntax as JavaScript does. Compile therefore does not
// hand a pattern over as it came: it parses it by JavaScript's own grammar, refuses what
// `new RegExp(source)` refuses, and spells the meaning out again in the few constructs on
// which the engine and JavaScript agree. How far that carries is measured beside translate.
package exclusion

import (
	"context"
	"fmt"
	"time"
)

// A Rule excludes the names its pattern matches.
type Rule struct {
	ID      string // as stored; empty when the rule never was
	Pattern Pattern
	Reason  string // for people: why a name like this is not synchronised
	Global  bool   // holds in every project, not only in the one it is listed for
}

// A Verdict says whether a name is excluded and by which rule. The zero Verdict is a name
// that no rule excludes.
type Verdict struct {
	Excluded bool
	Rule     Rule
}

// Rules are asked in order; the order is the caller's.
type Rules []Rule

// listTimeout bounds Verdicts: patterns that each stay just under their own limit would
// otherwise add up to minutes.
const listTimeout = 5 * time.Second

// Verdict returns the first rule that matches name. An error means that a rule before any
// match gave no answer, and that the name must not be written.
func (rules Rules) Verdict(name string) (Verdict, error) {
	for _, rule := range rules {
		matched, err := rule.Pattern.Match(name)
		if err != nil {
			return Verdict{}, err
		}
		if matched {
			return Verdict{Excluded: true, Rule: rule}, nil
		}
	}
	return Verdict{}, nil
}

// Verdicts returns the verdict on every name, or none at all: the first rule that gives no
// answer stops it, as does the end of ctx. Like Match, it gives up with ErrTimeout.
func (rules Rules) Verdicts(ctx context.Context, names []string) (map[string]Verdict, error) {
	return rules.within(ctx, listTimeout, names)
}

func (rules Rules) within(ctx context.Context, limit time.Duration, names []string) (map[string]Verdict, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, limit, ErrTimeout)
	defer cancel()
	verdicts := make(map[string]Verdict, len(names))
	for _, name := range names {
		if ctx.Err() != nil {
			return nil, fmt.Errorf("exclusion of %q: %w", name, context.Cause(ctx))
		}
		verdict, err := rules.Verdict(name)
		if err != nil {
			return nil, err
		}
		verdicts[name] = verdict
	}
	return verdicts, nil
}
