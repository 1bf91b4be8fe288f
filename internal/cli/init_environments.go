package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/spf13/pflag"
)

func registerEnvironments(f *pflag.FlagSet, to *bool) {
	f.BoolVar(to, "environments", false, "write a first "+environmentsName+", with what GitHub has")
}

// initEnvironments writes a first file of environments: those that GitHub has with the rules they
// have, so that applying the file changes none of them, and the others with their tier's defaults.
func (a *app) initEnvironments(ctx context.Context) error {
	if _, err := os.Lstat(environmentsName); !errors.Is(err, fs.ErrNotExist) {
		return fault.Invalid("%s is here already", environmentsName).
			Hinting("Change it, and see what that would do: %s env plan --from .env", a.programName())
	}
	if a.settings.server != "" {
		return fault.Invalid("init writes files here, and --server names a server").Hinting("Leave --server out.")
	}
	k, err := a.keeping(ctx, toRead)
	if err != nil {
		return err
	}
	defer k.close()
	found, err := k.service.List(ctx, k.project)
	if err != nil {
		return err
	}
	who, err := k.client.Whoami(ctx)
	if err != nil {
		return err
	}
	text := firstEnvironments(k.repo.String(), found, who)
	if _, err := environment.ParseFile(environmentsName, text); err != nil {
		return err
	}
	f, err := os.OpenFile(environmentsName, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644) //nolint:gosec // it holds no value and belongs into the repository
	if err == nil {
		_, err = f.Write(text)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		return fault.Invalid("%s cannot be written: %s", environmentsName, reasonOf(err)).Because(err)
	}
	if a.settings.json {
		return a.screen.out.data(map[string]string{"file": environmentsName, "text": string(text)})
	}
	a.screen.out.printf("wrote %s\n", environmentsName)
	a.hint("to see what it would do: %s env plan --from .env", a.programName())
	return nil
}

// firstEnvironments spells the file.
func firstEnvironments(repo string, found []environment.Standing, who github.Identity) []byte {
	var b bytes.Buffer
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	line("# yaml-language-server: $schema=%s", environment.SchemaURL)
	line("#")
	line("# The environments of %s. Secrets are named here and have their values from a source:", repo)
	line("#")
	line("#     octoseal env plan --from .env")
	line("#     octoseal env apply --from .env")
	line("#")
	line("# A rule that is left out is the tier's default (staging: one reviewer; production: one reviewer and")
	line("# the default branch), or else what GitHub has. A secret that is left out is left alone.")
	line("environments:")
	for _, t := range environment.Tiers() {
		line("  - name: %s", t)
		standing, there := standingOf(t, found)
		if there {
			existing(line, standing)
		} else {
			fresh(line, t, who)
		}
	}
	return b.Bytes()
}

func standingOf(t environment.Tier, found []environment.Standing) (environment.Standing, bool) {
	for _, s := range found {
		if s.Name == string(t) && s.Exists {
			return s, true
		}
	}
	return environment.Standing{}, false
}

// existing spells an environment as GitHub has it. Its secrets are told and not asked for: nobody
// here knows their values.
func existing(line func(string, ...any), s environment.Standing) {
	r := s.ProtectionRules
	line("    protectionRules: # as GitHub has them")
	if len(r.ReviewerIDs) > 0 {
		line("      reviewerIds: [%s]", reviewersOf(r))
	} else {
		line("      requiredReviewers: 0 # teams that review stay")
	}
	line("      restrictToMainBranch: %t", *r.RestrictToMainBranch)
	line("      waitTimer: %d # minutes", *r.WaitTimer)
	if len(s.Secrets) == 0 {
		line("    secrets: []")
		return
	}
	line("    secrets:")
	line("      # GitHub has these, whose values only their owner knows. One that is named here is written over")
	line("      # with --force alone, the first time.")
	for _, one := range s.Secrets {
		line("      # - %s", one.Name)
	}
}

// fresh spells an environment that GitHub does not have.
func fresh(line func(string, ...any), t environment.Tier, who github.Identity) {
	if t != environment.Dev {
		line("    protectionRules:")
		if who.UserID != 0 {
			line("      reviewerIds: [%d] # %s", who.UserID, who.Login)
		} else {
			line("      # reviewerIds: [1] # gh api users/LOGIN --jq .id")
		}
	}
	line("    secrets: []")
	if t == environment.Production {
		line("    # secrets:")
		line("    #   DATABASE_URL: {from: DATABASE_URL%s} # the name that the value has in the source", strings.ToUpper(t.Suffix()))
	}
}
