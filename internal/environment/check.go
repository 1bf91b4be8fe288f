package environment

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// An Asked is one environment as somebody spells it: not checked yet.
type Asked struct {
	Name    string
	Rules   Rules
	Secrets []Value
	Linked  Links
}

// A Value is one secret of a spec.
type Value struct {
	Name  string
	Value secret.Plaintext
}

// A Problem is something in a spec that cannot be done, with the field it stands in, such as
// environments[2].protectionRules.waitTimer.
type Problem struct {
	Field  string     `json:"field"`
	Code   fault.Code `json:"code"`
	Why    string     `json:"why"`
	Line   int        `json:"line,omitempty"` // in the file, if there is one
	Column int        `json:"column,omitempty"`
}

func (p Problem) String() string {
	switch {
	case p.Line > 0 && p.Field == "":
		return fmt.Sprintf("%d:%d: %s", p.Line, p.Column, p.Why)
	case p.Line > 0:
		return fmt.Sprintf("%d:%d: %s: %s", p.Line, p.Column, p.Field, p.Why)
	}
	return p.Field + ": " + p.Why
}

// Known is what a spec is checked against.
type Known struct {
	DefaultReviewer int64 // of the project; zero: none is set
	Linked          map[Tier]Links
}

// Check returns everything that is wrong with a spec, all at once, in the order of the spec. A spec
// without problems can be planned.
func Check(asked []Asked, k Known) []Problem {
	c := &checker{Known: k, asked: asked}
	if len(asked) == 0 {
		c.add("environments", fault.RequestInvalid, "names no environment")
	}
	first := map[string]int{}
	for i, a := range asked {
		c.path = fmt.Sprintf("environments[%d]", i)
		tier, err := ParseTier(a.Name)
		if err != nil {
			c.add("name", fault.RequestInvalid, "%v", err)
		} else if at, twice := first[a.Name]; twice {
			c.add("name", fault.RequestInvalid, "%s is in the list twice, first as environments[%d]", a.Name, at)
		} else {
			first[a.Name] = i
		}
		c.rules(tier, a.Rules)
		c.secrets(a)
		c.form(a.Linked)
	}
	c.shared()
	return c.problems
}

// Refuse is the one fault about problems, at least one: nothing was done.
func Refuse(problems []Problem) *fault.Fault {
	lines := make([]string, len(problems))
	for i, p := range problems {
		lines[i] = p.String()
	}
	f := fault.Invalid("%s", strings.Join(lines, "; "))
	f.Context["problems"] = problems
	return f
}

type checker struct {
	Known
	asked    []Asked
	path     string
	problems []Problem
}

func (c *checker) add(field string, code fault.Code, format string, args ...any) {
	if c.path != "" {
		field = c.path + "." + field
	}
	c.problems = append(c.problems, Problem{Field: field, Code: code, Why: fmt.Sprintf(format, args...)})
}

func (c *checker) rules(t Tier, r Rules) {
	bad := func(key, format string, args ...any) {
		c.add("protectionRules."+key, fault.RequestInvalid, format, args...)
	}
	if w := r.WaitTimer; w != nil && (*w < 0 || *w > MaxWait) {
		bad("waitTimer", "%d is no number of minutes from 0 to %d (30 days)", *w, MaxWait)
	}
	ids := slices.Clone(r.ReviewerIDs)
	slices.Sort(ids)
	switch {
	case len(ids) > MaxReviewers:
		bad("reviewerIds", "names %d reviewers; GitHub takes %d", len(ids), MaxReviewers)
	case len(slices.Compact(slices.Clone(ids))) < len(ids):
		bad("reviewerIds", "names a reviewer twice")
	}
	if len(ids) > 0 && ids[0] <= 0 {
		bad("reviewerIds", "%d is no user's id", ids[0])
	}
	c.required(t, r, bad)
}

// required looks at how many approvals are asked for, and of whom.
func (c *checker) required(t Tier, r Rules, bad func(key, format string, args ...any)) {
	explicit := r.RequiredReviewers != nil
	n := 0
	if want := r.filled(t, c.DefaultReviewer).RequiredReviewers; want != nil {
		n = *want
	}
	switch {
	case n < 0:
		bad("requiredReviewers", "%d is negative", n)
	case explicit && n == 0 && len(r.ReviewerIDs) > 0:
		bad("requiredReviewers", "is 0, though reviewerIds names reviewers; leave one of the two out")
	case n > 0 && r.ReviewerIDs == nil && c.DefaultReviewer == 0:
		where := "requiredReviewers"
		if !explicit {
			where = "reviewerIds"
		}
		bad(where, "%s asks for an approval and nobody is named: name reviewerIds, or set the project's defaultReviewerId", c.called(t))
	case n > 1 && r.ReviewerIDs == nil:
		bad("requiredReviewers", "is %d, and without reviewerIds there is one reviewer, the project's default", n)
	case n > 0 && r.ReviewerIDs != nil && len(r.ReviewerIDs) == 0:
		bad("reviewerIds", "names nobody, and an approval is asked for; to have none, say requiredReviewers: 0")
	case r.ReviewerIDs != nil && n > len(r.ReviewerIDs):
		bad("requiredReviewers", "is %d, more than the %d that reviewerIds names", n, len(r.ReviewerIDs))
	}
}

func (*checker) called(t Tier) string {
	if t == "" {
		return "the environment"
	}
	return string(t)
}

func (c *checker) secrets(a Asked) {
	if n := len(a.Secrets); n > MaxSecrets {
		c.add("secrets", fault.RequestInvalid, "has %d secrets; GitHub takes %d in an environment", n, MaxSecrets)
	}
	first := map[string]int{}
	for i, s := range a.Secrets {
		field := fmt.Sprintf("secrets[%d]", i)
		_, err := secret.ParseName(s.Name)
		upper := strings.ToUpper(s.Name)
		at, twice := first[upper]
		if !twice {
			first[upper] = i
		}
		var bad *secret.NameError
		switch {
		case errors.As(err, &bad):
			c.add(field+".name", fault.NameInvalid, "%v", bad)
		case twice:
			c.add(field+".name", fault.RequestInvalid, "%s is in the list twice, first as secrets[%d]", s.Name, at)
		}
		switch n := s.Value.Len(); {
		case n == 0:
			c.add(field+".value", fault.RequestInvalid, "is empty, and an empty value is none")
		case n > secret.MaxValueSize:
			c.add(field+".value", fault.ValueTooLarge, "has %d bytes; GitHub takes at most %d", n, secret.MaxValueSize)
		}
	}
}

// resourceName is the form of a resource's name. It goes into a URL, and . and .. are no names there.
var resourceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$`)

func (c *checker) form(l Links) {
	for _, link := range l.each() {
		if link.Value != "" && !resourceName.MatchString(link.Value) {
			c.add(string(link.Subject), fault.RequestInvalid, "is no name of a %s: letters, digits, '.', '_' and '-', at most 128", link.Title)
		}
	}
}

// shared finds resources that two environments would be linked to, those that are remembered included:
// what staging does must not reach production's data. One that goes from an environment to another
// takes two applies. Environments fail alone, so in one it might arrive before it has left.
func (c *checker) shared() {
	asked := map[Tier]Links{}
	for i, a := range c.asked {
		c.path = fmt.Sprintf("environments[%d]", i)
		t, err := ParseTier(a.Name)
		for _, link := range a.Linked.each() {
			if err == nil && link.Value != "" {
				c.unshared(t, link, asked)
			}
		}
		asked[t] = a.Linked
	}
}

// unshared holds a link of t against the environments remembered and those asked for before it.
func (c *checker) unshared(t Tier, link Link, asked map[Tier]Links) {
	for _, other := range Tiers() {
		switch {
		case other == t:
		case c.Linked[other].at(link.Subject) == link.Value:
			c.add(string(link.Subject), fault.RequestInvalid, "the %s is linked to %s already; no two environments share one, so link that to another first", link.Title, other)
			return
		case asked[other].at(link.Subject) == link.Value:
			c.add(string(link.Subject), fault.RequestInvalid, "the %s is linked to %s already; no two environments share one", link.Title, other)
			return
		}
	}
}
