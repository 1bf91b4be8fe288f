package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"

	"charm.land/lipgloss/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/charmbracelet/x/term"
)

// A screen is where the program speaks: results to out, talk to err.
type screen struct {
	out, err stream
	quiet    bool // no talk but errors, since --json was asked for

	mu  sync.Mutex
	bar *progressBar // what moves at the bottom; nil for nothing
}

// A stream is one of the two, with what it can show.
type stream struct {
	writer   io.Writer
	terminal bool
	colour   bool
	width    int // 0: no bound, as in a file that somebody greps
}

func newScreen(p Process) *screen {
	return &screen{out: newStream(p, p.Out), err: newStream(p, p.Err)}
}

func newStream(p Process, w io.Writer) stream {
	s := stream{writer: w}
	if columns, err := strconv.Atoi(p.Getenv("COLUMNS")); err == nil && columns > 0 {
		s.width = columns
	}
	fd, ok := descriptor(w)
	if !ok || !term.IsTerminal(fd) {
		return s
	}
	s.terminal = true
	s.colour = p.Getenv("NO_COLOR") == "" && p.Getenv("TERM") != "dumb"
	if width, _, err := term.GetSize(fd); err == nil && width > 0 {
		s.width = width
	}
	return s
}

func descriptor(of any) (uintptr, bool) {
	if f, ok := of.(*os.File); ok {
		return f.Fd(), true
	}
	return 0, false
}

// settle takes away what moves, so that whatever follows stands below the rest.
func (s *screen) settle() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		s.bar.stop()
		s.bar = nil
	}
}

// talk says something by the way. Nobody reads it with --json.
func (s *screen) talk(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.quiet:
	case s.bar != nil:
		s.bar.above(fmt.Sprintf(format, args...))
	default:
		s.err.printf(format+"\n", args...)
	}
}

// Write is for the log: its lines stand above whatever moves.
func (s *screen) Write(line []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar != nil {
		return s.bar.pool.Write(line)
	}
	return s.err.writer.Write(line)
}

// Lipgloss looks at the stream and brings the colours down to what it can show.
func (s stream) println(parts ...any) {
	_, _ = lipgloss.Fprintln(s.writer, parts...)
}

func (s stream) printf(format string, args ...any) {
	_, _ = lipgloss.Fprintf(s.writer, format, args...)
}

// paragraph prints a line that may be longer than the screen is wide, and breaks it between words.
func (s stream) paragraph(text string) {
	if s.width > 2*gap {
		text = strings.ReplaceAll(ansi.Wordwrap(text, s.width-gap, ""), "\n", "\n  ")
	}
	s.println(text)
}

// data prints a result for programs.
func (s stream) data(v any) error {
	enc := json.NewEncoder(s.writer)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// The styles: few, and of the sixteen colours that people choose for themselves.
var (
	strongStyle = lipgloss.NewStyle().Bold(true)
	faintStyle  = lipgloss.NewStyle().Faint(true)
	goodStyle   = lipgloss.NewStyle().Foreground(lipgloss.Green)
	careStyle   = lipgloss.NewStyle().Foreground(lipgloss.Yellow)
	badStyle    = lipgloss.NewStyle().Foreground(lipgloss.Red).Bold(true)
)

func (s stream) strong(text string) string { return s.styled(strongStyle, text) }
func (s stream) faint(text string) string  { return s.styled(faintStyle, text) }
func (s stream) bad(text string) string    { return s.styled(badStyle, text) }

func (s stream) styled(style lipgloss.Style, text string) string {
	if !s.colour {
		return text
	}
	return style.Render(text)
}

// plain turns colours and everything that moves off.
func (s *screen) plain() { s.out.colour, s.err.colour = false, false }

// counted spells a number with its noun.
func counted(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
