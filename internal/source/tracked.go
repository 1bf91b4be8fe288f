package source

import (
	"context"
	"os/exec"
	"path/filepath"
	"time"
)

// Tracked says whether git tracks the source's file: then the values are in the history for
// everybody to read, and the person should hear it. It asks git, at most for 2 s, and is false
// for other sources and when in doubt.
func (s Source) Tracked(ctx context.Context) bool {
	if s.kind != file {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	// A repository's own configuration could name a program to run as its file system monitor.
	git := exec.CommandContext(ctx, "git", "-c", "core.fsmonitor=false", "--literal-pathspecs",
		"ls-files", "--error-unmatch", "--", filepath.Base(s.path))
	git.Dir = filepath.Dir(s.path)
	git.WaitDelay = 100 * time.Millisecond
	return git.Run() == nil
}
