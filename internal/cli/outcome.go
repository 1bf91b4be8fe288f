package cli

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/syncing"
)

// quietRow says whether nothing in a secret's row needs to be seen: it is counted, not shown.
func quietRow(row map[secret.Scope]cell) bool {
	for _, c := range row {
		if c.mood != faint {
			return false
		}
	}
	return true
}

// drawn prints the rows that matter and counts the others.
func (a *app) drawn(s stream, m matrix) {
	hidden := 0
	m.names = slices.DeleteFunc(m.names, func(n secret.Name) bool {
		if quietRow(m.cells[n]) {
			hidden++
			return true
		}
		return false
	})
	if len(m.names) == 0 {
		return
	}
	m.table().print(s)
	if hidden > 0 {
		s.println(s.faint(fmt.Sprintf("and %d more that need nothing", hidden)))
	}
	s.println()
}

// showPlan prints a plan for people. Its last line is parsed by scripts.
func (a *app) showPlan(s stream, p syncing.Preview) {
	var m matrix
	var why legend
	for _, action := range p.Actions {
		c := intended(action)
		m.set(action.SecretName, action.Scope, c)
		if c.mood != faint {
			why.add(c.text, action.Reason.Explain().Words, action.SecretName.String())
		}
	}
	a.drawn(s, m)
	why.print(s)
	sum := p.Summary
	if p.Cost.Writes > 0 {
		s.printf("cost: %s, %d of them writes, about %s\n", counted(p.Cost.Requests, "request"), p.Cost.Writes, span(time.Duration(p.Cost.Seconds*float64(time.Second))))
	}
	s.printf("plan: create %d, update %d, delete %d, forget %d, unchanged %d, conflicts %d, errors %d\n",
		sum.Create, sum.Update, sum.Delete, sum.Forget, sum.Skip+sum.Leave, sum.Conflict, sum.Error)
}

// showResult prints what a run did. Its last line is parsed by scripts.
func (a *app) showResult(r syncing.Result) {
	s := a.screen.out
	var m matrix
	var why legend
	for _, d := range r.Actions {
		m.set(d.SecretName, d.Scope, happened(d.Action, d.OK))
	}
	for _, f := range r.Errors {
		why.add(m.word(f.SecretName, f.Scope), f.Error, f.SecretName)
	}
	a.drawn(s, m)
	why.print(s)
	conflicts, errors := tallied(r)
	s.printf("synced %d, skipped %d, conflicts %d, errors %d (run %s, %s)\n",
		r.SyncedCount, r.SkippedCount, conflicts, errors, r.CorrelationID.String()[:8], span(time.Duration(r.DurationMs)*time.Millisecond))
}

// tallied counts the secrets that are not in step: those with an error, and those that only
// conflict. With the synced and the skipped they make up all that were selected.
func tallied(r syncing.Result) (conflicts, errors int) {
	isError := map[string]bool{}
	for _, f := range r.Errors {
		isError[f.SecretName] = isError[f.SecretName] || f.Code != fault.ConflictDetected
	}
	for _, e := range isError {
		if e {
			errors++
		} else {
			conflicts++
		}
	}
	return conflicts, errors
}

// notices says by the way what is no error. Names that a rule excludes are one line: in a workflow's
// environment there are dozens.
func (a *app) notices(list []plan.Notice, odd []string) {
	excluded := slices.Clone(odd)
	for _, n := range list {
		if n.Code == fault.Excluded && n.Message == fault.New(n.Code, n.Context).Message { // with nothing more to say
			excluded = append(excluded, n.SecretName)
			continue
		}
		a.screen.talk("note: %s", n.Message)
	}
	if len(excluded) > 0 {
		slices.Sort(excluded)
		a.screen.talk("note: excluded by rule (%s exclusions list): %s", a.programName(), listed(excluded, 6))
	}
}

// A remedy is a kind of trouble with the command that ends it.
type remedy struct {
	unmanaged, drift []string // names
	withheld         int      // deletions
	hints            []string
}

func (r *remedy) conflict(a plan.Action) {
	to := &r.drift
	if a.Reason == plan.Unmanaged {
		to = &r.unmanaged
	}
	if n := a.SecretName.String(); !slices.Contains(*to, n) {
		*to = append(*to, n)
	}
}

func planned(p syncing.Preview) remedy {
	var r remedy
	for _, action := range p.Actions {
		if action.Verb == plan.Conflict {
			r.conflict(action)
		}
	}
	if p.Withheld {
		r.withheld = p.Summary.Delete
	}
	return r
}

func found(res syncing.Result) remedy {
	r := remedy{withheld: res.Withheld}
	for _, d := range res.Actions {
		if d.Verb == plan.Conflict {
			r.conflict(d.Action)
		}
	}
	hints := map[string]bool{}
	for _, f := range res.Errors {
		if f.Hint != "" && f.Code != fault.ConflictDetected { // for those the exact commands follow
			hints[f.Hint] = true
		}
	}
	r.hints = slices.Sorted(maps.Keys(hints))
	return r
}

// tell ends the talk with what to do next: the exact commands.
func (r remedy) tell(a *app, verb string) {
	if a.screen.quiet {
		return
	}
	for _, h := range r.hints {
		a.hint("%s", h)
	}
	if n := len(r.unmanaged); n > 0 {
		a.hint("%s there, not written by Octoseal. To write over what is there: %s", exist(n), a.again(verb, "--adopt", "overwrite"))
		a.hint("to leave what is there alone from now on: %s", a.again(verb, "--adopt", "keep"))
	}
	if n := len(r.drift); n > 0 {
		more := []string{"--force"}
		if n <= 3 || len(r.unmanaged) > 0 {
			more = nil
			for _, name := range r.drift {
				more = append(more, "--secret", name)
			}
			more = append(more, "--force")
		}
		a.hint("%s changed by someone else. To write over it: %s", was(n), a.again(verb, more...))
	}
	if r.withheld > 0 {
		a.hint("%s withheld, being more than a run may make unasked. To make them: %s",
			counted(r.withheld, "deletion"), a.again(verb, allowing(r.withheld)...))
	}
}

func exist(n int) string {
	if n == 1 {
		return "1 secret was"
	}
	return fmt.Sprintf("%d secrets were", n)
}

func was(n int) string { return exist(n) }
