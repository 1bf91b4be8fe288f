package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/spf13/cobra"
)

func (a *app) doctorCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Check credentials, permissions, stores, clocks and the database, or a server",
		Long: "Doctor looks at everything a sync depends on and says what stands in its way, and what to do\n" +
			"about it. It writes no secret. It exits with 3 when something needs attention. With --server it\n" +
			"looks at that server, at the way there, and at what the token in " + tokenVariable + " allows.",
		Args: exactly(),
		RunE: a.run(func(ctx context.Context, _ []string) error { return a.doctor(ctx) }),
	}
}

// A state is how a finding is meant.
type state string

const (
	fine      state = "ok"
	advice    state = "advice"    // works, and could be better
	attention state = "attention" // stands in the way
)

// A finding is the result of one check.
type finding struct {
	Check  string `json:"check"`
	State  state  `json:"state"`
	Detail string `json:"detail"`
	Hint   string `json:"hint,omitempty"`
}

// A diagnosis collects findings, in the order of the checks.
type diagnosis struct {
	Healthy  bool      `json:"healthy"`
	Findings []finding `json:"findings"`
}

func (d *diagnosis) add(check string, s state, hint, format string, args ...any) {
	d.Findings = append(d.Findings, finding{check, s, fmt.Sprintf(format, args...), hint})
	d.Healthy = d.Healthy && s != attention
}

// fault notes what an attempt ended with.
func (d *diagnosis) fault(check string, err error) {
	f := fault.Of(err)
	d.add(check, attention, f.Hint, "%s", f.Message)
}

func (a *app) doctor(ctx context.Context) error {
	d := diagnosis{Healthy: true}
	examine := a.examineHere
	if a.settings.server != "" {
		examine = a.examineServer
	}
	if err := examine(ctx, &d); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return a.tellDiagnosis(d)
}

// tellDiagnosis shows what was found, and ends with what that means.
func (a *app) tellDiagnosis(d diagnosis) error {
	if a.settings.json {
		if err := a.screen.out.data(d); err != nil {
			return err
		}
	} else {
		a.showDiagnosis(d)
	}
	if !d.Healthy {
		return errAttention
	}
	return nil
}

// examineHere looks at what a command that works by itself depends on.
func (a *app) examineHere(ctx context.Context, d *diagnosis) error {
	a.examineDatabase(ctx, d)
	a.examineHashKey(d)
	return a.examineGitHub(ctx, d)
}

func (a *app) showDiagnosis(d diagnosis) {
	out := a.screen.out
	count := map[state]int{}
	for _, f := range d.Findings {
		count[f.State]++
		m := map[state]mood{fine: good, advice: care, attention: bad}[f.State]
		out.printf("%s %s: %s\n", out.mooded(m, fmt.Sprintf("%-9s", f.State)), f.Check, f.Detail)
		if f.Hint != "" {
			out.printf("          %s\n", out.faint(f.Hint))
		}
	}
	out.printf("\n%d ok, %d advice, %d attention\n", count[fine], count[advice], count[attention])
}

func (a *app) examineDatabase(ctx context.Context, d *diagnosis) {
	dsn, _ := a.dsn()
	db, err := store.Open(ctx, store.Config{DSN: dsn, ReadOnly: true, Log: a.log})
	switch {
	case errors.Is(err, store.ErrNoDatabase):
		if why := unwritable(dsn); why != nil {
			d.add("database", attention, "Name another place: --database FILE. Plan and status work without one.", "there is none at %s yet, and none can be made: %s", dsn, why)
			return
		}
		d.add("database", fine, "", "none yet; the first sync makes %s", dsn)
		return
	case err != nil:
		d.fault("database", err)
		return
	}
	defer db.Close() //nolint:errcheck // it was only read
	if err := db.Ping(ctx); err != nil {
		d.fault("database", err)
		return
	}
	if isFile(dsn) && unwritable(dsn) != nil {
		d.add("database", attention, "Let this user write the file and its folder, or name another: --database FILE.", "%s can be read, and not written", db)
		return
	}
	d.add("database", fine, "", "%s", db)
}

// unwritable says why nothing can be written where dsn is or would be; nil when something can.
func unwritable(dsn string) error {
	dir := filepath.Dir(dsn)
	for {
		info, err := os.Stat(dir)
		if err == nil && !info.IsDir() {
			return fmt.Errorf("%s is no folder", dir)
		}
		if parent := filepath.Dir(dir); err != nil && parent != dir {
			dir = parent
			continue
		}
		break
	}
	probe, err := os.CreateTemp(dir, ".octoseal-doctor-*")
	if err != nil {
		var at *os.PathError
		if errors.As(err, &at) {
			return fmt.Errorf("%s: %w", dir, at.Err)
		}
		return err
	}
	_ = probe.Close()
	return os.Remove(probe.Name())
}

func (a *app) examineHashKey(d *diagnosis) {
	key, err := a.hashKey()
	switch {
	case err != nil:
		d.fault("hash key", err)
	case key == nil:
		d.add("hash key", advice, "openssl rand -hex 32 > FILE, then --hash-key-file FILE. Each value is written once more then.",
			"no key is set, so whoever gets the database can guess weak values by their hashes")
	default:
		d.add("hash key", fine, "", "set")
	}
}

// examineGitHub stops at what everything after it needs.
func (a *app) examineGitHub(ctx context.Context, d *diagnosis) error {
	i, err := a.api()
	if err != nil {
		return err
	}
	credential, err := a.credential()
	if err != nil {
		d.fault("credential", err)
		return nil
	}
	client, err := github.New(github.Config{
		BaseURL: a.settings.apiURL, Credential: credential, Log: a.log, Retry: a.settings.retry, Version: version(),
	})
	if err != nil {
		return err
	}
	defer client.CloseIdle()
	who, err := client.Whoami(ctx)
	if err != nil {
		d.fault("credential", err)
		return nil
	}
	e := &examination{diagnosis: d, client: client, who: who}
	e.credential()
	e.clock(i)
	ref, err := a.repository(ctx, i)
	if err != nil {
		f := fault.Of(err)
		d.add("repository", advice, f.Hint, "permissions were not checked: %s", f.Message)
		return nil
	}
	e.repo, _, err = client.Repository(ctx, ref, nil)
	if err != nil {
		d.fault("repository", err)
		return nil
	}
	if who, err := client.Whoami(ctx); err == nil {
		e.who = who // an App's permissions are known once its installation was used
	}
	e.repository()
	e.stores(ctx)
	e.environments(ctx)
	e.tooMuch()
	e.dispatching()
	return a.examineWorkflow(ctx, d, i, lookout{client, e.repo})
}

// listings asks every store of a repository for its list, side by side.
func (e *examination) listings(ctx context.Context, permissions []github.Permission) []error {
	errs := make([]error, len(permissions))
	var wg sync.WaitGroup
	for i, p := range permissions {
		wg.Go(func() { _, errs[i] = e.client.List(ctx, e.repo, scopeOf(p.Store), nil) })
	}
	wg.Wait()
	return errs
}

// soon is when an expiry is worth a word.
const soon = 14 * 24 * time.Hour
