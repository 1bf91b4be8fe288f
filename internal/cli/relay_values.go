package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"unicode"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/relay"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/source"
)

// What Linux lets a process start with: 128 KiB for one variable, and about 2 MiB in all. Beyond
// that a step fails before anything of ours runs, so a warning has to come before.
const (
	nearVariable = 96 << 10
	nearAll      = 3 << 19 // 1.5 MiB
)

// carriedPrefix is what init --names puts before a secret's name to make a variable of it. A bare
// name would not do: a secret may be called PATH or HTTPS_PROXY.
const carriedPrefix = "OCTOSEAL_SECRET_"

// valuesOf reads --values: where the job has the values of its secrets. They are looked at once the
// server has said which it wants, so that it can be told when there are none to be had.
func (a *app) valuesOf(where string) (func([]secret.Name) (map[secret.Name]secret.Plaintext, error), error) {
	read, err := a.place(where)
	if err != nil {
		return nil, err
	}
	return func(names []secret.Name) (map[secret.Name]secret.Plaintext, error) {
		entries, err := read()
		if err != nil {
			return nil, err
		}
		return a.asked(entries, names)
	}, nil
}

// place returns what reads the values from where they are.
func (a *app) place(where string) (func() ([]source.Entry, error), error) {
	scheme, rest, _ := strings.Cut(where, ":")
	if scheme == "env" && !strings.HasSuffix(rest, "*") {
		names, err := parseNames(strings.FieldsFunc(rest, func(r rune) bool { return r == ',' || unicode.IsSpace(r) }))
		return func() ([]source.Entry, error) { return a.listed(names) }, err
	}
	if scheme != "env" && scheme != "json-env" {
		return nil, fault.Invalid("--values is %q, which names no place for values", where).
			Hinting("It is json-env:VARIABLE, env:PREFIX_* or env:NAME,NAME…")
	}
	if scheme == "env" {
		where = strings.TrimSuffix(where, "*")
	}
	src, err := source.Parse(where, source.Options{Environ: func() []string { return a.Environ }})
	return func() ([]source.Entry, error) { return src.Read(context.Background()) }, err // it is in memory already
}

// asked keeps of the entries those that are asked for, and overwrites the others. The job's own token
// and whatever else is no name of a secret is never among the former.
func (a *app) asked(entries []source.Entry, names []secret.Name) (map[secret.Name]secret.Plaintext, error) {
	values := map[secret.Name]secret.Plaintext{}
	for _, e := range entries {
		a.redact.Learn(e.Value)
		name, err := secret.ParseName(strings.ToUpper(e.Name))
		if err != nil || !slices.Contains(names, name) {
			e.Value.Zero()
			continue
		}
		if _, twice := values[name]; twice {
			return values, fault.Invalid("%s is given twice, and no one could say which is meant", name)
		}
		values[name] = e.Value
	}
	return values, nil
}

// listed reads one variable for each name.
func (a *app) listed(names []secret.Name) ([]source.Entry, error) {
	var entries []source.Entry
	for _, name := range names {
		if value, has := a.lookup(name.String()); has {
			entries = append(entries, source.Entry{Name: name.String(), Value: secret.NewPlaintext([]byte(value))})
		}
	}
	if len(entries) == 0 {
		return nil, fault.New(fault.SourceUnavailable, fault.Context{"reason": "none of the variables that --values names is there"}).
			Hinting("In a workflow: env: {NAME: ${{ secrets.NAME }}} on the step.")
	}
	return entries, nil
}

// lookup is Getenv that tells absent from empty.
func (a *app) lookup(name string) (value string, has bool) {
	for _, pair := range a.Environ {
		if v, ok := strings.CutPrefix(pair, name+"="); ok {
			value, has = v, true
		}
	}
	return value, has
}

// warnOfSize warns before Linux refuses.
func (a *app) warnOfSize(where string) {
	if variable, ok := strings.CutPrefix(where, "json-env:"); ok {
		if n := len(a.Getenv(variable)); n >= nearVariable {
			a.annotate(relay.Warning, fmt.Sprintf("%s has %d KiB, and a step cannot start with more than 128 KiB in one variable. Have a variable for each secret: octoseal init --names.", variable, n>>10))
		}
	}
	all := 0
	for _, pair := range a.Environ {
		all += len(pair) + 1
	}
	if all >= nearAll {
		a.annotate(relay.Warning, "the variables of this step take up more than three quarters of the 2 MiB that Linux allows. Divide them: octoseal init --split N.")
	}
}
