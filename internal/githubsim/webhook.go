package githubsim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
)

// maxDeliveries is how many deliveries wait for a slow receiver; more are never sent, as GitHub
// promises none.
const maxDeliveries = 1000

// deliveryTime is how long a receiver has to answer. There is no second try.
const deliveryTime = 10 * time.Second

// A webhook sends events to one receiver, one after the other.
type webhook struct {
	url    string
	secret string
	hook   int64
	queue  chan delivery
	alive  context.Context
	end    context.CancelFunc
	ended  chan struct{}
}

type delivery struct {
	event      string
	repository int64
	body       []byte
}

// SetWebhook has workflow_run events sent to a URL, signed with the secret, until Close. An empty
// URL ends it.
func (g *GitHub) SetWebhook(url, secret string) {
	g.mu.Lock()
	before := g.actions.hook
	g.actions.hook = nil
	if url != "" {
		w := &webhook{url: url, secret: secret, hook: g.world.nextID(), queue: make(chan delivery, maxDeliveries), ended: make(chan struct{})}
		w.alive, w.end = context.WithCancel(context.Background())
		g.actions.hook = w
		go w.work()
	}
	g.mu.Unlock()
	if before != nil {
		before.close()
	}
}

func (w *webhook) close() {
	w.end()
	<-w.ended
}

func (w *webhook) work() {
	defer close(w.ended)
	client := &http.Client{
		Timeout:       deliveryTime,
		Transport:     &http.Transport{DisableKeepAlives: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	for {
		select {
		case <-w.alive.Done():
			return
		case d := <-w.queue:
			w.deliver(client, d)
		}
	}
}

// deliver sends one event. What becomes of it is nobody's business: GitHub does not try again.
func (w *webhook) deliver(client *http.Client, d delivery) {
	req, err := http.NewRequestWithContext(w.alive, http.MethodPost, w.url, bytes.NewReader(d.body))
	if err != nil {
		return
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "GitHub-Hookshot/" + hex.EncodeToString([]byte{0x5e, 0xa1, 0x0c}),
		"X-GitHub-Event": d.event, "X-GitHub-Delivery": uuid.NewString(), "X-GitHub-Hook-ID": fmt.Sprint(w.hook),
		"X-GitHub-Hook-Installation-Target-Type": "repository", "X-GitHub-Hook-Installation-Target-ID": fmt.Sprint(d.repository),
		"X-Hub-Signature-256": "sha256=" + w.sign(sha256.New, d.body), "X-Hub-Signature": "sha1=" + w.sign(sha1.New, d.body),
	} {
		req.Header.Set(name, value)
	}
	if resp, err := client.Do(req); err == nil {
		_ = resp.Body.Close()
	}
}

func (w *webhook) sign(by func() hash.Hash, body []byte) string {
	mac := hmac.New(by, []byte(w.secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

// tell queues a workflow_run event.
func (g *GitHub) tell(r *run, action string) {
	w := g.actions.hook
	if w == nil {
		return
	}
	body, err := json.Marshal(g.workflowRunEvent(r, action))
	if err != nil {
		panic("githubsim: " + err.Error()) // made here, of things JSON knows
	}
	select {
	case w.queue <- delivery{event: "workflow_run", repository: r.repo.ID, body: body}:
	default:
	}
}

func (g *GitHub) workflowRunEvent(r *run, action string) map[string]any {
	c := &call{GitHub: g, base: "https://api.github.com", version: oldVersion, who: &credential{}}
	if g.actions.crew != nil {
		c.base = g.actions.crew.runner.URL
	}
	repository := c.repositoryJSON(r.repo)
	actor := map[string]any{"login": r.Actor, "type": "Bot"}
	if a := g.world.accounts[strings.ToLower(r.Actor)]; a != nil {
		actor = c.accountJSON(a)
	}
	var conclusion any
	if r.Conclusion != "" {
		conclusion = r.Conclusion
	}
	event := map[string]any{
		"action": action,
		"workflow_run": map[string]any{
			"id": r.ID, "name": r.Name, "path": r.Workflow, "event": r.Event, "status": r.Status, "conclusion": conclusion,
			"head_branch": shortRef(r.Ref), "head_sha": r.SHA, "run_number": r.Number, "run_attempt": r.Attempt, "workflow_id": r.file.id,
			"actor": actor, "triggering_actor": actor, "repository": repository, "head_repository": repository,
			"url":        fmt.Sprintf("%s/repos/%s/actions/runs/%d", c.base, r.Repository, r.ID),
			"html_url":   fmt.Sprintf("%s/%s/actions/runs/%d", c.site(), r.Repository, r.ID),
			"created_at": stamp(r.Queued), "run_started_at": stamp(r.Queued), "updated_at": stamp(c.clock.now()),
		},
		"workflow":   map[string]any{"id": r.file.id, "name": r.Name, "path": r.Workflow, "state": "active"},
		"repository": repository, "sender": actor,
	}
	for _, i := range g.world.installations {
		if i.covers(r.repo) {
			event["installation"] = map[string]any{"id": i.id, "node_id": fmt.Sprintf("I_%d", i.id)}
		}
	}
	return event
}
