package cli

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"net/http"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
)

// A serverInspection is what doctor finds out about a server, and the way there.
type serverInspection struct {
	*diagnosis
	*remote
}

// examineServer stops at what everything after it needs.
func (a *app) examineServer(ctx context.Context, d *diagnosis) error {
	r, err := a.remote()
	if err != nil {
		return err
	}
	defer r.client.CloseIdleConnections()
	i := serverInspection{d, r}
	if i.reachable(ctx) {
		i.ready(ctx)
		i.version(ctx)
		i.access(ctx)
	}
	return nil
}

func (i serverInspection) reachable(ctx context.Context) bool {
	began := time.Now()
	answered, err := i.send(ctx, http.MethodGet, "/healthz", nil)
	if err != nil {
		i.fault("server", err)
		return false
	}
	took := time.Since(began)
	if answered.status >= http.StatusInternalServerError {
		i.fault("server", i.stranger(answered.status, nil))
		return false
	}
	i.add("server", fine, "", "%s answers, in %s", i.base.Host, took.Round(time.Millisecond))
	i.transport(answered.way)
	i.clock(answered.header, began.Add(took/2))
	return true
}

// transport has nothing to say against plain http, which remote takes for this machine alone.
func (i serverInspection) transport(way *tls.ConnectionState) {
	if way == nil {
		i.add("tls", fine, "", "none, which is for this machine only")
		return
	}
	expiry := way.PeerCertificates[0].NotAfter
	if left := time.Until(expiry); left < soon {
		i.add("tls", advice, "Let its operator renew the certificate in time.", "%s, the certificate expires %s",
			tls.VersionName(way.Version), expiry.Local().Format(time.DateTime))
		return
	}
	i.add("tls", fine, "", "%s, the certificate is good until %s", tls.VersionName(way.Version), expiry.Local().Format(time.DateOnly))
}

func (i serverInspection) clock(header http.Header, at time.Time) {
	said, err := http.ParseTime(header.Get("Date"))
	if err != nil {
		i.add("clock", advice, "A proxy on the way may have taken it out.", "the server does not tell the time")
		return
	}
	if skew := at.Sub(said).Abs(); skew > tolerable {
		i.add("clock", advice, "Let both machines keep their time, with NTP for one.", "%s from %s's", skew.Round(time.Second), i.base.Host)
		return
	}
	i.add("clock", fine, "", "agrees with %s's", i.base.Host)
}

// ready asks the server whether it can do its work. A proxy may keep that question inside.
func (i serverInspection) ready(ctx context.Context) {
	switch status, err := i.ask(ctx, http.MethodGet, "/readyz", nil, nil); {
	case err == nil:
		i.add("ready", fine, "", "its database, schema and queue can be used")
	case fault.Is(err, fault.StoreUnavailable) && status == http.StatusServiceUnavailable:
		i.fault("ready", err)
	default:
		i.add("ready", advice, "A proxy before it may keep /readyz inside; then ask there.", "the server does not say whether it is")
	}
}

func (i serverInspection) version(ctx context.Context) {
	var document struct {
		Info struct {
			Version string `json:"version"`
		} `json:"info"`
	}
	answered, err := i.send(ctx, http.MethodGet, "/openapi.json", nil)
	switch {
	case err != nil:
		i.fault("version", err)
	case answered.status != http.StatusOK || json.Unmarshal(answered.body, &document) != nil || document.Info.Version == "":
		i.fault("version", i.stranger(answered.status, nil))
	case document.Info.Version != version():
		i.add("version", advice, "Use the same version on both sides; an older one may not know all of the other's fields.",
			"%s there, %s here", document.Info.Version, version())
	default:
		i.add("version", fine, "", "%s on both sides", version())
	}
}

// access finds out what the token allows.
func (i serverInspection) access(ctx context.Context) {
	if i.token.Len() == 0 {
		i.fault("token", i.noToken())
		return
	}
	if _, err := i.ask(ctx, http.MethodGet, "/projects"+asking("limit", "1"), nil, nil); err != nil {
		i.fault("token", err)
		return
	}
	i.add("token", fine, "", "accepted")
	id, err := i.project(ctx)
	if err != nil {
		f := fault.Of(err)
		s := attention
		if isBadInput(err) { // nobody said which repository is meant
			s = advice
		}
		i.add("role", s, f.Hint, "%s", f.Message)
		return
	}
	// Who may not list a project's tokens is told the role they have instead.
	_, err = i.ask(ctx, http.MethodGet, "/tokens"+asking("projectId", id.String()), nil, nil)
	switch role := roleTold(err); {
	case err == nil:
		i.add("role", fine, "", "admin")
	case role == "viewer":
		i.add("role", advice, "Ask an admin of the project for the role developer, should you want to.", "viewer, who reads and may not sync")
	case role != "":
		i.add("role", fine, "", "%s", role)
	default:
		i.fault("role", err)
	}
}

// roleTold is the role that a refusal says one has.
func roleTold(err error) string {
	if !fault.Is(err, fault.RoleDenied) {
		return ""
	}
	role, _ := fault.Of(err).Context["role"].(string)
	return role
}
