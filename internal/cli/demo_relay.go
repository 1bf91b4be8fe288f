package cli

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/octoseal/octoseal"
	"github.com/octoseal/octoseal/internal/githubsim"
)

// relay tells the story of the repository whose secrets nobody has: with every process real, but for
// GitHub.
func (st *stage) relay(ctx context.Context) error {
	st.app.screen.out.printf("A simulated GitHub is up. In %s people set 12 secrets in Actions, years ago. Nobody has\n"+
		"the values any more, and GitHub gives none back. Codespaces and Dependabot have nothing.\n", st.demo.Bare)
	if err := st.hire(); err != nil {
		return err
	}
	if err := st.enter(st.demo.Bare); err != nil {
		return err
	}
	st.tell("A service, which keeps no value either, and a project in it. Between it and everybody else\n" +
		"stands a recorder: it keeps every byte, for later.")
	if err := st.serve(ctx); err != nil {
		return err
	}
	if err := st.settle(ctx); err != nil {
		return err
	}
	if err := st.commit(ctx); err != nil {
		return err
	}
	st.tell("That was all there is to set up. Now one command, with no file, no vault, and no right to see\n" +
		"a secret: the service starts the workflow, and its job seals the 12 values.")
	if err := st.sync(ctx); err != nil {
		return err
	}
	if err := st.prove(ctx); err != nil {
		return err
	}
	st.tell("Somebody changes NPM_TOKEN in Actions. The service looks for that each minute, but why wait. The\n" +
		"job is asked for that one value alone.")
	st.github.Advance(interlude)
	st.github.SetSecret(st.demo.Bare, "actions", githubsim.Secret{Name: "NPM_TOKEN", Value: "demo-npm-token-of-tomorrow"})
	if err := st.sync(ctx); err != nil {
		return err
	}
	st.hub.Sleep()
	st.wire.Sleep()
	return nil
}

// hire has the simulator carry out jobs, with this very program and action.
func (st *stage) hire() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	st.github.SetRunner(githubsim.Runner{URL: st.url, Command: []string{self}, Action: octoseal.Action})
	return os.Mkdir(filepath.Join(st.clone(st.demo.Bare), ".git"), 0o700)
}

// settle makes the project, and the token of somebody who may have it synchronised.
func (st *stage) settle(ctx context.Context) (err error) {
	args := []string{"project", "add"}
	st.show("", args)
	text, err := st.quietly(ctx, args)
	if err != nil {
		return err
	}
	out := st.app.screen.out
	out.println(text)
	args = []string{"token", "create", "--user", "you", "--role", "developer", "--project", st.demo.Bare}
	out.println(out.strong("$ T=$(" + commandLine(append([]string{st.app.programName()}, args...)).String() + ")"))
	st.token, err = st.quietly(ctx, args)
	return err
}

// commit has init write the workflow, shows what matters of it, and puts it on the default branch.
func (st *stage) commit(ctx context.Context) error {
	st.tell("The values can be had in one place only: in a job of a workflow of this repository. This writes\n" +
		"the workflow. It pins GitHub's own public keys, so that a review sees for whom is sealed.")
	args := []string{"init", "--server", st.server}
	st.show("", args)
	p := st.process(args)
	if commit() == "" { // as with go run
		p.Environ = append(p.Environ, "OCTOSEAL_ACTION_REF="+strings.Repeat("0", 40))
	}
	if err := st.ended(ctx, scene{args: args}, Run(ctx, p)); err != nil {
		return err
	}
	text, err := os.ReadFile(filepath.FromSlash(workflowPath))
	if err != nil {
		return err
	}
	out := st.app.screen.out
	out.println(out.strong("$ grep -A 2 pins: " + workflowPath))
	_, pins, _ := strings.Cut(string(text), "pins: |\n")
	out.println("          pins: |")
	for _, line := range strings.SplitN(pins, "\n", 3)[:2] {
		out.println(line)
	}
	out.println(out.strong("$ git add .github && git commit -m 'Add the relay of secrets' && git push"))
	st.github.SetWorkflow(st.demo.Bare, workflowPath, string(text))
	return nil
}

// sync asks the service, as somebody who has nothing but its token.
func (st *stage) sync(ctx context.Context) error {
	args := []string{"sync", "--server", st.server}
	st.show("OCTOSEAL_TOKEN=$T ", args)
	p := st.process(args)
	p.Environ[len(p.Environ)-1] = "OCTOSEAL_TOKEN=" + st.token
	if err := st.ended(ctx, scene{args: args}, Run(ctx, p)); err != nil {
		return err
	}
	if err := st.github.AwaitRuns(ctx); err != nil {
		return err
	}
	return st.right()
}

// right demands that both targets have the values of Actions.
func (st *stage) right() error {
	for _, s := range st.github.Secrets(st.demo.Bare, "actions") {
		for _, scope := range []string{"codespaces", "dependabot"} {
			if got, _ := st.github.Value(st.demo.Bare, scope, s.Name); got != s.Value {
				return fmt.Errorf("the demo's %s is not right for %s", s.Name, scope)
			}
		}
	}
	return nil
}

// A place is where a value might be.
type place struct{ name, text string }

// prove searches everything for every value, and finds none. That it finds the names shows that it
// searches where they would be.
func (st *stage) prove(ctx context.Context) error {
	st.tell("GitHub opened 24 boxes, and what was in them is right. Has anybody else seen a value? Search for\n" +
		"all of them, as they are and in base64, hex, JSON and URLs, in all that was said and written.")
	places, err := st.places(ctx)
	if err != nil {
		return err
	}
	t := table{head: []string{"WHERE", "SIZE", "NAMES FOUND", "VALUES FOUND"}}
	for _, p := range places {
		names, values := 0, 0
		for _, s := range st.github.Secrets(st.demo.Bare, "actions") {
			if strings.Contains(p.text, s.Name) {
				names++
			}
			if githubsim.Shows(p.text, s.Value) != "" {
				values++
			}
		}
		if values > 0 || names == 0 {
			return fmt.Errorf("the demo found %d names and %d values in %s", names, values, p.name)
		}
		size := fmt.Sprintf("%d KB", (len(p.text)+999)/1000)
		t.rows = append(t.rows, []cell{{text: p.name}, {text: size}, {text: fmt.Sprint(names)}, {text: fmt.Sprint(values), mood: good}})
	}
	t.print(st.app.screen.out)
	return nil
}

// places are the wire on both sides of the service, what it wrote, and what the job wrote. All of them
// have the names of the secrets.
func (st *stage) places(ctx context.Context) ([]place, error) {
	files, err := filepath.Glob(filepath.Join(st.folder, "octoseal.db*"))
	if err != nil {
		return nil, err
	}
	// Another process reads the database: were this one to close its file, SQLite's locks would go.
	database, err := exec.CommandContext(ctx, "cat", files...).Output()
	if err != nil {
		return nil, err
	}
	log, err := os.ReadFile(st.log())
	job := ""
	for _, run := range st.github.WorkflowRuns(st.demo.Bare) {
		job += run.RawLog + run.RawSummary
	}
	return []place{
		{"to and from the service, as recorded", st.wire.Heard()},
		{"to and from GitHub, as recorded", st.hub.Heard()},
		{"the service's database", string(database)},
		{"the service's log", string(log)},
		{"the job's log and its page", job},
	}, err
}
