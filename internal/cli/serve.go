package cli

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/syncing"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// serving are the flags of the service.
type serving struct {
	listen      string
	sources     []string
	hookSecrets string // a file
	oidcIssuer  string
	oidcAud     string
	oidcClaim   string
	publicURL   string
	jobIssuer   string
	complaint   time.Duration
	patience    time.Duration
	userRate    int
	projectRate int
	poll        every
	drift       every
	roster      time.Duration
	schedule    every
	waitLimit   time.Duration
	drain       time.Duration
	connections int
	traces      string
}

// An every is how often something happens, or off.
type every time.Duration

const off = "off"

// String spells the setting.
func (e *every) String() string {
	if *e == 0 {
		return off
	}
	return time.Duration(*e).String()
}

// Set reads it.
func (e *every) Set(text string) error {
	if text == off {
		*e = 0
		return nil
	}
	d, err := time.ParseDuration(text)
	if err == nil && d <= 0 {
		err = errors.New("it has to be more than nothing, or off")
	}
	*e = every(d)
	return err
}

// Type names the values for help.
func (*every) Type() string { return "duration" }

// orNever is the duration, as the rooms spell off.
func (e *every) orNever() time.Duration {
	if *e == 0 {
		return -1
	}
	return time.Duration(*e)
}

func (a *app) serveCommand() *cobra.Command {
	s := serving{poll: every(time.Minute), drift: every(5 * time.Minute), schedule: every(syncing.DefaultFullRun)}
	c := &cobra.Command{
		Use:   "serve",
		Short: "Keep projects in step without being asked, and answer over HTTP",
		Long: "Serve looks at every project's lists and sources, starts a run when one of them has changed,\n" +
			"and answers the API. Any number of processes may share one PostgreSQL database; one that\n" +
			"dies leaves its work to the others. SQLite is for one process.\n\n" +
			"With --public-url the jobs of repositories are heard there: a project whose values stand in\n" +
			"Actions has a job of its repository seal them, by the workflow that octoseal init writes.",
		Example: "  octoseal serve --source local=file:.env,acme/widgets\n" +
			"  octoseal serve --database postgres://octoseal@db/octoseal --listen 0.0.0.0:8787 \\\n" +
			"      --public-url https://octoseal.example --webhook-secret-file /run/secrets/hook",
		Args: exactly(),
	}
	s.register(c.Flags())
	c.RunE = a.runHere(func(ctx context.Context, _ []string) error {
		if !c.Flags().Changed("log-level") { // a service is watched through its log
			a.settings.logLevel = "info"
			if err := a.prepare(); err != nil {
				return err
			}
		}
		return a.serve(ctx, s)
	})
	return c
}

func (s *serving) register(f *pflag.FlagSet) {
	f.SortFlags = false
	f.StringVar(&s.listen, "listen", "127.0.0.1:8787", "`ADDRESS` to answer at")
	f.StringArrayVar(&s.sources, "source", nil, "`NAME=FROM,OWNER/REPO…`: values from FROM (as --from of sync) for these repositories, in projects with the value source source:NAME; may be repeated")
	f.StringVar(&s.publicURL, "public-url", "", "`URL` at which the jobs of repositories reach this service, as octoseal init --server spells it; none: the relay is off")
	f.StringVar(&s.jobIssuer, "actions-issuer", "", "`URL` of the issuer of their ID tokens (default: that of the GitHub spoken to)")
	f.Var(&s.poll, "poll-interval", "how often a project's Actions list is looked at, `DURATION` or off")
	f.Var(&s.schedule, "schedule", "how often every project has a full run, `DURATION` or off")
	f.StringVar(&s.hookSecrets, "webhook-secret-file", "", "`FILE` with the secret of GitHub's webhook, several on a line each; OCTOSEAL_WEBHOOK_SECRET may hold it itself")
	f.StringVar(&s.oidcIssuer, "oidc-issuer", "", "`URL` of an OpenID provider whose tokens are accepted beside our own")
	f.StringVar(&s.oidcAud, "oidc-audience", "", "`NAME` that those tokens must be for")
	f.StringVar(&s.oidcClaim, "oidc-claim", "preferred_username", "`CLAIM` that holds the user's login")
	f.IntVar(&s.userRate, "user-rate", 60, "`N` points a minute for each user, and twice that at once; a sync takes 5, a read 1")
	f.IntVar(&s.projectRate, "project-rate", 300, "`N` points a minute for each project, and twice that at once")
	f.DurationVar(&s.waitLimit, "wait-limit", 55*time.Second, "how long a request waits for its run before it is answered 202")
	f.DurationVar(&s.drain, "drain", 20*time.Second, "how long requests and runs under way may take when the process is to end")
	f.IntVar(&s.connections, "max-connections", 10, "`N` connections to PostgreSQL at most")
	f.StringVar(&s.traces, "otlp-endpoint", "", "`URL` that takes OpenTelemetry traces over HTTP (default OTEL_EXPORTER_OTLP_ENDPOINT; none: no traces)")
	f.Var(&s.drift, "drift-interval", "how often target lists are looked at, at the least")
	f.DurationVar(&s.roster, "roster-interval", 20*time.Second, "how often new projects are looked for")
	f.DurationVar(&s.complaint, "relay-complaint", 3*time.Minute, "how long until a run says that its job does not come")
	f.DurationVar(&s.patience, "relay-patience", 30*time.Minute, "how long a run waits for its job")
	// The pace finds better intervals where there is room; the relay's times are for tests.
	for _, name := range []string{"drift-interval", "roster-interval", "relay-complaint", "relay-patience"} {
		f.Lookup(name).Hidden = true
	}
}

// check refuses what no flag's own type refuses.
func (s *serving) check() error {
	for name, n := range map[string]int{"--user-rate": s.userRate, "--project-rate": s.projectRate, "--max-connections": s.connections} {
		if n < 1 {
			return fault.Invalid("%s is %d: it has to be 1 or more", name, n)
		}
	}
	for name, d := range map[string]time.Duration{
		"--wait-limit": s.waitLimit, "--drain": s.drain, "--roster-interval": s.roster,
		"--relay-complaint": s.complaint, "--relay-patience": s.patience,
	} {
		if d <= 0 {
			return fault.Invalid("%s is %s: it has to be more than nothing", name, d)
		}
	}
	if (s.oidcIssuer == "") != (s.oidcAud == "") {
		return fault.Invalid("--oidc-issuer and --oidc-audience go together: a token that is for anybody is not for us")
	}
	if s.publicURL == "" && s.jobIssuer != "" {
		return fault.Invalid("--actions-issuer is of no use without --public-url, where jobs are heard")
	}
	return nil
}

// serve answers and works until it is told to end, which is no error.
func (a *app) serve(ctx context.Context, s serving) error {
	if err := s.check(); err != nil {
		return err
	}
	sv, err := a.service(ctx, s)
	if err != nil {
		return err
	}
	defer sv.close()
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", s.listen)
	if err != nil {
		return fault.Invalid("--listen %s: %s", s.listen, reasonOf(err)).Because(err).
			Hinting("Choose another address: --listen 127.0.0.1:8788")
	}
	a.screen.talk("serving at http://%s, with %s for GitHub at %s and %s", listener.Addr(), sv.credential, sv.api.host(), sv.store)
	return sv.run(ctx, listener, s)
}

// reasonOf is what the operating system says, without the address again.
func reasonOf(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err.Error()
	}
	return err.Error()
}

// origins are the sources of the command line and of the settings file.
func (a *app) origins(texts []string) ([]syncing.Origin, error) {
	var out []syncing.Origin
	for _, text := range texts {
		o, err := syncing.ParseOrigin(text)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return append(out, a.settings.sources...), nil
}

const hookSecretVariable = "OCTOSEAL_WEBHOOK_SECRET"

// webhookSecrets are the secrets that deliveries may be signed with: several while one replaces
// another.
func (a *app) webhookSecrets(file string) ([]string, error) {
	text := a.Getenv(hookSecretVariable)
	if file != "" {
		raw, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fault.Invalid("there is no webhook secret file %s", file).Because(err)
		}
		if err != nil {
			return nil, fault.Invalid("the webhook secret file %s is not readable", file).Because(err)
		}
		text = string(raw)
	}
	var secrets []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			a.redact.Learn(secret.NewPlaintext([]byte(line)))
			secrets = append(secrets, line)
		}
	}
	if file != "" && len(secrets) == 0 {
		return nil, fault.Invalid("the webhook secret file %s is empty", file)
	}
	return secrets, nil
}
