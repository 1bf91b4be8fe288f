package cli

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strconv"
	"strings"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/relay"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/spf13/cobra"
)

// carrying are the flags of relay.
type carrying struct {
	audience string
	syncID   string
	pins     pinList
	values   string
	part     string
}

func (a *app) relayCommand() *cobra.Command {
	var c carrying
	cmd := &cobra.Command{
		Use:   "relay",
		Short: "Seal Actions secrets for a server, within a job of a workflow",
		Long: "Relay runs in a job of the workflow that octoseal init writes. It asks the server which secrets\n" +
			"it needs, seals each value for the keys that the workflow pins, and hands the sealed boxes on:\n" +
			"GitHub alone can open them. A key that is not pinned ends the job.",
		Example: "  octoseal relay --server https://octoseal.example --pin codespaces=KEY_ID:HEX --values json-env:OCTOSEAL_SECRETS",
		Args:    exactly(),
		RunE:    a.run(func(ctx context.Context, _ []string) error { return a.relay(ctx, c) }),
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.Var(&c.pins, "pin", "`SCOPE=KEY_ID:HEX`, a key that may be sealed for, with the SHA-256 of its bytes; may be repeated, or one a line")
	f.StringVar(&c.values, "values", "json-env:OCTOSEAL_SECRETS", "`WHERE` the values are: json-env:VARIABLE, env:PREFIX_* or env:NAME,NAME…")
	f.StringVar(&c.syncID, "sync-id", "", "`ID` of the run that the job was dispatched for; without one a run of its own is opened")
	f.StringVar(&c.audience, "audience", "", "audience of the job's ID token (default: the server's URL)")
	f.StringVar(&c.part, "part", "", "`K/N`: this step has the values of part K of N, and the last one sends")
	return cmd
}

// relay carries the values on, and says how it went: to the log, to the page of the job, and with
// the exit code.
func (a *app) relay(ctx context.Context, c carrying) error {
	cfg, err := a.runner(c)
	var report relay.Report
	if err == nil {
		a.warnOfSize(c.values)
		report, err = relay.Run(ctx, cfg)
	}
	if a.isSetAside(report, err) {
		return nil
	}
	a.summarise(report, err)
	return a.told(report, err)
}

// runner puts together what the runner needs of the job.
func (a *app) runner(c carrying) (relay.RunnerConfig, error) {
	server, err := a.serverURL()
	if err != nil {
		return relay.RunnerConfig{}, err
	}
	values, err := a.valuesOf(c.values)
	if err != nil {
		return relay.RunnerConfig{}, err
	}
	part, err := a.partOf(c.part)
	if err != nil {
		return relay.RunnerConfig{}, err
	}
	if c.audience == "" {
		c.audience = a.serverText()
	}
	return relay.RunnerConfig{
		Server: server, Audience: c.audience, SyncID: c.syncID, Pins: c.pins.pins, Values: values, Part: part,
		IDTokenURL: a.Getenv("ACTIONS_ID_TOKEN_REQUEST_URL"),
		IDToken:    secret.NewPlaintext([]byte(a.Getenv("ACTIONS_ID_TOKEN_REQUEST_TOKEN"))),
		Version:    version(), Redact: a.redact,
	}, nil
}

// serverText is --server as the audience of ID tokens: the server compares it with its own public URL
// letter by letter, but for the slash at its end.
func (a *app) serverText() string { return strings.TrimRight(a.settings.server, "/") }

// serverURL reads --server as the address that a job calls.
func (a *app) serverURL() (*url.URL, error) {
	if a.settings.server == "" {
		return nil, fault.Invalid("--server is missing").Hinting("Give the public URL of octoseal serve: --server https://octoseal.example, or %s", variable("server"))
	}
	u, err := url.Parse(a.serverText())
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fault.Invalid("--server is no URL of a server").Hinting("Write it like https://octoseal.example")
	case u.Scheme != "https" && (u.Scheme != "http" || !isLoopbackHost(u.Hostname())):
		return nil, fault.Invalid("--server is not https, which would show tokens to everybody on the way").
			Hinting("Use https, or http to this machine only.")
	}
	return u, nil
}

// partOf reads K/N.
func (a *app) partOf(text string) (relay.Part, error) {
	if text == "" {
		return relay.Part{}, nil
	}
	k, n, ok := strings.Cut(text, "/")
	number, errK := strconv.Atoi(k)
	of, errN := strconv.Atoi(n)
	if !ok || errK != nil || errN != nil {
		return relay.Part{}, fault.Invalid("--part is %q: it has to be K/N, such as 1/3", text)
	}
	return relay.Part{Number: number, Of: of, Folder: a.Getenv("RUNNER_TEMP")}, nil
}

// isSetAside says so when the step's boxes wait for the last step: then there is no report yet.
func (a *app) isSetAside(r relay.Report, err error) bool {
	if err != nil || r.State != relay.SetAside {
		return false
	}
	a.screen.talk("sealed; the last part hands everything on")
	if a.settings.json {
		_ = a.screen.out.data(r)
	}
	return true
}

// told shows a report and makes the exit code of it.
func (a *app) told(r relay.Report, err error) error {
	if err == nil {
		if f := r.Fault(); f != nil {
			err = f
		}
	}
	if err != nil {
		if !errors.Is(err, errInterrupted) {
			a.annotate(relay.Failing, annotated(fault.Of(err)))
		}
		return err
	}
	for _, o := range r.Outcomes {
		if !o.OK {
			a.annotate(relay.Failing, fmt.Sprintf("%s in %s: %s", o.SecretName, o.Scope, o.Words()))
		}
	}
	if a.settings.json {
		if err := a.screen.out.data(r); err != nil {
			return err
		}
	} else {
		a.showReport(r)
	}
	if r.Attention() {
		return errAttention
	}
	return nil
}

func annotated(f *fault.Fault) string {
	if f.Hint == "" {
		return f.Message
	}
	return f.Message + " " + f.Hint
}

func (a *app) showReport(r relay.Report) {
	t := table{head: []string{"SECRET", "SCOPE", "OUTCOME"}}
	for _, o := range r.Outcomes {
		m := good
		if !o.OK {
			m = bad
		}
		t.rows = append(t.rows, []cell{{text: o.SecretName}, {text: o.Scope}, {o.Words(), m}})
	}
	if len(t.rows) > 0 {
		t.print(a.screen.out)
		a.screen.out.println()
	}
	a.screen.out.println(r.Line())
}

// annotate shows something above the log of the job. Elsewhere it is a line like others.
func (a *app) annotate(level relay.Level, text string) {
	text = a.redact.String(text)
	switch {
	case a.Getenv("GITHUB_ACTIONS") == "true" && !a.settings.json:
		a.screen.err.println(relay.Annotation(level, text))
	case level == relay.Warning:
		a.warn("%s", text)
	}
}

// summarise adds to the page of the job. That the page cannot be written is no reason to fail.
func (a *app) summarise(r relay.Report, why error) {
	name := a.Getenv("GITHUB_STEP_SUMMARY")
	if name == "" {
		return
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err == nil {
		_, err = f.WriteString(a.redact.String(relay.Summary(r, why)))
		if closing := f.Close(); err == nil {
			err = closing
		}
	}
	if err != nil {
		a.log.Warn("summary not written", "error", err)
	}
}

// A pinList is --pin: environments' names may hold commas, so a list is one pin a line.
type pinList struct{ pins relay.Pins }

func (l *pinList) Set(text string) error {
	more, err := relay.ParsePins(text)
	l.pins = append(l.pins, more...)
	return err
}

func (l *pinList) Type() string { return "pin" }

func (l *pinList) String() string { return strings.Join(l.GetSlice(), "\n") }

// Append, Replace and GetSlice are how a list in the settings file gets here.
func (l *pinList) Append(text string) error { return l.Set(text) }

func (l *pinList) Replace(texts []string) error {
	l.pins = nil
	return l.Set(strings.Join(texts, "\n"))
}

func (l *pinList) GetSlice() []string {
	texts := make([]string, len(l.pins))
	for i, p := range l.pins {
		texts[i] = p.String()
	}
	return texts
}
