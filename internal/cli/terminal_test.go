//go:build linux

package cli_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/sys/unix"
)

// terminal runs a command at a terminal of 80 × 24, and a person who acts by a script:
//
//	terminal person.txt octoseal sync --from .env
//
// Each line of person.txt is "expect TEXT", which waits until the screen has shown TEXT since the
// last line, "wait DURATION", or "send TEXT", which types it (\r is enter, \x03 Ctrl-C, \x1b[B the
// arrow down). What
// the screen was sent is then in the file screen. -exit=N before the script wants that exit code.
func terminal(ts *testscript.TestScript, _ bool, args []string) {
	code := 0
	if _, err := fmt.Sscanf(args[0], "-exit=%d", &code); err == nil {
		args = args[1:]
	}
	master, slave, err := openTerminal()
	ts.Check(err)
	defer master.Close()
	cmd := exec.Command(lookPath(ts, args[1]), args[2:]...)
	cmd.Args[0] = args[1]
	cmd.Dir, cmd.Env = ts.MkAbs("."), environ(ts)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	ts.Check(cmd.Start())
	slave.Close()
	seen := &display{}
	done := make(chan struct{})
	go func() { defer close(done); seen.watch(master) }()
	for line := range strings.Lines(ts.ReadFile(args[0])) {
		line = strings.TrimSuffix(line, "\n")
		verb, text, _ := strings.Cut(line, " ")
		text = strings.NewReplacer(`\r`, "\r", `\x03`, "\x03", `\x1b`, "\x1b").Replace(text)
		if verb == "wait" { // for what shows nothing, such as an echo turned off
			time.Sleep(duration(ts, text))
		} else if verb == "send" {
			_, err = master.WriteString(text)
			ts.Check(err)
		} else if err := seen.expect(text); err != nil {
			_ = cmd.Process.Kill()
			ts.Fatalf("%v", err)
		}
	}
	err = cmd.Wait()
	<-done
	ts.Check(os.WriteFile(ts.MkAbs("screen"), seen.all.Bytes(), 0o600))
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) || cmd.ProcessState.ExitCode() != code {
		ts.Fatalf("%v, want %d\n%s", err, code, seen.all.String())
	}
}

func environ(ts *testscript.TestScript) []string {
	var vars []string
	for _, name := range []string{
		"PATH", "HOME", "XDG_STATE_HOME", "TERM", "NO_COLOR", "OCTOSEAL_GITHUB_TOKEN", "OCTOSEAL_GITHUB_API_URL",
		"OCTOSEAL_LEASE_HEARTBEAT", "OCTOSEAL_LEASE_LAPSE", "OCTOSEAL_LEASE_GRACE", "OCTOSEAL_RETRY_BASE", "OCTOSEAL_RETRY_CAP",
	} {
		if v := ts.Getenv(name); v != "" {
			vars = append(vars, name+"="+v)
		}
	}
	return vars
}

func lookPath(ts *testscript.TestScript, name string) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path := filepath.Join(dir, name); isProgram(path) {
			return path
		}
	}
	ts.Fatalf("there is no %s", name)
	return ""
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o100 != 0
}

// A display is what a terminal was sent.
type display struct {
	mu   sync.Mutex
	all  bytes.Buffer
	read int // up to where expectations were met
}

func (d *display) watch(master *os.File) {
	buf := make([]byte, 4096)
	for {
		n, err := master.Read(buf)
		d.mu.Lock()
		d.all.Write(buf[:n])
		d.mu.Unlock()
		if err != nil { // EIO: the last process at the terminal is gone
			return
		}
	}
}

func (d *display) expect(text string) error {
	for range 1000 {
		d.mu.Lock()
		at := strings.Index(d.all.String()[d.read:], text)
		if at >= 0 {
			d.read += at + len(text)
		}
		d.mu.Unlock()
		if at >= 0 {
			return nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return fmt.Errorf("the screen never showed %q:\n%s", text, d.all.String())
}

// openTerminal makes a pseudo-terminal.
func openTerminal() (master, slave *os.File, err error) {
	master, err = os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		return nil, nil, err
	}
	fd := int(master.Fd())
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	}
	if err == nil {
		slave, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	}
	return master, slave, err
}
