package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/octoseal/octoseal/internal/exclusion"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/relay"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/spf13/cobra"
)

// beginning are the flags of init.
type beginning struct {
	scopes    []string
	names     bool
	split     int
	schedule  string
	runsOn    []string
	actionRef string
	pin       bool
	check     bool
	force     bool

	environments bool
}

func (a *app) initCommand() *cobra.Command {
	var b beginning
	c := &cobra.Command{
		Use:   "init",
		Short: "Write the files that a repository begins with: the relay's workflow, its environments",
		Long: "Init writes " + workflowPath + " into this checkout. Its job is the only place\n" +
			"where the values of Actions secrets can be had: it seals them for the keys that the file pins,\n" +
			"which are fetched here with your own login, and hands the boxes to the server. Review and commit\n" +
			"the file. --pin renews its pins, --check tells what is missing or out of date.\n\n" +
			"With --environments it writes a first " + environmentsName + " instead, for octoseal env.",
		Example: "  octoseal init --server https://octoseal.example\n" +
			"  octoseal init --check\n" +
			"  octoseal init --pin\n" +
			"  octoseal init --environments",
		Args: exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error { return a.initialise(ctx, b) }),
	}
	f := c.Flags()
	f.SortFlags = false
	registerScopes(f, &b.scopes, "pin the keys of `SCOPES` (default codespaces,dependabot; with --pin those that are pinned)")
	f.BoolVar(&b.names, "names", false, "one variable for each secret, for more than 96 KiB of them")
	f.IntVar(&b.split, "split", 0, "divide the secrets among `N` steps, for more than 1.5 MiB of them")
	f.StringVar(&b.schedule, "schedule", "", "start the job at times of its own too: a `CRON` line")
	f.StringSliceVar(&b.runsOn, "runs-on", []string{"ubuntu-latest"}, "`LABELS` of the runner")
	f.StringVar(&b.actionRef, "action-ref", "", "`COMMIT` of the action, or OWNER/REPO@COMMIT of a copy (default: what this program was built from)")
	f.BoolVar(&b.pin, "pin", false, "fetch the keys again and change the pins alone")
	f.BoolVar(&b.check, "check", false, "tell what is missing or out of date; exit 3 when something is")
	registerEnvironments(f, &b.environments)
	f.BoolVar(&b.force, "force", false, "write over a file that init did not write")
	return c
}

func (a *app) initialise(ctx context.Context, b beginning) error {
	if err := b.consistent(); err != nil {
		return err
	}
	if b.environments {
		return a.initEnvironments(ctx)
	}
	l, err := a.lookout(ctx)
	if err != nil {
		return err
	}
	defer l.client.CloseIdle()
	switch {
	case b.check:
		return a.checkWorkflow(ctx, l, b)
	case b.pin:
		return a.renewPins(ctx, l, b)
	}
	return a.writeWorkflow(ctx, l, b)
}

// consistent refuses flags that contradict each other.
func (b beginning) consistent() error {
	switch {
	case b.environments && (b.pin || b.check || b.names || b.split > 0 || b.schedule != "" || b.force):
		return fault.Invalid("--environments writes another file than the workflow's").Hinting("One file at a time.")
	case b.pin && b.check, b.pin && (b.names || b.split > 0), b.check && (b.names || b.split > 0 || b.force):
		return fault.Invalid("--pin, --check, and what writes the file anew do not go together").Hinting("One thing at a time.")
	case b.split < 0 || b.split == 1 || b.split > 50:
		return fault.Invalid("--split is %d: it has to be from 2 to 50", b.split)
	case b.schedule != "" && !cronForm.MatchString(b.schedule):
		return fault.Invalid("--schedule is no cron line of five fields").Hinting("Such as --schedule '17 */6 * * *', in UTC.")
	}
	return nil
}

// A lookout is the repository that is meant, seen with the user's own login.
type lookout struct {
	client *github.Client
	repo   github.Repository
}

func (a *app) lookout(ctx context.Context) (lookout, error) {
	i, err := a.api()
	if err != nil {
		return lookout{}, err
	}
	credential, err := a.credential()
	if err != nil {
		return lookout{}, err
	}
	ref, err := a.repository(ctx, i)
	if err != nil {
		return lookout{}, err
	}
	client, err := github.New(github.Config{
		BaseURL: a.settings.apiURL, Credential: credential, Log: a.log, Retry: a.settings.retry, Wait: a.settings.wait, Version: version(),
	})
	if err != nil {
		return lookout{}, err
	}
	l := lookout{client: client}
	if l.repo, _, err = client.Repository(ctx, ref, nil); err != nil {
		client.CloseIdle()
		return lookout{}, err
	}
	a.screen.talk("using %s for %s at %s", credential, l.repo.FullName(), i.host())
	return l, nil
}

// keys are the pins of scopes as GitHub's keys are now.
func (a *app) keys(ctx context.Context, l lookout, scopes []secret.Scope, isDefault bool) (relay.Pins, error) {
	var pins relay.Pins
	for _, s := range scopes {
		key, err := l.client.PublicKey(ctx, l.repo, s)
		if isDefault && errors.Is(err, github.ErrStoreMissing) {
			a.screen.talk("note: this repository's plan or server has no %s secrets; they are left out", s)
			continue
		}
		if err != nil {
			return nil, err
		}
		pin := relay.PinOf(key)
		if again, err := relay.ParsePin(pin.String()); err != nil || again != pin || strings.Contains(pin.String(), "${{") {
			return nil, fault.Invalid("the key of %s cannot be spelled as a pin", s).Because(err)
		}
		pins = append(pins, pin)
	}
	if len(pins) == 0 {
		return nil, fault.Invalid("there is no scope to pin a key of").Hinting("Name one: --scopes dependabot")
	}
	return pins, nil
}

// targets are the scopes to pin. Actions is where the values come from, so nothing is sealed for it.
func (b beginning) targets() (scopes []secret.Scope, isDefault bool, err error) {
	if len(b.scopes) == 0 {
		return []secret.Scope{secret.Codespaces, secret.Dependabot}, true, nil
	}
	scopes, err = parseScopes(b.scopes)
	if err == nil && slices.Contains(scopes, secret.Actions) {
		err = fault.Invalid("--scopes names actions, which is where the values come from").Hinting("Name the scopes that are to be written: --scopes codespaces,dependabot")
	}
	slices.SortFunc(scopes, secret.Scope.Compare)
	return slices.Compact(scopes), false, err
}

// writeWorkflow writes the file, or shows it.
func (a *app) writeWorkflow(ctx context.Context, l lookout, b beginning) error {
	w, err := a.workflow(ctx, l, b)
	if err != nil {
		return err
	}
	if a.settings.json {
		return a.screen.out.data(shownWorkflow{workflowPath, w.text(), shownPins(w.Pins)})
	}
	name, err := a.workflowFile()
	if err != nil {
		return err
	}
	if text, err := os.ReadFile(name); err == nil && !b.force && !strings.HasPrefix(string(text), writtenBy) {
		return fault.Invalid("%s is there, and octoseal init did not write it", name).
			Hinting("Look at it first; then: %s. Or renew its pins alone: octoseal init --pin", a.again("", "--force"))
	}
	if err := replaceFile(name, w.text()); err != nil {
		return err
	}
	a.screen.out.printf("wrote %s with pins of %s\n", name, spelledScopes(w.Pins))
	a.nextStep(l)
	return nil
}

// workflow decides what is written.
func (a *app) workflow(ctx context.Context, l lookout, b beginning) (workflow, error) {
	w := workflow{Schedule: b.schedule}
	_, err := a.serverURL()
	if w.Server = a.serverText(); err == nil && !urlForm.MatchString(w.Server) {
		err = fault.Invalid("--server has characters that a workflow file is better without")
	}
	if err == nil {
		w.Action, err = actionOf(b.actionRef)
	}
	if err == nil {
		w.RunsOn, err = runsOn(b.runsOn)
	}
	if err != nil {
		return w, err
	}
	scopes, isDefault, err := b.targets()
	if err != nil {
		return w, err
	}
	if w.Pins, err = a.keys(ctx, l, scopes, isDefault); err != nil {
		return w, err
	}
	w.Steps, err = a.steps(ctx, l, b)
	return w, err
}

// steps decides how the values get into the job, and says which never will.
func (a *app) steps(ctx context.Context, l lookout, b beginning) ([]workflowStep, error) {
	names, odd, err := l.carried(ctx)
	switch {
	case err != nil && (b.names || b.split > 0):
		return nil, err
	case err != nil:
		a.screen.talk("note: which names cannot be carried was not looked at: %s", fault.Of(err).Message)
	case len(odd) > 0:
		a.warn("not carried, since a name has A-Z, 0-9 and _, begins with a letter and has at most 100 characters: %s", strings.Join(odd, ", "))
	}
	if !b.names && b.split == 0 {
		return []workflowStep{{}}, nil
	}
	if len(names) < max(1, b.split) {
		return nil, fault.Invalid("%s has %s to carry", l.repo.FullName(), counted(len(names), "Actions secret")).
			Hinting("Without --names and --split the job carries whatever there is.")
	}
	return inSteps(names, b.split), nil
}

// carried lists what a job can carry: the Actions secrets that no built-in rule excludes. Odd are
// those that GitHub has and no name of ours can be.
func (l lookout) carried(ctx context.Context) (names []secret.Name, odd []string, err error) {
	listing, err := l.client.List(ctx, l.repo, secret.Actions, nil)
	if err != nil {
		return nil, nil, err
	}
	rules := exclusion.Defaults()
	for _, s := range listing.Secrets() {
		verdict, err := rules.Verdict(s.Name)
		if err != nil {
			return nil, nil, err
		}
		name, bad := secret.ParseName(s.Name)
		switch {
		case verdict.Excluded:
		case bad != nil:
			odd = append(odd, s.Name)
		default:
			names = append(names, name)
		}
	}
	slices.SortFunc(names, secret.Name.Compare)
	return names, odd, nil
}

// renewPins fetches the keys again and changes nothing but the pins.
func (a *app) renewPins(ctx context.Context, l lookout, b beginning) error {
	name, err := a.workflowFile()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(name)
	if err != nil {
		return fault.Invalid("there is no %s to renew the pins of", name).Because(err).Hinting("Write it: octoseal init --server URL")
	}
	_, before, err := repinned(string(text), nil)
	if err != nil {
		return err
	}
	scopes, _, err := b.targets()
	if len(b.scopes) == 0 {
		scopes = scopesOf(before)
	}
	if err != nil {
		return err
	}
	pins, err := a.keys(ctx, l, scopes, false)
	if err != nil {
		return err
	}
	renewed, _, err := repinned(string(text), pins)
	if err != nil {
		return err
	}
	if a.settings.json {
		return a.screen.out.data(shownWorkflow{workflowPath, renewed, shownPins(pins)})
	}
	if renewed == string(text) {
		a.screen.out.printf("the pins in %s are GitHub's keys already\n", name)
		return nil
	}
	if err := replaceFile(name, renewed); err != nil {
		return err
	}
	a.screen.out.printf("renewed the pins of %s in %s\n", spelledScopes(pins), name)
	a.hint("review it with git diff, commit it, and have it on %s", l.repo.DefaultBranch)
	return nil
}

// scopesOf are the scopes of pins, each once.
func scopesOf(pins relay.Pins) []secret.Scope {
	var scopes []secret.Scope
	for _, p := range pins {
		if !slices.Contains(scopes, p.Scope) {
			scopes = append(scopes, p.Scope)
		}
	}
	return scopes
}

func spelledScopes(pins relay.Pins) string {
	var texts []string
	for _, s := range scopesOf(pins) {
		texts = append(texts, s.String())
	}
	return strings.Join(texts, ", ")
}

// nextStep says what is to be done after the file was written.
func (a *app) nextStep(l lookout) {
	server, repo := a.serverText(), l.repo.FullName()
	a.hint("review it, commit it, and have it on %s: GitHub starts it from there alone", l.repo.DefaultBranch)
	a.hint("the server that takes the boxes is octoseal serve --public-url %s, with the project: octoseal project add --repo %s", server, repo)
	a.hint("then: octoseal sync --server %s --repo %s", server, repo)
}

// A shownWorkflow is what init would write.
type shownWorkflow struct {
	Path    string     `json:"path"`
	Content string     `json:"content"`
	Pins    []shownPin `json:"pins"`
}

type shownPin struct {
	Scope  string `json:"scope"`
	KeyID  string `json:"keyId"`
	SHA256 string `json:"sha256"`
}

func shownPins(pins relay.Pins) []shownPin {
	out := make([]shownPin, len(pins))
	for i, p := range pins {
		out[i] = shownPin{p.Scope.String(), p.KeyID, fmt.Sprintf("%x", p.Sum)}
	}
	return out
}

// workflowFile is where the file is, or belongs: in the checkout that the working directory is in.
func (a *app) workflowFile() (string, error) {
	here, err := os.Getwd()
	if err != nil {
		return "", fault.Invalid("the working directory is gone").Because(err)
	}
	for dir := here; ; dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
			name, err := filepath.Rel(here, filepath.Join(dir, filepath.FromSlash(workflowPath)))
			return name, err
		}
		if dir == filepath.Dir(dir) {
			return "", fault.Invalid("this is no checkout of a repository, so there is no place for %s", workflowPath).
				Hinting("Go to a checkout, or have it shown: %s", a.again("", "--json"))
		}
	}
}

// replaceFile writes a file whole or not at all, and its folders where they are missing.
func replaceFile(name, text string) error {
	err := os.MkdirAll(filepath.Dir(name), 0o755)
	if err == nil {
		err = os.WriteFile(name+".new", []byte(text), 0o644)
	}
	if err == nil {
		err = os.Rename(name+".new", name)
	}
	var at *fs.PathError
	if errors.As(err, &at) {
		return fault.Invalid("%s cannot be written: %s", name, at.Err).Because(err)
	}
	return err
}
