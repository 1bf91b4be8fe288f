//go:build !windows

package githubsim

import (
	"os/exec"
	"syscall"
)

// ownGroup has the program and its children form a group, so that none outlives a job.
func ownGroup(cmd *exec.Cmd) { cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} }

// interrupt and terminate signal the program alone, as the runner does: what a shell started hears
// of it when the shell tells it, which is never.
func interrupt(cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGINT) }
func terminate(cmd *exec.Cmd) { _ = cmd.Process.Signal(syscall.SIGTERM) }

// killGroup kills what is left of the program and its children.
func killGroup(cmd *exec.Cmd) { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

func signalOf(cmd *exec.Cmd) int {
	if status, isUnix := cmd.ProcessState.Sys().(syscall.WaitStatus); isUnix && status.Signaled() {
		return int(status.Signal())
	}
	return 0
}
