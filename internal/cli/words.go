package cli

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
)

// A matrix is secrets × scopes with a word in each place: what plan, sync and status show.
type matrix struct {
	scopes []secret.Scope
	names  []secret.Name
	cells  map[secret.Name]map[secret.Scope]cell
}

func (m *matrix) set(name secret.Name, scope secret.Scope, c cell) {
	if m.cells == nil {
		m.cells = map[secret.Name]map[secret.Scope]cell{}
	}
	if m.cells[name] == nil {
		m.cells[name] = map[secret.Scope]cell{}
		m.names = append(m.names, name)
	}
	if !slices.Contains(m.scopes, scope) {
		m.scopes = append(m.scopes, scope)
		slices.SortFunc(m.scopes, secret.Scope.Compare)
	}
	m.cells[name][scope] = c
}

// word is what stands at a place.
func (m *matrix) word(name, scope string) string {
	n, err := secret.ParseName(name)
	if err != nil {
		return "error"
	}
	return m.cells[n][scopeOf(scope)].text
}

// table spells the matrix out.
func (m *matrix) table() table {
	t := table{head: []string{"SECRET"}}
	for _, s := range m.scopes {
		t.head = append(t.head, strings.ToUpper(s.String()))
	}
	for _, n := range m.names {
		row := []cell{{text: n.String()}}
		for _, s := range m.scopes {
			c, ok := m.cells[n][s]
			if !ok {
				c = cell{"-", faint}
			}
			row = append(row, c)
		}
		t.rows = append(t.rows, row)
	}
	return t
}

// intended is what an action of a plan will do.
func intended(a plan.Action) cell {
	switch a.Verb {
	case plan.Create:
		return cell{"create", good}
	case plan.Update:
		return cell{"update", care}
	case plan.Delete:
		return cell{"delete", care}
	case plan.Conflict:
		return cell{"conflict", bad}
	case plan.Error:
		return cell{"error", bad}
	}
	return untouched(a)
}

// happened is what became of an action.
func happened(a plan.Action, ok bool) cell {
	switch {
	case a.Verb == plan.Conflict:
		return cell{"conflict", bad}
	case a.Verb == plan.Delete && !ok:
		return cell{"not deleted", bad}
	case a.Verb == plan.Error, !ok:
		return cell{"error", bad}
	case a.Verb == plan.Create:
		return cell{"created", good}
	case a.Verb == plan.Update:
		return cell{"updated", good}
	case a.Verb == plan.Delete:
		return cell{"deleted", good}
	}
	return untouched(a)
}

// untouched is what an action is called that changes nothing at GitHub.
func untouched(a plan.Action) cell {
	switch a.Verb {
	case plan.Forget:
		return cell{"forgotten", faint}
	case plan.Leave:
		return cell{"left alone", faint}
	}
	if a.Reason == plan.InStep {
		return cell{"in step", faint}
	}
	return cell{string(a.Reason), faint} // excluded, kept
}

// standing is how a secret stands in a scope, as status says it.
func standing(s plan.Standing) cell {
	text := strings.ReplaceAll(string(s), "_", " ")
	switch s {
	case plan.StandsIn, plan.StandsFirst:
		return cell{text, good}
	case plan.StandsOut:
		return cell{text, faint}
	case plan.StandsGone, plan.StandsDrift, plan.Unknown:
		return cell{text, bad}
	}
	return cell{text, care}
}

// listed spells at most most names and counts the rest.
func listed(names []string, most int) string {
	if len(names) <= most+1 {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}

// A legend says why the cells of a matrix have the words they have. One word may have several
// reasons; only then are the secrets named, since the matrix shows the rest.
type legend struct {
	words   []string            // in the order of first mention
	reasons map[string][]string // of a word
	names   map[[2]string][]string
}

func (l *legend) add(word, reason, name string) {
	if l.reasons == nil {
		l.reasons, l.names = map[string][]string{}, map[[2]string][]string{}
	}
	if !slices.Contains(l.words, word) {
		l.words = append(l.words, word)
	}
	if !slices.Contains(l.reasons[word], reason) {
		l.reasons[word] = append(l.reasons[word], reason)
	}
	if at := [2]string{word, reason}; !slices.Contains(l.names[at], name) {
		l.names[at] = append(l.names[at], name)
	}
}

func (l *legend) print(s stream) {
	for _, word := range l.words {
		for _, reason := range l.reasons[word] {
			line := word + ": " + reason
			if len(l.reasons[word]) > 1 {
				line += ": " + listed(l.names[[2]string{word, reason}], 5)
			}
			s.paragraph(line)
		}
	}
	if len(l.words) > 0 {
		s.println()
	}
}

// ago spells how long something is past.
func ago(d time.Duration) string {
	switch {
	case d < 2*time.Second:
		return "just now"
	case d < 2*time.Minute:
		return fmt.Sprintf("%d seconds ago", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d minutes ago", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d hours ago", int(d.Hours()))
	}
	return fmt.Sprintf("%d days ago", int(d.Hours()/24))
}

// span spells a duration as people say it.
func span(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d < 2*time.Minute:
		return fmt.Sprintf("%.0f s", d.Seconds())
	}
	return fmt.Sprintf("%.0f min", d.Minutes())
}

// sort puts the names in order, for a matrix that was filled list by list.
func (m *matrix) sort() { slices.SortFunc(m.names, secret.Name.Compare) }

// scopeOf is ParseScope for what was a scope before it was spelled.
func scopeOf(spelled string) secret.Scope {
	s, err := secret.ParseScope(spelled)
	if err != nil {
		panic(err)
	}
	return s
}
