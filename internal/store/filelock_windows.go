package store

import (
	"errors"
	"os"

	"golang.org/x/sys/windows"
)

// lockNow takes the lock of an open file, or answers errLockHeld.
func lockNow(f *os.File) error {
	err := windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, 1, 0, &windows.Overlapped{})
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return errLockHeld
	}
	return err
}

// unlock lets go and removes the file, which stays where another process has opened it meanwhile:
// Windows removes no open file.
func (l *fileLock) unlock() {
	l.file.Close()
	os.Remove(l.file.Name())
}
