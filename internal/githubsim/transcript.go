package githubsim

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
)

// maxLog is how much of a job's output is kept.
const maxLog = 8 << 20

// A transcript is the log of a run, twice: as the job wrote it, and with secrets masked.
type transcript struct {
	mu      sync.Mutex
	secrets []string // longest first
	mask    *strings.Replacer
	partial []byte
	raw     strings.Builder
	shown   strings.Builder
	reader  io.Writer // gets the masked lines; may be nil
}

const addMask = "::add-mask::"

// hide masks a value from now on: the whole of it, and each of its lines, since logs are masked
// line by line. What is written in any other way, escaped or encoded, is not recognised.
func (t *transcript) hide(values ...string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.learn(values...)
}

func (t *transcript) learn(values ...string) {
	for _, v := range values {
		for _, part := range append(strings.FieldsFunc(v, func(r rune) bool { return r == '\n' || r == '\r' }), v) {
			if strings.TrimSpace(part) != "" && !slices.Contains(t.secrets, part) {
				t.secrets = append(t.secrets, part)
			}
		}
	}
	slices.SortFunc(t.secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	var pairs []string
	for _, s := range t.secrets {
		pairs = append(pairs, s, "***")
	}
	t.mask = strings.NewReplacer(pairs...)
}

// masked is a text as GitHub shows it.
func (t *transcript) masked(text string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.replace(text)
}

func (t *transcript) replace(text string) string {
	if t.mask == nil {
		return text
	}
	return t.mask.Replace(text)
}

// Write takes the output of a step. It never refuses: what is too much is dropped.
func (t *transcript) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.partial = append(t.partial, p...)
	for {
		i := bytes.IndexByte(t.partial, '\n')
		if i < 0 && len(t.partial) < maxLog {
			break
		}
		line := t.partial
		if i >= 0 {
			line = t.partial[:i+1]
		}
		if value, isMask := strings.CutPrefix(strings.TrimSpace(string(line)), addMask); isMask {
			t.learn(value)
		}
		t.line(string(line))
		t.partial = t.partial[len(line):]
	}
	return len(p), nil
}

// line records one line with its end.
func (t *transcript) line(line string) {
	if t.raw.Len()+len(line) > maxLog {
		return
	}
	t.raw.WriteString(line)
	if strings.HasPrefix(strings.TrimSpace(line), addMask) {
		return // the command is not shown
	}
	shown := t.replace(line)
	t.shown.WriteString(shown)
	if t.reader != nil {
		// Whoever reads along may have gone.
		_, _ = io.WriteString(t.reader, shown)
	}
}

// flush ends a line that a step left open.
func (t *transcript) flush() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.partial) > 0 {
		t.line(string(t.partial) + "\n")
		t.partial = nil
	}
}

// say adds a line of the runner's own.
func (t *transcript) say(format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.line(fmt.Sprintf(format, args...) + "\n")
}

func (t *transcript) texts() (raw, shown string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.raw.String(), t.shown.String()
}
