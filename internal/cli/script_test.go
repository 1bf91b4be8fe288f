package cli_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/octoseal/octoseal/internal/cli"
	"github.com/rogpeppe/go-internal/testscript"
)

// TestMain makes the test binary double as the program: called octoseal, it is octoseal.
func TestMain(m *testing.M) {
	program := func() { os.Exit(cli.Main()) }
	testscript.Main(m, map[string]func(){"octoseal": program, "gh-octoseal": program})
}

// TestScripts runs every page of testdata. A page shows one behaviour as somebody at a terminal
// would see it, against a simulated GitHub of its own; sim_test.go has the stage directions.
// racing are the scripts of the short run, which looks for races: those in which the program does much
// at once.
var racing = []string{
	"testdata/env.txtar", "testdata/law.txtar", "testdata/pause.txtar", "testdata/relay_waits.txtar", "testdata/serve.txtar", "testdata/together.txtar",
}

func TestScripts(t *testing.T) {
	dir, files := "testdata", []string(nil)
	if testing.Short() {
		dir, files = "", racing
	}
	testscript.Run(t, testscript.Params{
		Dir:                dir,
		Files:              files,
		RequireUniqueNames: true,
		UpdateScripts:      os.Getenv("OCTOSEAL_UPDATE_SCRIPTS") != "",
		Setup: func(env *testscript.Env) error {
			home := filepath.Join(env.WorkDir, ".home")
			env.Vars = append(settled(env.Vars),
				"HOME="+home, "XDG_STATE_HOME="+filepath.Join(home, "state"),
				"OCTOSEAL_LEASE_HEARTBEAT=200ms", "OCTOSEAL_LEASE_LAPSE=5s", "OCTOSEAL_LEASE_GRACE=200ms",
				"OCTOSEAL_RETRY_BASE=10ms", "OCTOSEAL_RETRY_CAP=50ms", "GIT_CONFIG_GLOBAL=/dev/null", "GIT_CONFIG_NOSYSTEM=1",
			)
			env.Values[stageKey{}] = &stage{t: env.T().(testing.TB)}
			return os.MkdirAll(home, 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"sim":      sim,
			"shape":    shape,
			"terminal": terminal,
			"empty":    empty,
			"exits":    exits,
			"port":     port,
			"keep":     keep,
			"ask":      ask,
			"until":    until,
		},
	})
}

// settled drops what the machine that runs the tests may have set.
func settled(vars []string) []string {
	var kept []string
	for _, v := range vars {
		if !strings.HasPrefix(v, "OCTOSEAL_") && !strings.HasPrefix(v, "GH_") && !strings.HasPrefix(v, "GITHUB_") && !strings.HasPrefix(v, "HOME=") {
			kept = append(kept, v)
		}
	}
	return kept
}

// empty checks that a stream of the last command is.
func empty(ts *testscript.TestScript, neg bool, args []string) {
	for _, name := range args {
		if text := ts.ReadFile(name); (text == "") == neg {
			ts.Fatalf("%s is %q", name, text)
		}
	}
}

// exits runs a command that has to end with an exit code: exits 3 octoseal validate.
func exits(ts *testscript.TestScript, _ bool, args []string) {
	err := ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if strconv.Itoa(code) != args[0] {
		ts.Fatalf("exit code %d, want %s\n[stdout]\n%s\n[stderr]\n%s", code, args[0], ts.ReadFile("stdout"), ts.ReadFile("stderr"))
	}
}
