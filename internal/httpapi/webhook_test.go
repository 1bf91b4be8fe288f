package httpapi

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/store"
	"time"
)

const hookSecret = "It's a Secret to Everybody"

func simSecret(name, value string) githubsim.Secret {
	return githubsim.Secret{Name: name, Value: value}
}

// deliver stands in for the queue's door: once for each delivery.
func (w *world) deliver(ctx context.Context, guid, event, contentType string, body []byte) error {
	news, ok, err := github.ReadNews(event, contentType, body)
	if err != nil || !ok {
		return err
	}
	fresh, err := w.db.RememberDelivery(ctx, time.Now(), guid, event)
	if err != nil || !fresh {
		return err
	}
	return w.db.Enqueue(ctx, time.Now(), store.Job{Kind: "hook " + string(news.What), Key: guid})
}

func (w *world) hook(event, body string, change ...func(*http.Request)) reply {
	mac := hmac.New(sha256.New, []byte(hookSecret))
	mac.Write([]byte(body))
	all := append([]func(*http.Request){func(r *http.Request) {
		r.Header.Set("X-GitHub-Event", event)
		r.Header.Set("X-GitHub-Delivery", uuid.NewString())
		r.Header.Set("Content-Type", "application/json")
		r.Header.Set("X-Hub-Signature-256", "sha256="+hex.EncodeToString(mac.Sum(nil)))
	}}, change...)
	return w.send("", "POST", hookPath, body, all...)
}

func (w *world) waiting() int {
	w.t.Helper()
	d, err := w.db.QueueDepth(context.Background())
	must(w.t, err)
	return d.Waiting
}

const push = `{"ref":"refs/heads/main","before":"0000000000000000000000000000000000000000","head_commit":{"message":"go [sync-secrets]"},` +
	`"commits":[],"repository":{"id":7,"default_branch":"main","created_at":1700000000}}`

func TestDeliveriesAreTakenOnce(t *testing.T) {
	w := newWorld(t)
	header := func(key, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(key, value) }
	}
	w.hook("ping", `{"zen":"x","hook_id":1}`).into(http.StatusOK, nil)
	w.hook("star", `{"action":"created"}`).into(http.StatusAccepted, nil)
	if n := w.waiting(); n != 0 {
		t.Errorf("%d jobs for nothing", n)
	}
	guid := header("X-GitHub-Delivery", uuid.NewString())
	w.hook("push", push, guid).into(http.StatusAccepted, nil)
	w.hook("push", push, guid).into(http.StatusAccepted, nil)
	if n := w.waiting(); n != 1 {
		t.Errorf("%d jobs for one delivery that came twice", n)
	}
	form := url.Values{"payload": {push}}.Encode()
	w.hook("push", form, header("Content-Type", "application/x-www-form-urlencoded")).into(http.StatusAccepted, nil)
	if n := w.waiting(); n != 2 {
		t.Errorf("%d jobs, the form made none", n)
	}
	deleted := strings.Replace(push, `{"message":"go [sync-secrets]"}`, "null", 1)
	w.hook("push", deleted).into(http.StatusAccepted, nil)
	if n := w.waiting(); n != 2 {
		t.Errorf("%d jobs, the deletion of a branch made one", n)
	}
	w.hook("push", `{`).refused(http.StatusBadRequest, "REQUEST_INVALID")
	w.hook("push", push, header("X-GitHub-Delivery", strings.Repeat("x", 101))).refused(http.StatusBadRequest, "REQUEST_INVALID")
}

func TestDeliveriesMustBeSigned(t *testing.T) {
	w := newWorld(t)
	for _, signature := range []string{"sha256=", "sha256=00", "sha1=0000", "sha256=" + strings.Repeat("0", 64), "garbage", "sha256=zz"} {
		w.hook("push", push, func(r *http.Request) { r.Header.Set("X-Hub-Signature-256", signature) }).refused(http.StatusUnauthorized, "AUTH_TOKEN_INVALID")
	}
	w.hook("push", push, func(r *http.Request) { r.Header.Del("X-Hub-Signature-256") }).refused(http.StatusUnauthorized, "AUTH_TOKEN_MISSING")
	if n := w.waiting(); n != 0 {
		t.Errorf("%d jobs for nobody's deliveries", n)
	}
	off := newWorld(t, func(c *Config) { c.HookSecrets = nil })
	off.hook("ping", `{}`).refused(http.StatusNotFound, "ROUTE_NOT_FOUND")
}
