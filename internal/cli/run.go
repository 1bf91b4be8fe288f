package cli

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/redact"
	"github.com/octoseal/octoseal/internal/secret"
)

// A Process is what one run of the program takes from outside, the working directory apart.
type Process struct {
	Name     string   // what the program was called as
	Args     []string // without the name
	In       io.Reader
	Out, Err io.Writer
	Environ  []string
}

// Getenv returns the last value that Environ has for name, as the operating system would.
func (p Process) Getenv(name string) string {
	value := ""
	for _, pair := range p.Environ {
		if key, v, ok := strings.Cut(pair, "="); ok && key == name {
			value = v
		}
	}
	return value
}

// errInterrupted is the cause of a context that a signal ended.
var errInterrupted = errors.New("interrupted")

// Main runs the program as the operating system started it and returns its exit code. The first
// Ctrl-C lets what is under way end cleanly; the second kills.
func Main() int {
	ctx, cancel := context.WithCancelCause(context.Background())
	defer cancel(nil)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-signals
		signal.Stop(signals)
		cancel(errInterrupted)
	}()
	return Run(ctx, Process{
		Name: filepath.Base(os.Args[0]), Args: os.Args[1:],
		In: os.Stdin, Out: os.Stdout, Err: os.Stderr,
		Environ: os.Environ(),
	})
}

// An app is one run of the program.
type app struct {
	Process
	settings settings
	screen   *screen
	log      *slog.Logger
	redact   *redact.Handler // under log, and for error texts that are not ours
	started  time.Time
	request  uuid.UUID // what an error is told apart by, as in the API
	command  string    // the name of the command that runs
	reached  bool      // a command's own code began: errors before that are wrong usage
}

// Run runs the program once and returns its exit code. It ends early and cleanly when ctx ends.
func Run(ctx context.Context, p Process) (code int) {
	a := &app{Process: p, screen: newScreen(p), started: time.Now(), request: uuid.New()}
	a.logTo(slog.DiscardHandler) // until the settings are known
	defer func() {
		defer a.redact.Forget()
		if v := recover(); v != nil {
			code = a.report(ctx, crashed(v))
		}
	}()
	return a.report(ctx, a.execute(ctx))
}

// logTo makes the log, and has it know what must never stand in it: every credential that the
// environment holds from the start, every value once it is read.
func (a *app) logTo(h slog.Handler) {
	a.redact = redact.New(h)
	a.log = slog.New(a.redact)
	for _, name := range []string{
		"OCTOSEAL_GITHUB_TOKEN", "GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN",
		"OCTOSEAL_GITHUB_APP_PRIVATE_KEY", hashKeyVariable, tokenVariable, hookSecretVariable,
	} {
		a.redact.Learn(secret.NewPlaintext([]byte(a.Getenv(name))))
	}
}

func (a *app) execute(ctx context.Context) error {
	root := a.root()
	root.SetArgs(a.Args)
	root.SetIn(a.In)
	root.SetOut(a.Out)
	root.SetErr(a.Err)
	err := root.ExecuteContext(ctx)
	if err != nil && !a.reached {
		return wrongUsage(err, a.programName())
	}
	return err
}

// programName is what people type to run the program. As an extension of the GitHub CLI it is
// called gh-octoseal and typed gh octoseal.
func (a *app) programName() string {
	name := strings.TrimSuffix(a.Name, ".exe")
	if rest, ok := strings.CutPrefix(name, "gh-"); ok {
		return "gh " + rest
	}
	return "octoseal"
}
