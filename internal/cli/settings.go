package cli

import (
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
	"github.com/spf13/pflag"
)

// settings are the flags that every command has.
type settings struct {
	repo        string
	apiURL      string
	database    string
	config      string
	json        bool
	noColor     bool
	logLevel    string
	logFormat   string
	concurrency int
	wait        bool
	hashKeyFile string
	lease       store.LeaseTimes
	leaseWait   time.Duration
	retry       github.Retry
	server      string
	sources     []syncing.Origin // of the settings file; of no use but to the service
}

func (s *settings) register(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&s.repo, "repo", "", "repository, as `OWNER/NAME` or URL (default: the git remote here)")
	f.BoolVar(&s.json, "json", false, "print the result as JSON")
	f.BoolVar(&s.wait, "wait", false, "sit out the reset of GitHub's quota instead of giving up")
	f.StringVar(&s.apiURL, "github-api-url", "", "`URL` of GitHub's API: https://HOST/api/v3 of an Enterprise Server (default https://api.github.com)")
	f.StringVar(&s.database, "database", "", "`FILE` to remember in, or postgres://… (default $XDG_STATE_HOME/octoseal/octoseal.db)")
	f.StringVar(&s.server, "server", "", "`URL` of an octoseal serve to ask instead, with the token in OCTOSEAL_TOKEN")
	f.IntVar(&s.concurrency, "concurrency", syncing.DefaultConcurrency, "`N` secrets in flight at once, at most 50")
	f.StringVar(&s.hashKeyFile, "hash-key-file", "", "`FILE` with a key for the stored hashes; OCTOSEAL_HASH_KEY may hold the key itself")
	f.StringVar(&s.config, "config", "", "settings `FILE` (default octoseal.yaml here, if there is one)")
	f.BoolVar(&s.noColor, "no-color", false, "plain text on a terminal too; so does NO_COLOR")
	f.StringVar(&s.logLevel, "log-level", "warn", "`LEVEL` of the log: debug, info, warn or error")
	f.StringVar(&s.logFormat, "log-format", "text", "`FORMAT` of the log: text or json")
	f.DurationVar(&s.lease.Heartbeat, "lease-heartbeat", 5*time.Second, "how often a run says that it is alive")
	f.DurationVar(&s.lease.Lapse, "lease-lapse", 30*time.Second, "how long after that it may still write")
	f.DurationVar(&s.lease.Grace, "lease-grace", 10*time.Second, "how much longer others wait")
	f.DurationVar(&s.leaseWait, "lease-wait", 5*time.Minute, "how long to wait for another run to end")
	f.DurationVar(&s.retry.Base, "retry-base", time.Second, "longest first wait before a request is repeated")
	f.DurationVar(&s.retry.Cap, "retry-cap", 32*time.Second, "longest wait of all")
	f.DurationVar(&s.retry.Timeout, "request-timeout", 15*time.Second, "longest time for one request")
	// Times that only tests and incidents have a reason to touch.
	for _, name := range []string{"lease-heartbeat", "lease-lapse", "lease-grace", "lease-wait", "retry-base", "retry-cap", "request-timeout"} {
		f.Lookup(name).Hidden = true
	}
}

// check refuses settings that no flag's own type refuses.
func (s *settings) check() error {
	if s.concurrency < 1 || s.concurrency > syncing.MaxConcurrency {
		return fault.Invalid("--concurrency is %d: it has to be from 1 to %d", s.concurrency, syncing.MaxConcurrency)
	}
	if s.logFormat != "text" && s.logFormat != "json" {
		return fault.Invalid("--log-format is %q: it has to be text or json", s.logFormat)
	}
	if _, err := s.level(); err != nil {
		return err
	}
	for name, d := range map[string]time.Duration{
		"--lease-heartbeat": s.lease.Heartbeat, "--lease-lapse": s.lease.Lapse, "--lease-grace": s.lease.Grace, "--lease-wait": s.leaseWait,
		"--retry-base": s.retry.Base, "--retry-cap": s.retry.Cap, "--request-timeout": s.retry.Timeout,
	} {
		if d <= 0 {
			return fault.Invalid("%s is %s: it has to be more than nothing", name, d)
		}
	}
	return nil
}

func (s *settings) level() (slog.Level, error) {
	var level slog.Level
	switch strings.ToLower(s.logLevel) {
	case "debug", "info", "warn", "error":
		return level, level.UnmarshalText([]byte(s.logLevel))
	}
	return level, fault.Invalid("--log-level is %q: it has to be debug, info, warn or error", s.logLevel)
}

// dsn returns the database to use; the default one is made in a folder that only its owner reads.
func (a *app) dsn() (dsn string, isDefault bool) {
	switch d := a.settings.database; {
	case d == "":
		state := a.Getenv("XDG_STATE_HOME")
		if !filepath.IsAbs(state) { // the XDG rules say that a relative one is to be ignored
			state = filepath.Join(a.home(), ".local", "state")
		}
		return filepath.Join(state, "octoseal", "octoseal.db"), true
	case strings.HasPrefix(d, "postgres://"), strings.HasPrefix(d, "postgresql://"), d == "sqlite::memory:":
		return d, false
	default:
		return strings.TrimPrefix(d, "sqlite:"), false
	}
}

func (a *app) home() string {
	if home := a.Getenv("HOME"); home != "" {
		return home
	}
	return a.Getenv("USERPROFILE")
}

// shortestHashKey is what keeps a key from being guessed like the values it protects.
const shortestHashKey = 16

const hashKeyVariable = "OCTOSEAL_HASH_KEY"

// hashKey returns the deployment's key for hashes; none is plain SHA-256. A line break at its end
// does not count: the file of an editor and $(cat FILE) are to be one key.
func (a *app) hashKey() ([]byte, error) {
	key, name := a.Getenv(hashKeyVariable), hashKeyVariable
	if file := a.settings.hashKeyFile; file != "" {
		text, err := os.ReadFile(file)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, fault.Invalid("there is no hash key file %s", file).Because(err)
		case err != nil:
			return nil, fault.Invalid("the hash key file %s is not readable", file).Because(err)
		}
		key, name = string(text), file
	} else if key == "" {
		return nil, nil
	}
	key = strings.TrimRight(key, "\r\n")
	if len(key) < shortestHashKey {
		return nil, fault.Invalid("the hash key in %s has %d bytes, at least %d are needed", name, len(key), shortestHashKey).
			Hinting("openssl rand -hex 32 makes a good one. Keep it: with another key every value is written once more.")
	}
	a.redact.Learn(secret.NewPlaintext([]byte(key)))
	return []byte(key), nil
}
