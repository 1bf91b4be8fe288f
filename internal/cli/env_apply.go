package cli

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"slices"
	"strings"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/source"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const environmentsName = "environments.yaml"

// applying are the flags of plan and apply.
type applying struct {
	file     string
	from     string
	format   string
	reviewer int64
	force    bool
	yes      bool
}

func (f *applying) register(flags *pflag.FlagSet) {
	flags.SortFlags = false
	flags.StringVarP(&f.file, "file", "f", environmentsName, "`FILE` of environments")
	flags.StringVar(&f.from, "from", "", "`SOURCE` of the values that the file names: FILE (.env, .json, .yaml), - (stdin), env:PREFIX_, json-env:VARIABLE or exec:COMMAND")
	flags.StringVar(&f.format, "format", "", "`FORMAT` of the source, where --from does not tell: env, json or yaml")
	flags.Int64Var(&f.reviewer, "reviewer", 0, "number of the `USER` who approves where the file names nobody (gh api users/LOGIN --jq .id)")
	flags.BoolVar(&f.force, "force", false, "write over secrets that somebody else put there or changed")
}

func (a *app) envPlan() *cobra.Command {
	var f applying
	var exitCode bool
	c := &cobra.Command{
		Use:   "plan -f FILE --from SOURCE",
		Short: "Say what env apply would do, touching nothing",
		Long: "Plan compares the file with what GitHub shows and what is remembered: rules that somebody\n" +
			"loosened, secrets that are missing, stale or changed by someone else.",
		Example: "  octoseal env plan --from .env\n" +
			"  octoseal env plan -f environments.yaml --from .env --exit-code   # 3 when there is something to do",
		Args: exactly(),
		RunE: a.runLocal(func(ctx context.Context) error {
			w, err := a.openWork(ctx, f, toRead)
			if err != nil {
				return err
			}
			defer w.close()
			p, err := w.service.Plan(ctx, w.request)
			if err != nil {
				return w.refused(err)
			}
			return a.tellEnvPlan(p, exitCode)
		}),
	}
	f.register(c.Flags())
	c.Flags().BoolVar(&exitCode, "exit-code", false, "exit with 3 when there is something to do")
	return c
}

func (a *app) envApply() *cobra.Command {
	var f applying
	c := &cobra.Command{
		Use:   "apply -f FILE --from SOURCE",
		Short: "Give GitHub the environments that a file asks for",
		Long: "Apply makes environments and changes their rules and secrets, as the file says; what it does\n" +
			"not name stays as it is. An environment stands or falls alone: one that is refused is left as\n" +
			"it is and the others go on. No secret goes where it would be less protected than asked.",
		Example: "  octoseal env apply --repo acme/widgets --from .env\n" +
			"  octoseal env apply -f environments.yaml --from 'exec:sops -d secrets.yaml' --format yaml",
		Args: exactly(),
		RunE: a.runLocal(func(ctx context.Context) error {
			w, err := a.openWork(ctx, f, toKeep)
			if err != nil {
				return err
			}
			defer w.close()
			return w.apply(ctx, f.yes)
		}),
	}
	f.register(c.Flags())
	c.Flags().BoolVarP(&f.yes, "yes", "y", false, "ask nothing")
	return c
}

// runLocal makes the RunE of a command that works with values, which go to no server.
func (a *app) runLocal(do func(ctx context.Context) error) func(*cobra.Command, []string) error {
	return a.run(func(ctx context.Context, _ []string) error {
		if a.settings.server != "" {
			return fault.Invalid("env %s and --server do not go together: no value is ever sent to a server", a.command).
				Hinting("Leave --server out. Programs whose values a server may see use its POST /github/environments.")
		}
		return do(ctx)
	})
}

// A work is a file of environments with the values that it names, before GitHub.
type work struct {
	*kept
	file    environment.File
	entries []source.Entry
	request environment.Request
}

// openWork reads the file and its values, and connects; every slip of the two is told before anything
// is asked of GitHub.
func (a *app) openWork(ctx context.Context, f applying, need want) (_ *work, err error) {
	if f.reviewer < 0 {
		return nil, fault.Invalid("--reviewer is %d, which is no user's number", f.reviewer)
	}
	w := &work{}
	if w.file, err = readEnvironments(f.file); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			w.zero()
		}
	}()
	values, err := a.valuesFor(ctx, w, f)
	if err != nil {
		return nil, err
	}
	asked, err := w.file.Asked(values)
	if err != nil {
		return nil, err
	}
	if w.kept, err = a.keeping(ctx, need); err != nil {
		return nil, err
	}
	w.request = environment.Request{Project: w.project, Actor: store.Local, Environments: asked, Force: f.force, Reviewer: f.reviewer}
	a.screen.talk("using %s for %s at %s", w.client.Credential(), w.repo, w.api.host())
	return w, nil
}

func readEnvironments(name string) (environment.File, error) {
	text, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return environment.File{}, fault.Invalid("there is no file of environments %s", name).Because(err).
			Hinting("Name one with -f, or have a first one written: octoseal init --environments")
	case err != nil:
		return environment.File{}, fault.Invalid("the file of environments %s is not readable", name).Because(err)
	}
	return environment.ParseFile(name, text)
}

// valuesFor takes the values that the file names from the source, and nothing else: what is wrong
// with other entries is of no concern here.
func (a *app) valuesFor(ctx context.Context, w *work, f applying) (map[secret.Name]secret.Plaintext, error) {
	names := w.file.Names()
	switch {
	case len(names) == 0:
		return nil, nil
	case f.from == "":
		return nil, fault.New(fault.SourceUnavailable, fault.Context{
			"reason": "the file names secrets, GitHub never gives a value back, and --from names no source",
		}).Hinting("Say where the values are: %s", a.again("", "--from", ".env"))
	}
	src, err := source.Parse(f.from, source.Options{
		Format: source.Format(f.format), Stdin: a.In, Stderr: a.Err, Environ: func() []string { return a.Environ },
	})
	if err != nil {
		return nil, err
	}
	w.entries, err = src.Read(ctx)
	for _, e := range w.entries {
		a.redact.Learn(e.Value)
	}
	if err != nil {
		return nil, err
	}
	verdict := source.Check(w.entries, func(name string) bool {
		return !slices.ContainsFunc(names, func(n secret.Name) bool { return n.String() == strings.ToUpper(name) })
	})
	if len(verdict.Problems) > 0 {
		return nil, src.Refuse(verdict.Problems, "")
	}
	if src.Tracked(ctx) {
		a.warn("git tracks %s: whoever reads the repository can read the values, in its history too", src)
	}
	return verdict.Values, nil
}

// refused puts what was found wrong with the file where it stands there.
func (w *work) refused(err error) error {
	var f *fault.Fault
	if errors.As(err, &f) {
		if problems, ok := f.Context["problems"].([]environment.Problem); ok {
			return w.withoutReviewer(w.file.Refuse(problems))
		}
	}
	return err
}

// withoutReviewer adds how a command line names the reviewer whom a project on a server has stored.
func (w *work) withoutReviewer(f *fault.Fault) *fault.Fault {
	if w.request.Reviewer == 0 && strings.Contains(f.Message, "defaultReviewerId") {
		f.Hint = "To name one reviewer for all: " + w.app.again("", "--reviewer", "NUMBER").String()
	}
	return f
}

func (w *work) zero() {
	for _, e := range w.entries {
		e.Value.Zero()
	}
}

func (w *work) close() {
	w.zero()
	w.kept.close()
}

// apply asks the person first, if there is one and something to do. One that was interrupted has a
// result too, if it wrote anything.
func (w *work) apply(ctx context.Context, yes bool) error {
	if !yes && w.app.interactive() {
		if err := w.ask(ctx); err != nil {
			return w.refused(err)
		}
	}
	silence := context.AfterFunc(ctx, func() { w.app.screen.talk("ending what is under way; Ctrl-C again ends at once") })
	res, err := w.service.Apply(ctx, w.request)
	silence()
	if err != nil && len(res.Actions) == 0 {
		return w.refused(err)
	}
	if told := w.app.tellApplied(res); told != nil && !errors.Is(told, errAttention) {
		return told
	} else if err == nil {
		return told
	}
	return err
}

func (w *work) ask(ctx context.Context) error {
	a := w.app
	p, err := w.service.Plan(ctx, w.request)
	if err != nil || p.Summary.Create+p.Summary.Update == 0 {
		return err
	}
	a.showEnvPlan(a.screen.err, p)
	a.screen.err.println()
	answer, err := a.choose(ctx, "Apply this?", "", choice{goOn, "yes, write this"}, choice{stop, "no, write nothing"})
	a.screen.err.println()
	if err == nil && answer == stop {
		err = syncing.ErrDeclined
	}
	return err
}
