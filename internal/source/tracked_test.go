package source

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

func TestTracked(t *testing.T) {
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("git is not here: install it to run this test")
	}
	path := in(t, ".env", "A=1")
	dir := filepath.Dir(path)
	t.Chdir(dir)
	tracked := func(from string) bool { return parsed(t, from, Options{}).Tracked(context.Background()) }
	if tracked(".env") {
		t.Error("tracked without a repository")
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", ".env"}} {
		git := exec.Command("git", args...)
		git.Dir = dir
		if out, err := git.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for _, name := range []string{"other.env", "*"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("A=1"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink(".env", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for from, want := range map[string]bool{
		".env": true, path: true, "link": true, "other.env": false, "*": false, "absent": false,
		"-": false, "env:X_": false, "exec:true": false,
	} {
		if got := tracked(from); got != want {
			t.Errorf("%s: tracked %t, want %t", from, got, want)
		}
	}
	done, cancel := context.WithCancel(context.Background())
	cancel()
	if parsed(t, path, Options{}).Tracked(done) {
		t.Error("tracked, though there was no time to ask")
	}
}
