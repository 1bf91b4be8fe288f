package source

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// An Entry is one name and value as the source spells them, with the line it stands on (0 when the
// source has no lines). The value's bytes are the entry's own.
type Entry struct {
	Name  string
	Value secret.Plaintext
	Line  int
}

// A Format is how a text spells its entries.
type Format string

// The formats. The empty one means: by extension, by source, or by the first byte of an output.
const (
	Dotenv Format = "env"
	JSON   Format = "json"
	YAML   Format = "yaml"
)

// DefaultTimeout is how long Read waits unless Options says otherwise. A command may have to ask
// a vault far away.
const DefaultTimeout = 2 * time.Minute

// Options are what Parse needs besides the text behind --from. The zero value reads the process's
// own standard input and environment.
type Options struct {
	Format  Format          // --format; empty as described at Format
	Stdin   io.Reader       // for "-"; default os.Stdin
	Stderr  io.Writer       // where a command's talk goes; default os.Stderr
	Environ func() []string // for env: and json-env:, and what a command inherits; default os.Environ
	Timeout time.Duration   // how long Read may take; default DefaultTimeout
}

// A kind is one of the ways to have values.
type kind int

const (
	file kind = iota
	stdin
	variables
	variable
	command
)

// A Source is where values come from. Parse makes one.
type Source struct {
	kind     kind
	label    string           // for people; never a command, which may hold a password
	path     string           // file: absolute, links resolved
	name     string           // variables: the prefix; variable: its name
	command  secret.Plaintext // command
	identity string
	options  Options
}

const spellings = "A source is FILE, - (standard input), env:PREFIX_, json-env:VARIABLE or exec:COMMAND."

// Parse returns the source that from describes: FILE, "-", env:PREFIX_, json-env:VARIABLE or
// exec:COMMAND. A file whose name looks like one of the others is written ./env:x. Parse looks at
// where a file's links lead but opens nothing.
func Parse(from string, o Options) (Source, error) {
	if !slices.Contains([]Format{"", Dotenv, JSON, YAML}, o.Format) {
		return Source{}, fault.Invalid("format %q is unknown: known are env, json and yaml", string(o.Format))
	}
	scheme, rest, _ := strings.Cut(from, ":")
	if rest == "" && slices.Contains([]string{"env:", "json-env:", "exec:"}, from) {
		return Source{}, fault.Invalid("source %s names nothing behind the colon", from).Hinting("%s", spellings)
	}
	s := Source{label: from, name: rest, options: o.withDefaults()}
	switch {
	case from == "":
		return Source{}, fault.Invalid("the source is empty").Hinting("%s", spellings)
	case from == "-":
		s.kind, s.label = stdin, "standard input"
	case scheme == "env":
		s.kind, s.identity = variables, from
	case scheme == "json-env":
		s.kind, s.identity = variable, from
	case scheme == "exec":
		sum := sha256.Sum256([]byte(rest))
		s.kind, s.identity = command, "exec:"+hex.EncodeToString(sum[:])
		s.label, s.name, s.command = "the command's output", "", secret.NewPlaintext([]byte(rest))
	default:
		return s.locate(from)
	}
	if o.Format != "" && (s.kind == variables || s.kind == variable) {
		return Source{}, fault.Invalid("source %s has its own format, %q does not apply", from, string(o.Format)).
			Hinting("Leave --format away.")
	}
	return s, nil
}

func (o Options) withDefaults() Options {
	if o.Stdin == nil {
		o.Stdin = os.Stdin
	}
	if o.Stderr == nil {
		o.Stderr = os.Stderr
	}
	if o.Environ == nil {
		o.Environ = os.Environ
	}
	if o.Timeout <= 0 {
		o.Timeout = DefaultTimeout
	}
	return o
}

// locate makes s the file called from. What is read is the resolved path, so that the identity is
// that of the very file the values came from.
func (s Source) locate(from string) (Source, error) {
	s.kind, s.name = file, ""
	path, err := filepath.Abs(from)
	if err != nil {
		return Source{}, fault.Invalid("%s: the working directory is gone", from).Because(err)
	}
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		path = resolved
	}
	s.path = path
	// The shell's <(…) has another path each time: like standard input it has no identity, and so
	// never deletes. A named pipe in a folder, which some vaults put there, is as good as a file.
	if !strings.HasPrefix(path, "/dev/") && !strings.HasPrefix(path, "/proc/") {
		s.identity = "file:" + path
	}
	return s, nil
}

// Identity says which source this is, over time: "file:" and the absolute path with links
// resolved, "env:PREFIX_", "json-env:VARIABLE", "exec:" and the SHA-256 of the command in hex. It
// is empty for standard input and the shell's <(…), which have none and so never delete.
func (s Source) Identity() string { return s.identity }

// String names the source for people: a path or variable as it was given, and never a command.
func (s Source) String() string { return s.label }

// Format prints String whatever the verb, so that no verb walks into the fields.
func (s Source) Format(w fmt.State, _ rune) { _, _ = io.WriteString(w, s.label) }

// Read returns the entries in the order in which the source has them, sorted by name for env:. It
// blocks until the source ends, ctx is done or the timeout is over. Errors are faults:
// REQUEST_INVALID names every line that cannot be read, SOURCE_UNAVAILABLE says why there is
// nothing to read. When ctx ended the read, the error wraps ctx.Err().
func (s Source) Read(ctx context.Context) ([]Entry, error) {
	switch s.kind {
	case variables:
		return s.prefixed()
	case variable:
		return s.object()
	}
	ctx, cancel := context.WithTimeoutCause(ctx, s.options.Timeout, errTimeout)
	defer cancel()
	var text []byte
	var err error
	switch s.kind {
	case command:
		text, err = s.run(ctx)
	case stdin:
		text, err = s.drain(ctx, func() (io.ReadCloser, error) { return io.NopCloser(s.options.Stdin), nil })
	default:
		text, err = s.drain(ctx, func() (io.ReadCloser, error) { return os.Open(s.path) })
	}
	if err != nil {
		return nil, err
	}
	defer clear(text)
	return s.decode(s.format(text), text)
}

// format decides how text is to be read.
func (s Source) format(text []byte) Format {
	switch ext := strings.ToLower(filepath.Ext(s.path)); {
	case s.options.Format != "":
		return s.options.Format
	case s.kind == command && beginsObject(text):
		return JSON
	case ext == ".json":
		return JSON
	case ext == ".yaml", ext == ".yml":
		return YAML
	}
	return Dotenv
}
