package githubsim

import "os/exec"

// Windows has no groups and no signals: a program there is killed alone.
func ownGroup(*exec.Cmd) {}

func interrupt(cmd *exec.Cmd) { killGroup(cmd) }
func terminate(cmd *exec.Cmd) { killGroup(cmd) }

func killGroup(cmd *exec.Cmd) { _ = cmd.Process.Kill() }

func signalOf(*exec.Cmd) int { return 0 }
