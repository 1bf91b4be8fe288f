package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/knadh/koanf/v2"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const configName = "octoseal.yaml"

// A layer is one place that settings come from, as koanf wants it.
type layer map[string]any

func (l layer) Read() (map[string]any, error) { return l, nil }

func (l layer) ReadBytes() ([]byte, error) { return nil, errors.New("a layer has no text") }

// configure fills the flags that the command line left out: from the variables, then from the
// file. From then on a flag's value is the setting, wherever it came from.
func (a *app) configure(flags *pflag.FlagSet, root *cobra.Command) error {
	fromFile, name, err := a.file(flags, root)
	if err != nil {
		return err
	}
	fromVariables := a.variables(flags)
	merged := koanf.New(".")
	for _, l := range []layer{fromFile, fromVariables} {
		if err := merged.Load(l, nil); err != nil {
			return err
		}
	}
	flags.VisitAll(func(f *pflag.Flag) {
		if err != nil || f.Changed || !merged.Exists(f.Name) {
			return
		}
		origin := name + ": " + f.Name
		if _, ok := fromVariables[f.Name]; ok {
			origin = variable(f.Name)
		}
		err = assign(f, merged.Get(f.Name), origin)
	})
	if err == nil {
		err = a.settings.check()
	}
	if err == nil {
		err = a.prepare()
	}
	return err
}

func variable(flag string) string {
	return "OCTOSEAL_" + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

func (a *app) variables(flags *pflag.FlagSet) layer {
	l := layer{}
	flags.VisitAll(func(f *pflag.Flag) {
		if value := a.Getenv(variable(f.Name)); value != "" && isSetting(f.Name) {
			l[f.Name] = value
		}
	})
	return l
}

// isSetting leaves out the flags that ask for something else than the command's work.
func isSetting(flag string) bool { return flag != "help" && flag != "version" && flag != "config" }

// file reads the settings file, if there is one.
func (a *app) file(flags *pflag.FlagSet, root *cobra.Command) (l layer, name string, err error) {
	name, named := a.settings.config, true
	if name == "" {
		name = a.Getenv(variable("config"))
	}
	if name == "" {
		name, named = configName, false
	}
	text, err := os.ReadFile(name)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !named:
		return layer{}, name, nil
	case errors.Is(err, fs.ErrNotExist):
		return nil, name, fault.Invalid("there is no settings file %s", name).Because(err)
	case err != nil:
		return nil, name, fault.Invalid("the settings file %s is not readable", name).Because(err)
	}
	if err := yaml.Unmarshal(text, &l); err != nil {
		return nil, name, fault.Invalid("%s is not a YAML mapping: %s", name, strings.TrimSpace(yaml.FormatError(err, false, false))).Because(err)
	}
	sources, err := l.takeSources(name)
	if err != nil {
		return nil, name, err
	}
	a.settings.sources = sources
	if err := l.check(name, knownFlags(root)); err != nil {
		return nil, name, err
	}
	if !named {
		err = a.guard(l, name, flags)
	}
	return l, name, err
}

// knownFlags are the flags of all commands: one file serves them all.
func knownFlags(c *cobra.Command) []string {
	var names []string
	add := func(f *pflag.Flag) {
		if isSetting(f.Name) {
			names = append(names, f.Name)
		}
	}
	c.LocalFlags().VisitAll(add)
	for _, child := range c.Commands() {
		names = append(names, knownFlags(child)...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// check refuses keys that are no flags.
func (l layer) check(file string, known []string) error {
	for key := range l {
		if slices.Contains(known, key) {
			continue
		}
		f := fault.Invalid("%s: there is no setting %q", file, key)
		if near := nearest(key, known); near != "" {
			return f.Hinting("Did you mean %s?", near)
		}
		return f.Hinting("The keys are the names of the flags, such as repo or github-api-url.")
	}
	return nil
}

// guard refuses what a file that merely lies in the working directory must not decide: it may have
// come with somebody's repository.
func (a *app) guard(l layer, file string, flags *pflag.FlagSet) error {
	refuse := func(key, why string) error {
		return fault.Invalid("%s: %s is not taken from a file that was only found here, since %s", file, key, why).
			Hinting("If the file is yours: --config %s. Or give --%s, or %s.", file, key, variable(key))
	}
	overruled := func(key string) bool {
		f := flags.Lookup(key)
		return f == nil || f.Changed || a.Getenv(variable(key)) != ""
	}
	if api, _ := l["github-api-url"].(string); api != "" && !overruled("github-api-url") && !isLoopback(api) {
		return refuse("github-api-url", "it says where credentials are sent")
	}
	if from, _ := l["from"].(string); strings.HasPrefix(from, "exec:") && !overruled("from") {
		return refuse("from", "it names a command to run")
	}
	if l.commands(a.settings.sources) && !overruled("source") {
		return refuse("source", "it names a command to run")
	}
	if database, _ := l["database"].(string); strings.Contains(database, "://") && !overruled("database") {
		return refuse("database", "it says where names and hashes are sent")
	}
	for _, key := range []string{"server", "pin", "audience", "otlp-endpoint", "oidc-issuer", "public-url", "actions-issuer"} {
		if l[key] != nil && !overruled(key) {
			return refuse(key, "it says whom to trust")
		}
	}
	return nil
}

// assign gives a flag its value from elsewhere.
func assign(f *pflag.Flag, value any, origin string) error {
	list, isList := f.Value.(pflag.SliceValue)
	items, many := value.([]any)
	switch {
	case many && !isList:
		return fault.Invalid("%s takes one value, not a list", origin)
	case many:
		texts := make([]string, len(items))
		for i, item := range items {
			texts[i] = fmt.Sprint(item)
		}
		f.Changed = true
		return list.Replace(texts)
	}
	if _, nested := value.(map[string]any); nested || value == nil {
		return fault.Invalid("%s has no value that a flag could have", origin)
	}
	if err := f.Value.Set(fmt.Sprint(value)); err != nil {
		return fault.Invalid("%s: %q is no %s", origin, fmt.Sprint(value), f.Value.Type()).Because(err)
	}
	f.Changed = true
	return nil
}

// nearest returns the known word that is a slip of the finger away from word; empty for none.
func nearest(word string, known []string) string {
	best, least := "", 1+len(word)/3
	for _, k := range known {
		if d := distance(strings.ReplaceAll(word, "_", "-"), k); d <= least {
			best, least = k, d-1
		}
	}
	return best
}

// distance is how many letters have to be typed, dropped or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, diagonal+1, row[j]+1)
		}
	}
	return row[len(b)]
}

func isLoopback(api string) bool {
	u, err := url.Parse(api)
	return err == nil && isLoopbackHost(u.Hostname())
}
