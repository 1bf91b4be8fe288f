package source

import (
	"context"
	"errors"
	"os/exec"
	"time"
)

// orphanGrace is how long a command's children may hold its output open once it ended or was killed.
const orphanGrace = 2 * time.Second

// run returns what the command prints. It runs in a process group of its own with an empty
// standard input, so that it can be killed with its children and cannot wait for a keyboard. What
// it says on standard error is for the person who started us and goes there untouched.
func (s Source) run(ctx context.Context) ([]byte, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	out := &intake{limit: maxSize, over: cancel}
	cmd := shell(ctx, string(s.command.Expose()))
	cmd.Stdout, cmd.Stderr = out, s.options.Stderr
	cmd.Env = s.options.Environ()
	cmd.Cancel = func() error { return killGroup(cmd) }
	cmd.WaitDelay = orphanGrace
	err := cmd.Run()
	if err == nil {
		return out.text, nil
	}
	tooLarge := len(out.text) > out.limit
	clear(out.text)
	var exit *exec.ExitError
	switch {
	case tooLarge:
		return nil, s.tooLarge()
	case ctx.Err() != nil:
		return nil, s.interrupted(ctx)
	case errors.Is(err, exec.ErrWaitDelay):
		_ = killGroup(cmd)
		return nil, s.unavailable(nil, "the command ended and left a child that holds its output open")
	case errors.As(err, &exit):
		return nil, s.unavailable(nil, "the command ended with %s", exit.ProcessState).Hinting("%s", exitHint(exit.ExitCode()))
	}
	return nil, s.unavailable(err, "the command did not start: %s", err)
}

// exitHint says what an exit status most likely means.
func exitHint(status int) string {
	if status == 127 {
		return "127 is the shell's word for a program it does not find; is it installed, and in PATH?"
	}
	return "What the command itself says stands above; its standard input is empty, so it cannot ask for anything."
}
