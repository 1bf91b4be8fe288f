package store

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestLockExcludes lets many take turns at a lock whose file comes and goes with each turn.
func TestLockExcludes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.lock")
	var group sync.WaitGroup
	var holders, refused atomic.Int32
	for range 8 {
		group.Go(func() {
			for turns := 0; turns < 50; {
				l, err := tryLock(path)
				if errors.Is(err, errLockHeld) {
					refused.Add(1)
					runtime.Gosched()
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				if n := holders.Add(1); n != 1 {
					t.Errorf("%d hold the lock", n)
				}
				turns++
				time.Sleep(20 * time.Microsecond)
				holders.Add(-1)
				l.unlock()
			}
		})
	}
	group.Wait()
	if _, err := os.Stat(path); err == nil {
		t.Error("the file was left behind")
	}
	if refused.Load() == 0 {
		t.Log("nobody was ever refused; the test proved little")
	}
}

func TestLockNeedsAPlace(t *testing.T) {
	if _, err := tryLock(filepath.Join(t.TempDir(), "nowhere", "x.lock")); err == nil || errors.Is(err, errLockHeld) {
		t.Errorf("there is no such directory, but tryLock answers %v", err)
	}
}
