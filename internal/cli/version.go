package cli

import (
	"context"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/spf13/cobra"
)

// version is the module's version as the build recorded it: a tag, a pseudo-version, or "dev".
var version = sync.OnceValue(func() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" || info.Main.Version == "(devel)" {
		return "dev"
	}
	return info.Main.Version
})

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Say which octoseal this is",
		Args:  exactly(),
		RunE: a.run(func(context.Context, []string) error {
			v := struct {
				Version  string `json:"version"`
				Commit   string `json:"commit"`
				Go       string `json:"go"`
				Platform string `json:"platform"`
			}{version(), commit(), runtime.Version(), runtime.GOOS + "/" + runtime.GOARCH}
			if a.settings.json {
				return a.screen.out.data(v)
			}
			a.screen.out.printf("octoseal %s (%s, %s)\n", v.Version, v.Go, v.Platform)
			return nil
		}),
	}
}

// commit is what the program was built from; empty outside of a checkout.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
