package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"charm.land/huh/v2"
	"github.com/charmbracelet/colorprofile"
	"github.com/charmbracelet/x/term"
	"github.com/octoseal/octoseal/internal/fault"
)

// interactive says whether there is a person to ask: one who types, and reads what is asked.
func (a *app) interactive() bool {
	fd, ok := descriptor(a.In)
	return ok && term.IsTerminal(fd) && a.screen.err.terminal && !a.settings.json
}

// A choice is one answer to a question.
type choice struct{ answer, words string }

// choose asks a person. On a terminal without fancy it asks in plain lines. Who leaves the question
// open with Ctrl-C has interrupted the program.
func (a *app) choose(ctx context.Context, title, detail string, choices ...choice) (string, error) {
	answer := choices[0].answer
	options := make([]huh.Option[string], len(choices))
	for i, c := range choices {
		options[i] = huh.NewOption(c.words, c.answer)
	}
	ask := huh.NewSelect[string]().Title(title).Description(detail).Options(options...).Value(&answer)
	form := huh.NewForm(huh.NewGroup(ask)).WithShowHelp(false).WithTheme(huh.ThemeFunc(huh.ThemeBase16)).
		WithInput(a.In).WithOutput(a.Err).WithAccessible(!a.screen.err.colour)
	if !a.screen.err.colour {
		form = form.WithOutput(&colorprofile.Writer{Forward: a.Err, Profile: colorprofile.NoTTY})
	}
	done := make(chan error, 1)
	go func() { done <- form.RunWithContext(ctx) }() // in plain lines it reads without minding ctx
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case err := <-done:
		if errors.Is(err, huh.ErrUserAborted) || errors.Is(err, context.Canceled) {
			return "", errInterrupted
		}
		return answer, err
	}
}

// value takes one secret value: typed unseen on a terminal, else standard input byte for byte.
func (a *app) value(ctx context.Context, name string) ([]byte, error) {
	type result struct {
		value []byte
		err   error
	}
	done := make(chan result, 1)
	go func() {
		value, err := a.readValue(name)
		done <- result{value, err}
	}()
	select {
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	case r := <-done:
		return r.value, r.err
	}
}

// longestInput is more than any secret may have, so that what is too long is refused for that.
const longestInput = 1 << 20

func (a *app) readValue(name string) ([]byte, error) {
	fd, ok := descriptor(a.In)
	if ok && term.IsTerminal(fd) {
		a.screen.err.printf("value of %s (not shown): ", name)
		defer a.screen.err.println()
		value, err := term.ReadPassword(fd)
		if errors.Is(err, io.EOF) {
			return nil, nil
		}
		return value, err
	}
	value, err := io.ReadAll(io.LimitReader(a.In, longestInput))
	if err != nil {
		return nil, fault.New(fault.SourceUnavailable, fault.Context{"reason": "standard input ended in the middle"}).Because(err)
	}
	if bytes.HasSuffix(value, []byte("\n")) {
		a.warn("the value ends with a line break, which is kept: printf '%%s' leaves it out, echo does not")
	}
	return value, nil
}

// warn says what may be a mistake.
func (a *app) warn(format string, args ...any) {
	if a.settings.json {
		a.log.Warn(strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " "))
		return
	}
	a.screen.talk("%s "+format, append([]any{a.screen.err.mooded(care, "warning:")}, args...)...)
}
