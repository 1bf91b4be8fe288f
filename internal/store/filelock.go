package store

import (
	"context"
	"errors"
	"os"
	"time"
)

// errLockHeld says that another process, or another lease of this one, holds a lock file.
var errLockHeld = errors.New("another process holds the lock file")

// A fileLock is a lock of the operating system's on a file of its own. It goes with the process,
// however that ends, which makes it the proof of life that a row in a database cannot be.
type fileLock struct{ file *os.File }

// tryLock takes the lock at path, or answers errLockHeld at once. Any other error means that the
// place has no such locks to give.
func tryLock(path string) (*fileLock, error) {
	for {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
		if err != nil {
			return nil, err
		}
		if err := lockNow(f); err != nil {
			f.Close()
			return nil, err
		}
		// Its last holder may have removed the file between our two steps. A lock on a file that
		// is no longer there keeps nobody out.
		held, err := f.Stat()
		if err == nil {
			if there, err := os.Stat(path); err == nil && os.SameFile(held, there) {
				return &fileLock{f}, nil
			}
		}
		f.Close()
	}
}

// waitForLock takes the lock at path as soon as it is free.
func waitForLock(ctx context.Context, path string) (unlock func(), err error) {
	const between = 5 * time.Millisecond
	for {
		l, err := tryLock(path)
		if err == nil {
			return l.unlock, nil
		}
		if !errors.Is(err, errLockHeld) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(between):
		}
	}
}
