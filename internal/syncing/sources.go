package syncing

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/source"
	"github.com/octoseal/octoseal/internal/store"
)

// An Origin is a source of values on a server, which its operator names. A project asks for it by
// that name; neither a path nor a command ever comes through the API.
type Origin struct {
	Name         string
	From         string // as --from spells it; a file may be written file:PATH
	Format       source.Format
	Repositories []github.Ref // that may have its values; none but these
}

// ParseOrigin reads NAME=FROM,OWNER/REPO…. FROM ends where only repositories follow, so a command may
// hold commas, unless what follows its last one looks like a repository.
func ParseOrigin(text string) (Origin, error) {
	name, rest, _ := strings.Cut(text, "=")
	o := Origin{Name: name}
	parts := strings.Split(rest, ",")
	for len(parts) > 1 && strings.Count(parts[len(parts)-1], "/") == 1 {
		ref, err := github.ParseRef(parts[len(parts)-1])
		if err != nil {
			break
		}
		o.Repositories = append(o.Repositories, ref)
		parts = parts[:len(parts)-1]
	}
	slices.Reverse(o.Repositories)
	o.From = strings.Join(parts, ",")
	return o, o.check()
}

func (o Origin) check() error {
	const spelling = "Write a source as NAME=FROM,OWNER/REPO… with at least one repository that may have its values."
	for _, r := range o.Name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", r) {
			return fault.Invalid("the source name %q has other characters than letters, digits, dots, hyphens and underscores", o.Name).Hinting(spelling)
		}
	}
	switch {
	case o.Name == "":
		return fault.Invalid("a source has no name").Hinting(spelling)
	case o.From == "" || o.From == "-":
		return fault.Invalid("source %s does not say where its values are; standard input cannot be read again and again", o.Name).Hinting(spelling)
	case len(o.Repositories) == 0:
		return fault.Invalid("source %s names no repository that may have its values", o.Name).Hinting(spelling)
	}
	return nil
}

// Sources are the operator's, by name.
type Sources struct {
	// Learn, when set, hears each value that is read, so that no log tells it.
	Learn   func(secret.Plaintext)
	origins map[string]Origin
	options source.Options
}

// NewSources checks origins and returns them. o is for reading them; its Format is not used.
func NewSources(origins []Origin, o source.Options) (*Sources, error) {
	s := &Sources{origins: map[string]Origin{}, options: o}
	for _, origin := range origins {
		if err := origin.check(); err != nil {
			return nil, err
		}
		if _, twice := s.origins[origin.Name]; twice {
			return nil, fault.Invalid("source %s is named twice", origin.Name)
		}
		if _, err := s.parse(origin); err != nil {
			return nil, err
		}
		s.origins[origin.Name] = origin
	}
	return s, nil
}

// parse follows a file's links anew each time: whoever mounts secrets as files swaps the link.
func (s *Sources) parse(o Origin) (source.Source, error) {
	options := s.options
	options.Format = o.Format
	return source.Parse(o.path(), options)
}

func (o Origin) path() string {
	if path, ok := strings.CutPrefix(o.From, "file:"); ok {
		if filepath.IsAbs(path) {
			return path
		}
		return "./" + path
	}
	return o.From
}

// identityPrefix stands before the name in a project's value_source and in a source's identity.
const identityPrefix = "source:"

// of returns the source that a project has its values from, if it may.
func (s *Sources) of(p store.Project) (Origin, error) {
	repo := github.Ref{Owner: p.Owner, Name: p.Repo}
	name, named := strings.CutPrefix(p.ValueSource, identityPrefix)
	if !named { // the relay's are not looked for here
		why := fmt.Sprintf("project %s has the source of values %q, which this server cannot use", repo, p.ValueSource)
		return Origin{}, fault.New(fault.SourceUnavailable, fault.Context{"reason": why}).
			Hinting("GitHub never gives a value back. Name a source of the server's: octoseal serve --source NAME=FROM,%s, and give the project the value source source:NAME.", repo)
	}
	var origin Origin
	var known bool
	if s != nil {
		origin, known = s.origins[name]
	}
	if !known {
		return Origin{}, fault.New(fault.SourceUnavailable, fault.Context{"reason": "this server has no source called " + name}).
			Hinting("Start it with --source %s=FROM,%s, or give the project another value source.", name, repo)
	}
	if !slices.ContainsFunc(origin.Repositories, func(r github.Ref) bool { return strings.EqualFold(r.String(), repo.String()) }) {
		return Origin{}, fault.New(fault.SourceUnavailable, fault.Context{"reason": "source " + name + " is not for " + repo.String()}).
			Hinting("Its operator says who may have its values: --source %s=FROM,…,%s.", name, repo)
	}
	return origin, nil
}

// Stamps returns the stamp of each source, by the value_source that asks for it. A stamp differs when
// the file behind the source does; a source that cannot be told without reading it has none.
func (s *Sources) Stamps() map[string]string {
	stamps := map[string]string{}
	if s == nil {
		return stamps
	}
	for name, o := range s.origins {
		if stamp := o.stamp(); stamp != "" {
			stamps[identityPrefix+name] = stamp
		}
	}
	return stamps
}

func (o Origin) stamp() string {
	path := o.path()
	for _, scheme := range []string{"env:", "json-env:", "exec:"} {
		if strings.HasPrefix(path, scheme) {
			return ""
		}
	}
	file, err := os.Stat(path)
	if err != nil || !file.Mode().IsRegular() {
		return ""
	}
	return fmt.Sprintf("%d-%d", file.ModTime().UnixNano(), file.Size())
}

// StampTime is when a source with that stamp was last changed; zero when the stamp does not say.
func StampTime(stamp string) time.Time {
	digits, _, _ := strings.Cut(stamp, "-")
	ns, err := strconv.ParseInt(digits, 10, 64)
	if err != nil {
		return time.Time{}
	}
	return time.Unix(0, ns)
}

// read returns a project's values as a Source. The stamp is taken before reading, so that what
// changes meanwhile is seen as a change; it is there even when reading comes to nothing.
func (s *Sources) read(ctx context.Context, p store.Project, skipInvalid bool, excluded func([]string) (map[string]bool, error)) (Source, error) {
	origin, err := s.of(p)
	if err != nil {
		return Source{Identity: p.ValueSource}, err
	}
	out := Source{Identity: identityPrefix + origin.Name, Stamp: origin.stamp()}
	src, err := s.parse(origin)
	if err != nil {
		return out, err
	}
	entries, err := src.Read(ctx)
	if s.Learn != nil {
		for _, e := range entries {
			s.Learn(e.Value)
		}
	}
	if err != nil {
		return out, err
	}
	values, unusable, err := usable(src, entries, skipInvalid, excluded)
	if err != nil {
		zero(entries)
		return out, err
	}
	local := Local(out.Identity, values)
	local.Stamp, local.Unusable, local.Done = out.Stamp, unusable, func() { zero(entries) }
	return local, nil
}

// usable splits entries into what can be written and what cannot. Excluded names go along: the plan
// decides the same about them and says so, and no value of theirs is sealed.
func usable(src source.Source, entries []source.Entry, skipInvalid bool, excluded func([]string) (map[string]bool, error)) (
	values map[secret.Name]secret.Plaintext, unusable []secret.Name, err error,
) {
	names := make([]string, 0, 2*len(entries))
	for _, e := range entries {
		names = append(names, e.Name, strings.ToUpper(e.Name))
	}
	isExcluded, err := excluded(names)
	if err != nil {
		return nil, nil, err
	}
	v := source.Check(entries, func(name string) bool { return isExcluded[name] })
	if len(v.Problems) > 0 && !skipInvalid {
		return nil, nil, src.Refuse(v.Problems, "")
	}
	for _, e := range entries {
		if name, err := secret.ParseName(strings.ToUpper(e.Name)); err == nil && slices.Contains(v.Excluded, e.Name) {
			v.Values[name] = e.Value
		}
	}
	return v.Values, v.Withheld, nil
}

func zero(entries []source.Entry) {
	for _, e := range entries {
		e.Value.Zero()
	}
}
