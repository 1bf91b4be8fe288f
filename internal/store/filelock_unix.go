//go:build unix

package store

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// lockNow takes the lock of an open file, or answers errLockHeld. flock belongs to this opening of
// the file, so that two leases in one process keep each other out as well.
func lockNow(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errLockHeld
	}
	return err
}

// unlock removes the file while the lock still holds, so that none are left lying about.
func (l *fileLock) unlock() {
	_ = os.Remove(l.file.Name())
	l.file.Close()
}
