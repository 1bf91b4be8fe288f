//go:build !windows

package source

import (
	"context"
	"os"
	"os/exec"
	"syscall"
)

// shell returns the command as sh runs it, in a process group of its own.
func shell(ctx context.Context, command string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", command)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// killGroup kills the command and the children that stayed in its group.
func killGroup(cmd *exec.Cmd) error {
	if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err == syscall.ESRCH {
		return os.ErrProcessDone
	}
	return nil
}
