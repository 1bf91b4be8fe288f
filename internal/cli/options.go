package cli

import (
	"path"
	"strconv"
	"strings"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/spf13/pflag"
)

// selection are the flags that say which secrets and scopes a run is about, and what it may
// overwrite.
type selection struct {
	from         string
	format       string
	skipInvalid  bool
	scopes       []string
	secrets      []string
	only, except []string
	force        bool
	adopt        string
	allowDeletes int
	yes          bool
}

func (s *selection) register(f *pflag.FlagSet) {
	f.StringVar(&s.from, "from", "", "`SOURCE` of the values: FILE (.env, .json, .yaml), - (stdin), env:PREFIX_, json-env:VARIABLE or exec:COMMAND")
	f.StringVar(&s.format, "format", "", "`FORMAT` of the source, where --from does not tell: env, json or yaml")
	f.BoolVar(&s.skipInvalid, "skip-invalid", false, "leave out entries that cannot be secrets")
	f.StringSliceVar(&s.secrets, "secret", nil, "the secret `NAME` only; may be repeated")
	f.StringSliceVar(&s.only, "only", nil, "secrets that match `GLOB` only; may be repeated")
	f.StringSliceVar(&s.except, "except", nil, "not the secrets that match `GLOB`; may be repeated")
	s.registerWriting(f)
	f.IntVar(&s.allowDeletes, "allow-deletes", 0, "allow `N` deletions where that many would be withheld")
}

// registerWriting registers what a run for one value has, too.
func (s *selection) registerWriting(f *pflag.FlagSet) {
	registerScopes(f, &s.scopes, "write `SCOPES` only (default actions,codespaces,dependabot)")
	f.BoolVar(&s.force, "force", false, "write over every conflict, whoever made it")
	f.StringVar(&s.adopt, "adopt", "", "`WHAT` to do about secrets that are there and not written by Octoseal: overwrite, or keep (leave alone for good)")
	f.BoolVarP(&s.yes, "yes", "y", false, "ask nothing")
}

func registerScopes(f *pflag.FlagSet, to *[]string, usage string) {
	f.StringSliceVar(to, "scopes", nil, usage)
}

// options reads the selection; every slip is refused before anything is asked of anybody.
func (s *selection) options() (plan.Options, error) {
	scopes, err := parseScopes(s.scopes)
	if err != nil {
		return plan.Options{}, err
	}
	names, err := parseNames(s.secrets)
	if err != nil {
		return plan.Options{}, err
	}
	for _, glob := range append(append([]string{}, s.only...), s.except...) {
		if _, err := path.Match(glob, ""); err != nil || glob == "" {
			return plan.Options{}, fault.Invalid("glob %q is malformed", glob).
				Hinting("A glob is a name with * for any letters, ? for one, and [A-C] for one of these.")
		}
	}
	adopt, err := s.adoption()
	if err != nil {
		return plan.Options{}, err
	}
	if s.allowDeletes < 0 {
		return plan.Options{}, fault.Invalid("--allow-deletes is %d: it has to be 0 or more", s.allowDeletes)
	}
	return plan.Options{
		Scopes: scopes, Names: names, Only: s.only, Except: s.except,
		Force: s.force, Adopt: adopt, AllowDeletes: s.allowDeletes,
	}, nil
}

func (s *selection) adoption() (plan.Adopt, error) {
	switch adopt := plan.Adopt(s.adopt); adopt {
	case plan.AdoptNone, plan.AdoptOverwrite, plan.AdoptKeep:
		return adopt, nil
	}
	return "", fault.Invalid("--adopt is %q: it has to be overwrite or keep", s.adopt)
}

func parseScopes(texts []string) ([]secret.Scope, error) {
	var scopes []secret.Scope
	for _, text := range texts {
		scope, err := secret.ParseScope(strings.TrimSpace(text))
		if err != nil {
			return nil, fault.Invalid("%s", err).Because(err)
		}
		scopes = append(scopes, scope)
	}
	return scopes, nil
}

func parseNames(texts []string) ([]secret.Name, error) {
	var names []secret.Name
	for _, text := range texts {
		name, err := parseName(text)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	return names, nil
}

// parseName reads a name as people type it. GitHub stores names in upper case, so one in lower case
// can only mean that one; still it is refused, since the same spelling in a file is, too.
func parseName(text string) (secret.Name, error) {
	name, err := secret.ParseName(text)
	if err != nil {
		return name, fault.New(fault.NameInvalid, fault.Context{"secretName": text, "pattern": secret.NamePattern}).
			Saying("%s", err).Because(err)
	}
	return name, nil
}

// A commandLine is a command as people can paste it.
type commandLine []string

// again is the command that is running, as another verb where one is given, with more at its end.
func (a *app) again(verb string, more ...string) commandLine {
	line := commandLine{a.programName()}
	for _, arg := range a.Args {
		switch {
		case verb != "" && arg == a.command:
			arg, verb = verb, ""
		case arg == "--exit-code":
			continue // plan's alone, and of no consequence for what is done
		case strings.HasPrefix(arg, "exec:"), strings.HasPrefix(arg, "--from=exec:"):
			// A command may hold a password that a shell put there.
			arg = arg[:strings.Index(arg, "exec:")] + "exec:…"
		}
		line = append(line, arg)
	}
	return append(line, more...)
}

// String quotes what a shell would not leave alone.
func (l commandLine) String() string {
	words := make([]string, len(l))
	for i, w := range l {
		words[i] = quoted(w)
		if i == 0 {
			words[i] = w // gh octoseal is two words
		}
	}
	return strings.Join(words, " ")
}

func quoted(word string) string {
	isSafe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@%+…", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !isSafe(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

func allowing(deletes int) []string { return []string{"--allow-deletes", strconv.Itoa(deletes)} }
