package cli

import (
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/source"
	"github.com/octoseal/octoseal/internal/syncing"
)

const sourcesKey = "sources"

// A writtenSource is one of the file's sources:
//
//	sources:
//	  local:
//	    from: file:.env
//	    repositories: [acme/widgets]
type writtenSource struct {
	From         string   `yaml:"from"`
	Format       string   `yaml:"format"`
	Repositories []string `yaml:"repositories"`
}

// takeSources takes the file's own key out of the layer: it is no flag, since a flag has one line
// for what reads better as several.
func (l layer) takeSources(file string) ([]syncing.Origin, error) {
	given, ok := l[sourcesKey]
	delete(l, sourcesKey)
	if !ok {
		return nil, nil
	}
	text, err := yaml.Marshal(given)
	if err != nil {
		return nil, err
	}
	var written map[string]writtenSource
	if err := yaml.UnmarshalWithOptions(text, &written, yaml.Strict()); err != nil {
		return nil, fault.Invalid("%s: %s is no mapping of names to from, format and repositories", file, sourcesKey).Because(err)
	}
	var origins []syncing.Origin
	for name, w := range written {
		o := syncing.Origin{Name: name, From: w.From, Format: source.Format(w.Format)}
		for _, spelled := range w.Repositories {
			ref, err := github.ParseRef(spelled)
			if err != nil {
				return nil, err
			}
			o.Repositories = append(o.Repositories, ref)
		}
		origins = append(origins, o)
	}
	slices.SortFunc(origins, func(a, b syncing.Origin) int { return strings.Compare(a.Name, b.Name) })
	return origins, nil
}

// commands says whether any source of a file is a command to run, by --source's spelling or by the
// file's own.
func (l layer) commands(origins []syncing.Origin) bool {
	lines, _ := l["source"].([]any)
	if one, ok := l["source"].(string); ok {
		lines = []any{one}
	}
	return slices.ContainsFunc(origins, func(o syncing.Origin) bool { return strings.HasPrefix(o.From, "exec:") }) ||
		slices.ContainsFunc(lines, func(line any) bool { return strings.Contains(fmt.Sprint(line), "=exec:") })
}
