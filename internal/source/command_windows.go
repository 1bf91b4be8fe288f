package source

import (
	"context"
	"os/exec"
	"strconv"
	"syscall"
)

// shell returns the command as cmd runs it. The command line is made here because cmd does not
// read quotes as Go writes them.
func shell(ctx context.Context, command string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "cmd")
	cmd.SysProcAttr = &syscall.SysProcAttr{CmdLine: `cmd /S /C "` + command + `"`}
	return cmd
}

// killGroup kills the command and its children; Windows has no groups, but a tool that finds them.
func killGroup(cmd *exec.Cmd) error {
	pid := strconv.Itoa(cmd.Process.Pid)
	if err := exec.Command("taskkill", "/T", "/F", "/PID", pid).Run(); err != nil {
		return cmd.Process.Kill()
	}
	return nil
}
