package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"syscall"

	"github.com/octoseal/octoseal/internal/fault"
)

// maxSize bounds what is read: hundreds of the largest secrets there can be, and no more.
const maxSize = 16 << 20

var (
	errTimeout  = errors.New("the time allowed ran out")
	errTooLarge = errors.New("more than 16 MiB")
)

// An intake collects bytes up to its limit. Growing, it clears what it leaves behind, since what it
// holds are secrets.
type intake struct {
	text  []byte
	limit int
	over  func() // told once that there is too much; may be nil
}

// ReadFrom reads r to its end.
func (in *intake) ReadFrom(r io.Reader) (n int64, err error) {
	for {
		if len(in.text) == cap(in.text) {
			in.grow()
		}
		m, err := r.Read(in.text[len(in.text):cap(in.text)])
		in.text = in.text[:len(in.text)+m]
		n += int64(m)
		switch {
		case len(in.text) > in.limit:
			if in.over != nil {
				in.over()
			}
			return n, errTooLarge
		case err == io.EOF:
			return n, nil
		case err != nil:
			return n, err
		}
	}
}

// Write is ReadFrom for those who do not look for it.
func (in *intake) Write(p []byte) (int, error) {
	n, err := in.ReadFrom(bytes.NewReader(p))
	return int(n), err
}

func (in *intake) grow() {
	wider := make([]byte, len(in.text), max(64<<10, min(2*cap(in.text), in.limit+1)))
	copy(wider, in.text)
	clear(in.text)
	in.text = wider
}

// drain opens and reads a text to its end. A pipe nobody writes to blocks for ever in the operating
// system; when ctx is done first the reader is left to it, and clears what it may still get.
func (s Source) drain(ctx context.Context, open func() (io.ReadCloser, error)) ([]byte, error) {
	type result struct {
		text []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		r, err := open()
		if err != nil {
			done <- result{nil, err}
			return
		}
		defer func() { _ = r.Close() }() // it was read: nothing can be lost
		in := &intake{limit: maxSize}
		_, err = in.ReadFrom(r)
		if err != nil || ctx.Err() != nil {
			clear(in.text)
			in.text = nil
		}
		done <- result{in.text, err}
	}()
	select {
	case <-ctx.Done():
		return nil, s.interrupted(ctx)
	case r := <-done:
		switch {
		case ctx.Err() != nil:
			return nil, s.interrupted(ctx)
		case r.err != nil:
			return nil, s.unreadable(r.err)
		}
		return r.text, nil
	}
}

// interrupted says why ctx ended the read.
func (s Source) interrupted(ctx context.Context) error {
	if errors.Is(context.Cause(ctx), errTimeout) {
		return s.unavailable(ctx.Err(), "%s did not end within %s", s.label, s.options.Timeout)
	}
	return s.unavailable(ctx.Err(), "reading %s was interrupted", s.label)
}

func (s Source) unreadable(err error) error {
	var number syscall.Errno
	switch {
	case errors.Is(err, errTooLarge):
		return s.tooLarge()
	case errors.Is(err, fs.ErrNotExist):
		return s.unavailable(err, "there is no file %s", s.label).Hinting("%s", spellings)
	case errors.Is(err, fs.ErrPermission):
		return s.unavailable(err, "this user may not read %s", s.label)
	case errors.Is(err, syscall.EISDIR):
		return s.unavailable(err, "%s is a directory", s.label)
	case errors.As(err, &number):
		return s.unavailable(err, "reading %s: %s", s.label, number)
	}
	return s.unavailable(err, "reading %s stopped halfway", s.label)
}

func (s Source) tooLarge() *fault.Fault {
	return fault.Invalid("%s is larger than the 16 MiB that are read", s.label)
}

// unavailable is the fault for having no values at all. The cause must hold nothing of them.
func (s Source) unavailable(cause error, format string, args ...any) *fault.Fault {
	return fault.New(fault.SourceUnavailable, fault.Context{"reason": fmt.Sprintf(format, args...)}).Because(cause)
}
