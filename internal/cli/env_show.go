package cli

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
)

// A grid is the parts of environments × environments, with a word in each place.
type grid struct {
	parts []string // rules and links in their order, then secrets by name
	tiers []environment.Tier
	cells map[string]map[environment.Tier]cell
}

func (g *grid) set(a environment.Action, c cell) {
	part := partOf(a.Subject)
	if g.cells == nil {
		g.cells = map[string]map[environment.Tier]cell{}
	}
	if g.cells[part] == nil {
		g.cells[part] = map[environment.Tier]cell{}
		g.parts = append(g.parts, part)
	}
	if !slices.Contains(g.tiers, a.Environment) {
		g.tiers = append(g.tiers, a.Environment)
	}
	if was, there := g.cells[part][a.Environment]; !there || was.mood < c.mood { // an objection stands beside what it is about
		g.cells[part][a.Environment] = c
	}
}

// partOf is a subject as a table shows it: secrets by their name alone.
func partOf(s environment.Subject) string {
	text := strings.TrimPrefix(string(s), "secrets.")
	return strings.TrimPrefix(text, linkPrefix)
}

const linkPrefix = "linkedResources."

// rank is where a part stands in a table.
func rank(part string) int {
	for i, s := range []environment.Subject{
		environment.SubjectEnvironment, environment.SubjectReviewers, environment.SubjectSelfReview, environment.SubjectBranches,
		environment.SubjectWait, environment.SubjectBypass, environment.SubjectNeon, environment.SubjectWorker, environment.SubjectPages,
	} {
		if part == partOf(s) {
			return i
		}
	}
	return 100 // a secret
}

// print prints the rows that matter and counts the others.
func (g *grid) print(s stream) {
	slices.SortStableFunc(g.parts, func(a, b string) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), cmp.Compare(a, b))
	})
	t := table{head: []string{"PART"}}
	for _, tier := range environment.Tiers() {
		if slices.Contains(g.tiers, tier) {
			t.head = append(t.head, strings.ToUpper(string(tier)))
		}
	}
	hidden := 0
	for _, part := range g.parts {
		row, quiet := []cell{{text: part}}, true
		for _, tier := range environment.Tiers() {
			c, there := g.cells[part][tier]
			switch {
			case !slices.Contains(g.tiers, tier):
				continue
			case !there:
				c = cell{"-", faint}
			}
			quiet = quiet && c.mood == faint
			row = append(row, c)
		}
		if quiet {
			hidden++
			continue
		}
		t.rows = append(t.rows, row)
	}
	if len(t.rows) > 0 {
		t.print(s)
	}
	if len(t.rows) > 0 && hidden > 0 {
		s.println(s.faint(fmt.Sprintf("and %d more that need nothing", hidden)))
	}
	if len(t.rows) > 0 {
		s.println()
	}
}

// cellOf is what an action will do, or did.
func cellOf(a environment.Action, done, ok bool) cell {
	same := plan.Action{Verb: a.Verb, Reason: plan.Reason(a.Reason)}
	switch {
	case a.Verb == plan.Skip:
		return cell{"in step", faint}
	case a.Verb.Writes() && strings.HasPrefix(string(a.Subject), linkPrefix) && (ok || !done):
		return cell{map[bool]string{false: "link", true: "linked"}[done], good}
	case done:
		return happened(same, ok)
	}
	return intended(same)
}

// change spells what a rule or a link is and is to be.
func change(a environment.Action) string {
	spelled := func(v any) string {
		switch v := v.(type) {
		case nil:
			return "nothing"
		case []string:
			return orNobody(v)
		case []any:
			words := make([]string, len(v))
			for i, w := range v {
				words[i] = fmt.Sprint(w)
			}
			return orNobody(words)
		}
		return fmt.Sprint(v)
	}
	return fmt.Sprintf("%s %s: %s → %s", a.Environment, partOf(a.Subject), spelled(a.Have), spelled(a.Wanted))
}

func orNobody(names []string) string {
	if len(names) == 0 {
		return "nobody"
	}
	return strings.Join(names, ", ")
}

// changes prints how rules and links change.
func changes(s stream, actions []environment.Action) {
	told := false
	for _, a := range actions {
		if a.Verb.Writes() && (a.Have != nil || a.Wanted != nil) {
			s.paragraph(change(a))
			told = true
		}
	}
	if told {
		s.println()
	}
}

func (a *app) tellEnvPlan(p environment.Preview, exitCode bool) error {
	a.screen.settle()
	a.envNotices(p.Notices)
	var err error
	if a.settings.json {
		err = a.screen.out.data(p)
	} else {
		a.showEnvPlan(a.screen.out, p)
		a.envHints(p.Errors)
	}
	if err == nil && exitCode && !p.Empty {
		err = errAttention
	}
	return err
}

// showEnvPlan prints a plan for people. Its last line is parsed by scripts.
func (a *app) showEnvPlan(s stream, p environment.Preview) {
	var g grid
	var why legend
	for _, action := range p.Actions {
		c := cellOf(action, false, false)
		g.set(action, c)
		if c.mood != faint && !action.Verb.Failed() {
			why.add(c.text, action.Reason.Words(), string(action.Environment)+" "+partOf(action.Subject))
		}
	}
	g.print(s)
	changes(s, p.Actions)
	why.print(s)
	showFailures(s, p.Errors)
	if p.Cost.Writes > 0 {
		s.printf("cost: %s, %d of them writes\n", counted(p.Cost.Requests, "request"), p.Cost.Writes)
	}
	sum := p.Summary
	s.printf("plan: create %d, update %d, unchanged %d, conflicts %d, errors %d\n", sum.Create, sum.Update, sum.Skip+sum.Leave, sum.Conflict, sum.Error)
}

func showFailures(s stream, failures []environment.Failure) {
	for _, f := range failures {
		s.paragraph(fmt.Sprintf("%s: %s", f.Environment, strings.TrimSuffix(f.Error, ".")))
	}
	if len(failures) > 0 {
		s.println()
	}
}

// tellApplied tells of an apply that came to its end, and what to do about what is not as asked.
func (a *app) tellApplied(res environment.Result) error {
	a.envNotices(res.Notices)
	if a.settings.json {
		if err := a.screen.out.data(res); err != nil {
			return err
		}
	} else {
		a.showApplied(res)
		a.envHints(res.Errors)
	}
	if res.InStep() {
		return nil
	}
	return errAttention
}

// showApplied prints what an apply did. Its last line is parsed by scripts.
func (a *app) showApplied(res environment.Result) {
	s := a.screen.out
	var g grid
	wrong := map[string]bool{}
	for _, f := range res.Errors {
		wrong[f.Environment] = true
	}
	seen := map[environment.Tier]bool{}
	for _, d := range res.Actions {
		g.set(d.Action, cellOf(d.Action, true, d.OK))
		seen[d.Environment] = true
	}
	g.print(s)
	showFailures(s, res.Errors)
	untouched := 0
	for t := range seen {
		name := string(t)
		if !slices.Contains(res.Created, name) && !slices.Contains(res.Updated, name) && !wrong[name] {
			untouched++
		}
	}
	s.printf("created %d, updated %d, in step %d, errors %d (run %s, %s)\n", len(res.Created), len(res.Updated), untouched, len(res.Errors),
		res.CorrelationID.String()[:8], span(time.Duration(res.DurationMs)*time.Millisecond))
}

// envNotices says by the way what is no error. That an environment exists already is news to nobody
// who applies it again.
func (a *app) envNotices(notices []plan.Notice) {
	for _, n := range notices {
		if n.Code == fault.EnvironmentExists && n.Context["githubEnvironmentId"] != nil {
			continue
		}
		a.screen.talk("note: %s", n.Message)
	}
}

// envHints ends the talk with what to do next, each thing once.
func (a *app) envHints(failures []environment.Failure) {
	if a.screen.quiet {
		return
	}
	hints, conflicts := map[string]bool{}, 0
	for _, f := range failures {
		switch {
		case f.Code == fault.ConflictDetected:
			conflicts++
		case f.Hint != "":
			hints[f.Hint] = true
		}
	}
	for _, h := range slices.Sorted(maps.Keys(hints)) {
		a.hint("%s", h)
	}
	if conflicts > 0 {
		a.hint("%s put there or changed by someone else. To write over it: %s", exist(conflicts), a.again("", "--force"))
		a.hint("To leave what is there: take the name out of the environment's secrets")
	}
}
