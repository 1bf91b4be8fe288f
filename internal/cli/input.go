package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/source"
	"github.com/octoseal/octoseal/internal/syncing"
)

// An input is what a source held: values that can be written, and names that stay out.
type input struct {
	source   source.Source
	entries  []source.Entry
	values   map[secret.Name]secret.Plaintext
	withheld []secret.Name // has an entry that --skip-invalid leaves out
	odd      []string      // excluded, and no name that a secret could have
	tracked  chan bool
}

// read takes the values from where --from says. Nothing was asked of GitHub yet.
func (a *app) read(ctx context.Context, sel selection) (*input, error) {
	if sel.from == "" {
		return nil, a.noSource()
	}
	src, err := source.Parse(sel.from, source.Options{
		Format: source.Format(sel.format), Stdin: a.In, Stderr: a.Err, Environ: func() []string { return a.Environ },
	})
	if err != nil {
		return nil, err
	}
	in := &input{source: src, tracked: make(chan bool, 1)}
	go func() { in.tracked <- src.Tracked(ctx) }() // git takes longer than reading does
	in.entries, err = src.Read(ctx)
	for _, e := range in.entries {
		a.redact.Learn(e.Value)
	}
	return in, err
}

// noSource says where values could come from. Actions has them, and gives them to nobody but a job
// of a workflow.
func (a *app) noSource() error {
	from := "FILE"
	if _, err := os.Stat(".env"); !errors.Is(err, fs.ErrNotExist) {
		from = ".env"
	}
	return fault.New(fault.SourceUnavailable, fault.Context{
		"reason": "GitHub never gives the value of an Actions secret back, and --from names no other source",
	}).Hinting("Say where the values are: %s", a.again("", "--from", from))
}

// decide splits the entries into what is written and what is not, and refuses the whole source for
// one bad entry unless --skip-invalid leaves those out. Exclusion comes first: an excluded name is
// never a problem.
func (in *input) decide(ctx context.Context, s *session, skipInvalid bool) error {
	names := make([]string, 0, 2*len(in.entries))
	for _, e := range in.entries {
		names = append(names, e.Name, strings.ToUpper(e.Name))
	}
	tested, err := s.TestNames(ctx, s.repo, "", names)
	if err != nil {
		return err
	}
	excluded := make(map[string]bool, len(tested))
	for _, t := range tested {
		excluded[t.Name] = t.Excluded
	}
	verdict := source.Check(in.entries, func(name string) bool { return excluded[name] })
	if len(verdict.Problems) > 0 && !skipInvalid {
		return in.source.Refuse(verdict.Problems, s.app.again("", "--skip-invalid").String())
	}
	for _, p := range verdict.Problems {
		s.app.screen.talk("left out: %s", p)
	}
	in.values, in.withheld = verdict.Values, verdict.Withheld
	in.countExcluded(verdict.Excluded)
	if <-in.tracked {
		s.app.warn("git tracks %s: whoever reads the repository can read the values, in its history too", in.source)
	}
	return nil
}

// countExcluded hands the excluded names on, for the plan to count them and say so. A rule goes by
// the name alone, so the plan decides the same as was decided here, and no value of them is sealed.
func (in *input) countExcluded(names []string) {
	isExcluded := make(map[string]bool, len(names))
	for _, n := range names {
		isExcluded[n] = true
	}
	for _, e := range in.entries {
		if !isExcluded[e.Name] {
			continue
		}
		if name, err := secret.ParseName(strings.ToUpper(e.Name)); err == nil {
			in.values[name] = e.Value
		} else {
			in.odd = append(in.odd, e.Name)
		}
	}
}

// local is the source of the run. What was left out for want of a usable value still stands in it,
// and is not taken for gone.
func (in *input) local() syncing.Source {
	src := syncing.Local(in.source.Identity(), in.values)
	src.Unusable = in.withheld
	return src
}

// zero overwrites the values once they are not needed any more.
func (in *input) zero() {
	for _, e := range in.entries {
		e.Value.Zero()
	}
}
