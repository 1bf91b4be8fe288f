//go:build !windows

package source

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/octoseal/octoseal/internal/fault"
)

func TestCommandOutput(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	for _, c := range []struct {
		command string
		format  Format
		want    []string
	}{
		{`echo A=1; echo "B='x y'"`, "", []string{`1 A "1"`, `2 B "x y"`}},
		{`echo; echo ' {"A":1.0}'`, "", []string{`2 A "1.0"`}},
		{`echo 'A: 1.0'`, YAML, []string{`1 A "1.0"`}},
		{`cat`, "", nil},
		{`printf 'A=%s' "$GIVEN"`, "", []string{`1 A "from outside"`}},
		{`printf "A='%s'" "$PWD"`, "", []string{`1 A "` + dir + `"`}},
	} {
		var talk bytes.Buffer
		s := parsed(t, "exec:"+c.command, Options{Format: c.format, Stderr: &talk,
			Environ: func() []string { return append(os.Environ(), "GIVEN=from outside") }})
		entries, err := s.Read(context.Background())
		if diff := cmp.Diff(c.want, spelled(entries)); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", c.command, err, diff)
		}
	}
}

func TestCommandThatEndsBadly(t *testing.T) {
	defer goleak.VerifyNone(t)
	for _, c := range []struct {
		command, want, hint string
		o                   Options
	}{
		{command: "echo A=1; echo why >&2; exit 3", want: "No value to be had: the command ended with exit status 3.", hint: "What the command itself says stands above"},
		{command: "no-such-program-here", want: "No value to be had: the command ended with exit status 127.", hint: "127 is the shell's word"},
		{command: "kill -9 $$", want: "No value to be had: the command ended with signal: killed."},
		{command: "yes A=1", want: "the command's output is larger than the 16 MiB that are read."},
		{command: "sleep 60", want: "No value to be had: the command's output did not end within 50ms.", o: Options{Timeout: 50 * time.Millisecond}},
		{command: "echo A", want: "the command's output: line 1: this is no NAME=VALUE."},
	} {
		var talk bytes.Buffer
		c.o.Stderr = &talk
		entries, err := parsed(t, "exec:"+c.command, c.o).Read(context.Background())
		if err == nil || err.Error() != c.want || entries != nil {
			t.Errorf("%s: %v, want %s", c.command, err, c.want)
			continue
		}
		if hint := fault.Of(err).Hint; !strings.HasPrefix(hint, c.hint) {
			t.Errorf("%s: hint %q", c.command, hint)
		}
		if said := strings.Contains(talk.String(), "why"); said != strings.Contains(c.command, "why") {
			t.Errorf("%s: it said %q", c.command, talk.String())
		}
	}
}

// TestCancelKillsChildren: a child that the shell waits for dies with it, and at once.
func TestCancelKillsChildren(t *testing.T) {
	defer goleak.VerifyNone(t)
	note := filepath.Join(t.TempDir(), "pid")
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		for readPid(note) == 0 {
			time.Sleep(time.Millisecond)
		}
		cancel()
	}()
	began := time.Now()
	_, err := parsed(t, "exec:sleep 60 & echo $! >"+note+".new; mv "+note+".new "+note+"; wait", Options{}).Read(ctx)
	if !fault.Is(err, fault.SourceUnavailable) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("it took %s", took)
	}
	alive := func() bool { return syscall.Kill(readPid(note), 0) == nil && !zombie(readPid(note)) }
	for range 1000 {
		if !alive() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Error("the child of the command is still alive")
}

func readPid(note string) int {
	text, _ := os.ReadFile(note)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// zombie says whether a process is dead and only waits for its new parent to notice.
func zombie(pid int) bool {
	stat, _ := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return strings.Contains(string(stat), ") Z ")
}

// TestCommandThatLeavesAChild: the command ended well, but who knows what its child still prints.
func TestCommandThatLeavesAChild(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the grace to be over")
	}
	_, err := parsed(t, "exec:echo A=1; sleep 60 &", Options{}).Read(context.Background())
	if err == nil || err.Error() != "No value to be had: the command ended and left a child that holds its output open." {
		t.Error(err)
	}
}
