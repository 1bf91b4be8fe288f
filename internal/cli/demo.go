package cli

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
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
		Long: "Demo starts a simulated GitHub on this machine, with a repository whose secrets nobody has but\n" +
			"Actions, and one that people have worked in for years, and runs the commands that bring both\n" +
			"in step. It records all that is said and proves that no value was. Simulator and service then\n" +
			"stay up to play with, until Ctrl-C. Nothing outside of a temporary folder is touched.",
		Args: exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error { return a.demo(ctx, exit) }),
	}
	c.Flags().BoolVar(&exit, "exit", false, "end after the show")
	return c
}

// A stage is where the demo plays: a simulated GitHub, and a folder with a clone of each repository.
type stage struct {
	app    *app
	github *githubsim.GitHub
	demo   githubsim.Demo
	hub    *githubsim.Wiretap // before the simulator
	url    string
	folder string
	ends   []func() // in reverse, what was begun

	wire   *githubsim.Wiretap // before the service
	server string             // the service, as it is reached
	token  string             // of somebody who may ask it
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

// interlude is how long the story waits before somebody edits a secret: GitHub tells times by the
// second. It is short enough for the tokens of the simulator's jobs to hold on this machine's clock.
const interlude = 10 * time.Second

func (a *app) demo(ctx context.Context, exit bool) error {
	// The simulator begins in the past, so that its clock is right when the story has ended.
	gh := githubsim.New(githubsim.Config{Now: func() time.Time { return time.Now().Add(-2 * interlude) }})
	st := &stage{app: a, github: gh, demo: githubsim.Seed(gh)}
	defer st.end()
	if err := st.open(ctx); err != nil {
		return err
	}
	relays := hasJobs()
	if !relays {
		a.screen.talk("note: jobs of GitHub's runners take bash, which is not here: the demo leaves the relay out")
	} else if err := st.relay(ctx); err != nil {
		return err
	}
	if err := st.play(ctx); err != nil || exit {
		return err
	}
	st.invite(relays)
	<-ctx.Done()
	return nil
}

// hasJobs says whether the simulator can carry out jobs here.
func hasJobs() bool {
	_, err := exec.LookPath("bash")
	return err == nil && runtime.GOOS != "windows"
}

// finally has something ended with the demo.
func (st *stage) finally(end func()) { st.ends = append(st.ends, end) }

func (st *stage) end() {
	for _, end := range slices.Backward(st.ends) {
		end()
	}
}

// open starts the simulator and makes the folder.
func (st *stage) open(ctx context.Context) (err error) {
	before, err := os.Getwd()
	if err != nil {
		return err
	}
	if st.folder, err = os.MkdirTemp("", "octoseal-demo-"); err != nil {
		return err
	}
	st.finally(func() {
		_ = os.Chdir(before)
		_ = os.RemoveAll(st.folder)
	})
	behind, err := st.answer(ctx, anyAddress, st.github)
	if err != nil {
		return err
	}
	st.finally(st.github.Close)
	st.hub = githubsim.NewWiretap(behind)
	if st.url, err = st.answer(ctx, anyAddress, st.hub); err != nil {
		return err
	}
	for _, repo := range []string{st.demo.Bare, st.demo.Repository} {
		settings := fmt.Sprintf("repo: %s\ngithub-api-url: %s\ndatabase: ../octoseal.db\n", repo, st.url)
		if err := write(filepath.Join(st.clone(repo), configName), settings); err != nil {
			return err
		}
	}
	return write(filepath.Join(st.clone(st.demo.Repository), ".env"), values)
}

const anyAddress = "127.0.0.1:0"

// answer has a handler answer at an address until the demo ends, and returns its URL.
func (st *stage) answer(ctx context.Context, address string, h http.Handler) (url string, err error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", address)
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: h, ReadHeaderTimeout: time.Minute}
	go func() { _ = server.Serve(l) }() // until Close
	st.finally(func() { _ = server.Close() })
	return "http://" + l.Addr().String(), nil
}

// clone is the folder of a repository.
func (st *stage) clone(repo string) string { return filepath.Join(st.folder, filepath.Base(repo)) }

// write makes a file, and its folder.
func write(name, text string) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return err
	}
	return os.WriteFile(name, []byte(text), 0o600)
}

// enter goes to the clone of a repository.
func (st *stage) enter(repo string) error {
	out := st.app.screen.out
	out.println(out.strong("$ cd " + quoted(st.clone(repo))))
	return os.Chdir(st.clone(repo))
}

// A scene is a command and how it ends, with what is said before it.
type scene struct {
	says string
	does func()
	code int
	args []string
}

// play tells the story of the repository that people have worked in.
func (st *stage) play(ctx context.Context) error {
	st.app.screen.out.printf("\n%s is another repository, with 12 secrets in Actions, 10 in Dependabot and 2 in\n"+
		"Codespaces, that people set by hand over the years. Somebody keeps a .env with 13.\n", st.demo.Repository)
	if err := st.enter(st.demo.Repository); err != nil {
		return err
	}
	return st.scenes(ctx, []scene{
		{"What would a sync do?", nil, exitDone, []string{"plan", "--from", ".env"}},
		{"Whatever is there already was put there by somebody else, so it is a conflict: a plain\n" +
			"sync leaves it alone. Here the .env is right, so we take all of it over.", nil, exitDone,
			[]string{"sync", "--from", ".env", "--adopt", "overwrite"}},
		{"Everything is in step now. A second sync finds nothing to do, and costs no quota.", nil, exitDone,
			[]string{"sync", "--from", ".env"}},
		{"Then somebody changes NPM_TOKEN for Dependabot by hand.", st.edit, exitAttention,
			[]string{"sync", "--from", ".env"}},
		{"That was not ours to overwrite. If the .env is right after all, --force says so.", nil, exitDone,
			[]string{"sync", "--from", ".env", "--secret", "NPM_TOKEN", "--force"}},
		{"And is everything where it belongs?", nil, exitDone, []string{"validate"}},
	})
}

// scenes plays one after the other. Each command has to end as the story says.
func (st *stage) scenes(ctx context.Context, all []scene) error {
	for _, scene := range all {
		st.tell(scene.says)
		if scene.does != nil {
			scene.does()
		}
		if err := st.ended(ctx, scene, st.run(ctx, scene.args)); err != nil {
			return err
		}
	}
	return nil
}

func (st *stage) ended(ctx context.Context, scene scene, code int) error {
	if err := context.Cause(ctx); err != nil || code == scene.code {
		return err
	}
	return fmt.Errorf("the demo's %s ended with %d, not %d", scene.args[0], code, scene.code)
}

// tell says something between the commands.
func (st *stage) tell(text string) {
	out := st.app.screen.out
	out.println()
	out.println(out.faint("# " + strings.ReplaceAll(text, "\n", "\n# ")))
}

func (st *stage) edit() {
	st.github.Advance(interlude)
	st.github.SetSecret(st.demo.Repository, "dependabot", githubsim.Secret{Name: "NPM_TOKEN", Value: "demo-by-hand"})
}

// run runs the program as the person would, without their own settings and keyboard.
func (st *stage) run(ctx context.Context, args []string) int {
	st.show("", args)
	return Run(ctx, st.process(args))
}

// show says which command comes, and the variables before it.
func (st *stage) show(variables string, args []string) {
	out := st.app.screen.out
	line := commandLine(append([]string{st.app.programName()}, args...)).String()
	out.println(out.strong("$ " + variables + strings.Replace(line, "'&'", "&", 1)))
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
func (st *stage) invite(relays bool) {
	out, p := st.app.screen.out, st.app.programName()
	try := func(command, what string) { out.printf("  %-48s %s\n", command, out.faint("# "+what)) }
	out.printf("\nThe simulator stays up at %s, until Ctrl-C. To play with it, in another terminal:\n\n", st.url)
	out.printf("  export OCTOSEAL_GITHUB_TOKEN=%s\n", st.demo.Token)
	if self, err := os.Executable(); err == nil && p == "octoseal" {
		if _, err := exec.LookPath(p); err != nil {
			out.printf("  alias octoseal=%s\n", quoted(self))
		}
	}
	if relays {
		out.printf("\n  cd %s; T=%s\n", quoted(st.clone(st.demo.Bare)), st.token)
		try(p+" set NPM_TOKEN --scopes actions --force", "a new value in Actions; soon the targets have it")
		try(p+" audit list", "what was done, and by whom")
		out.printf("  %s\n", st.curl())
	}
	out.printf("\n  cd %s\n", quoted(st.clone(st.demo.Repository)))
	try(p+" status", "which secret is where")
	try(p+" set DEPLOY_KEY", "one value, typed unseen, into every scope")
}
