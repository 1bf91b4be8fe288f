package cli

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/spf13/cobra"
)

func (a *app) demoCommand() *cobra.Command {
	var exit bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Show it all on a simulated GitHub, touching nothing",
		Long: "Demo starts a simulated GitHub on this machine, with a repository that people have worked in\n" +
			"for years, and runs the commands that bring it in step. The simulator then stays up to play\n" +
			"with, beside a service that keeps the repository in step, until Ctrl-C. Nothing outside of a\n" +
			"temporary folder is touched.",
		Args: exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error { return a.demo(ctx, exit) }),
	}
	c.Flags().BoolVar(&exit, "exit", false, "end after the show")
	return c
}

// A stage is where the demo plays: a simulated GitHub, and a folder with a .env.
type stage struct {
	app    *app
	github *githubsim.GitHub
	demo   githubsim.Demo
	url    string
	folder string
	server string // the service, once it runs
	token  string // of somebody who may ask it
}

// values is the .env of the demo. Its secrets are those of the simulated repository, two of them
// newer, and one that is nowhere yet.
const values = `# the secrets of acme/widgets
API_BASE_URL=https://api.widgets.example
AWS_ACCESS_KEY_ID=demo-access-key
AWS_SECRET_ACCESS_KEY=demo-access-secret
DATABASE_URL='postgres://widgets:demo@db.example/widgets'
DEPLOY_KEY=demo-deploy-key-of-today
DOCKER_PASSWORD=demo-docker-password
DOCKER_USERNAME=widgets-bot
NPM_TOKEN=demo-npm-token-of-today
OPENAI_API_KEY=demo-brand-new
SENTRY_DSN=https://demo@sentry.example/1
SIGNING_KEY="-----BEGIN DEMO KEY-----\nnot a key\n-----END DEMO KEY-----\n"
SLACK_WEBHOOK=https://hooks.example/demo
STRIPE_SECRET=demo-stripe-secret
CI=true
`

// interlude is how long the story waits before somebody edits a secret by hand.
const interlude = 3 * time.Hour

func (a *app) demo(ctx context.Context, exit bool) error {
	// The simulator begins in the past, so that its clock is right when the story has ended.
	gh := githubsim.New(githubsim.Config{Now: func() time.Time { return time.Now().Add(-interlude) }})
	st := &stage{app: a, github: gh, demo: githubsim.Seed(gh)}
	end, err := st.open(ctx)
	if err != nil {
		return err
	}
	defer end()
	if err := st.play(ctx); err != nil {
		return err
	}
	stop, err := st.serve(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if exit {
		return nil
	}
	st.invite()
	<-ctx.Done()
	return nil
}

// open starts the simulator and makes the folder, and goes there.
func (st *stage) open(ctx context.Context) (end func(), err error) {
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	st.url = "http://" + listener.Addr().String()
	server := &http.Server{Handler: st.github, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(listener) }() // until Close
	before, err := os.Getwd()
	if err == nil {
		st.folder, err = os.MkdirTemp("", "octoseal-demo-")
	}
	if err != nil {
		_ = server.Close()
		return nil, err
	}
	settings := fmt.Sprintf("repo: %s\ngithub-api-url: %s\ndatabase: octoseal.db\n", st.demo.Repository, st.url)
	for name, text := range map[string]string{".env": values, configName: settings} {
		if err := os.WriteFile(filepath.Join(st.folder, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	return func() {
		_ = server.Close()
		_ = os.Chdir(before)
		_ = os.RemoveAll(st.folder)
	}, os.Chdir(st.folder)
}

// play tells the story. Each command has to end as the story says.
func (st *stage) play(ctx context.Context) error {
	out := st.app.screen.out
	out.printf("A simulated GitHub is up, with a repository that people have worked in for years:\n"+
		"%s has 12 secrets in Actions, 10 in Dependabot, 2 in Codespaces. This folder has a .env\n"+
		"with 13, and an octoseal.yaml that says where the repository is.\n", st.demo.Repository)
	for _, scene := range []struct {
		says string
		does func()
		code int
		args []string
	}{
		{"What would a sync do?", nil, exitDone, []string{"plan", "--from", ".env"}},
		{"Whatever is there already was put there by somebody else, so it is a conflict: a plain\n" +
			"sync leaves it alone. Here the .env is right, so we take all of it over.", nil, exitDone,
			[]string{"sync", "--from", ".env", "--adopt", "overwrite"}},
		{"Everything is in step now. A second sync finds nothing to do, and costs no quota.", nil, exitDone,
			[]string{"sync", "--from", ".env"}},
		{"Three hours later somebody changes NPM_TOKEN for Dependabot by hand.", st.edit, exitAttention,
			[]string{"sync", "--from", ".env"}},
		{"That was not ours to overwrite. If the .env is right after all, --force says so.", nil, exitDone,
			[]string{"sync", "--from", ".env", "--secret", "NPM_TOKEN", "--force"}},
		{"And is everything where it belongs?", nil, exitDone, []string{"validate"}},
	} {
		out.println()
		out.println(out.faint("# " + strings.ReplaceAll(scene.says, "\n", "\n# ")))
		if scene.does != nil {
			scene.does()
		}
		if code := st.run(ctx, scene.args); code != scene.code {
			if err := context.Cause(ctx); err != nil {
				return err
			}
			return fmt.Errorf("the demo's %s ended with %d, not %d", scene.args[0], code, scene.code)
		}
	}
	return nil
}

func (st *stage) edit() {
	st.github.Advance(interlude)
	st.github.SetSecret(st.demo.Repository, "dependabot", githubsim.Secret{Name: "NPM_TOKEN", Value: "demo-by-hand"})
}

// run runs the program as the person would, without their own settings and keyboard.
func (st *stage) run(ctx context.Context, args []string) int {
	st.show(args)
	return Run(ctx, st.process(args))
}

// show says which command comes.
func (st *stage) show(args []string) {
	out := st.app.screen.out
	line := commandLine(append([]string{st.app.programName()}, args...)).String()
	out.println(out.strong("$ " + strings.Replace(line, "'&'", "&", 1)))
}

// process is the program as the person would start it.
func (st *stage) process(args []string) Process {
	a := st.app
	environ := slices.DeleteFunc(slices.Clone(a.Environ), func(v string) bool { return strings.HasPrefix(v, "OCTOSEAL_") })
	return Process{
		Name: a.Name, Args: args, In: strings.NewReader(""), Out: a.Out, Err: a.Err,
		Environ: append(environ, "OCTOSEAL_GITHUB_TOKEN="+st.demo.Token),
	}
}

// invite says how to go on by hand.
func (st *stage) invite() {
	out, p := st.app.screen.out, st.app.programName()
	out.printf("\nThe simulator stays up at %s, and the service at %s,\nuntil Ctrl-C. To play with them, in another terminal:\n\n", st.url, st.server)
	out.printf("  cd %s\n  export OCTOSEAL_GITHUB_TOKEN=%s\n  T=%s\n", quoted(st.folder), st.demo.Token, st.token)
	if self, err := os.Executable(); err == nil && p == "octoseal" {
		if _, err := exec.LookPath(p); err != nil {
			out.printf("  alias octoseal=%s\n", quoted(self))
		}
	}
	out.printf("\n  %-34s %s\n", p+" status", out.faint("# which secret is where"))
	out.printf("  %-34s %s\n", p+" set DEPLOY_KEY", out.faint("# one value, typed unseen, into every scope"))
	out.printf("  %-34s %s\n", "echo NEW_KEY=1 >> .env", out.faint("# and the service writes it within a minute"))
	out.printf("  %s\n", st.curl())
}
