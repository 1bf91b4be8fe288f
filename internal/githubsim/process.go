package githubsim

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"time"
)

// What Linux allows a program to be started with: one text of its arguments or environment without
// the zero at its end, and all of them with theirs and their pointers, which is a quarter of the
// usual 8 MiB stack.
const (
	maxStartText  = 131_071
	maxStartTotal = 2 << 20
	pointerSize   = 8
)

// How long a canceled step has after it was interrupted, and after it was told to end. A hosted
// runner gives 7.5 s and 2.5 s; nobody wants to wait for that here.
const (
	afterInterrupt = 300 * time.Millisecond
	afterTerminate = 200 * time.Millisecond
)

// lingering is how long the output of a program is read after its end, while a child that it left
// behind holds it open.
const lingering = time.Second

var errTooLong = complaint("Argument list too long")

// A program is one process that a step starts.
type program struct {
	argv    []string
	env     []string
	folder  string
	output  io.Writer
	started func(pid int)
}

// fits tells whether Linux would start the program, whatever this machine allows.
func (p program) fits() bool {
	total := 0
	for _, texts := range [][]string{p.argv, p.env} {
		for _, text := range texts {
			if len(text) > maxStartText {
				return false
			}
			total += len(text) + 1 + pointerSize
		}
	}
	return total <= maxStartTotal
}

// run starts the program and returns its exit code, or why it could not be started. Nothing of it
// is left when run returns. A canceled program is interrupted, told to end, and killed; one whose
// simulator closes is killed at once.
func (p program) run(ctx context.Context) (int, error) {
	cmd := exec.Command(p.argv[0], p.argv[1:]...) //nolint:noctx // ended in the runner's own manner below
	cmd.Env, cmd.Dir, cmd.WaitDelay = p.env, p.folder, lingering
	cmd.Stdout, cmd.Stderr = p.output, p.output
	ownGroup(cmd)
	err := error(errTooLong)
	if p.fits() {
		err = cmd.Start()
	}
	if err != nil {
		return 0, complain("An error occurred trying to start process '%s' with working directory '%s'. %v", p.argv[0], p.folder, startCause(err))
	}
	p.started(cmd.Process.Pid)
	ended := make(chan struct{})
	reaped := make(chan struct{})
	go func() {
		defer close(reaped)
		p.watch(ctx, cmd, ended)
	}()
	_ = cmd.Wait() // its end stands in ProcessState
	close(ended)
	<-reaped
	killGroup(cmd)
	if code := cmd.ProcessState.ExitCode(); code >= 0 {
		return code, nil
	}
	return 128 + signalOf(cmd), nil
}

// watch ends the program when ctx ends before it.
func (p program) watch(ctx context.Context, cmd *exec.Cmd, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-ctx.Done():
	}
	if !errors.Is(context.Cause(ctx), errClosed) {
		for _, stage := range []struct {
			send  func(*exec.Cmd)
			grace time.Duration
		}{{interrupt, afterInterrupt}, {terminate, afterTerminate}} {
			stage.send(cmd)
			select {
			case <-ended:
				return
			case <-time.After(stage.grace):
			}
		}
	}
	killGroup(cmd)
}

// startCause is why the system did not start a program, without the path that comes before it.
func startCause(err error) error {
	var inner *os.PathError
	if errors.As(err, &inner) {
		return inner.Err
	}
	return err
}
