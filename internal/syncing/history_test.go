package syncing_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
	"pgregory.net/rapid"
)

// TestHistories is the law of the product against the service itself. Two sources change, people
// edit targets behind our back, runs of all kinds end, fail, are cancelled or killed; lists lag,
// answers are lost, keys rotate. An oracle that knows only who wrote what holds every run to this:
// it overwrites and deletes nothing of others unasked, calls nothing of ours somebody else's, and
// when it ends in step the next one has nothing to do, and pays nothing to find out.
func TestHistories(t *testing.T) {
	outer := t
	rapid.Check(t, func(t *rapid.T) {
		short := &brief{TB: outer}
		defer short.end()
		h := newHistory(short)
		for range rapid.IntRange(3, 9).Draw(t, "steps") {
			pick(t, "what", []func(*rapid.T){
				h.sourceChanges, h.sourceChanges, h.targetEdited, h.targetDeleted, h.excluded, h.scopesSet,
				h.runs, h.runs, h.interrupted, h.interrupted, h.killed,
			})(t)
		}
		h.plain(t, pick(t, "last source", h.identities()))
		h.close(t)
	})
}

func pick[T any](t *rapid.T, label string, from []T) T { return rapid.SampledFrom(from).Draw(t, label) }

const (
	somebody = "somebody"
	lag      = 30 * time.Millisecond
	settling = lag + 5*time.Millisecond
)

var someNames = []string{"A", "B", "C", "D"}

// A place is one secret in one scope.
type place struct {
	scope secret.Scope
	name  string
}

// A copy is what stands in a place, as the oracle sees it.
type copied struct {
	value string
	at    time.Time
	by    string // the source it was written from, or somebody
	kept  bool   // its run recorded it
	over  bool   // somebody wrote it over a copy that was recorded
}

type history struct {
	*world
	files  map[string]values
	copies map[place]copied
}

// A brief test ends within another: what it opened is closed then.
type brief struct {
	testing.TB
	open []func()
}

// Cleanup keeps what is to be closed.
func (b *brief) Cleanup(f func()) { b.open = append(b.open, f) }

func (b *brief) end() {
	for _, f := range slices.Backward(b.open) {
		f()
	}
}

func newHistory(t testing.TB) *history {
	return &history{
		world:  newWorld(t),
		files:  map[string]values{"file:/one.env": {"A": "a", "B": "b"}, "file:/two.env": {"C": "c"}},
		copies: map[place]copied{},
	}
}

func (h *history) identities() []string { return []string{"file:/one.env", "file:/two.env"} }

func (h *history) close(t *rapid.T) {
	ref, _ := github.ParseRef(repo)
	if v, err := h.svc.VerifyTrail(context.Background(), ref, ""); err != nil || !v.Intact {
		t.Errorf("audit chain: %+v %v", v, err)
	}
}

func (h *history) sourceChanges(t *rapid.T) {
	file, name := h.files[pick(t, "file", h.identities())], pick(t, "name", someNames)
	if value := pick(t, "value", []string{"one", "two", "three", ""}); value == "" {
		delete(file, name)
	} else {
		file[name] = value
	}
}

func somewhere(t *rapid.T) place {
	return place{pick(t, "scope", syncing.DefaultScopes(false)), pick(t, "name", someNames)}
}

// targetEdited lets somebody write, not in the very seconds of a run: that cannot be seen.
func (h *history) targetEdited(t *rapid.T) {
	at := somewhere(t)
	h.edit(at.scope, at.name, "theirs")
	was := h.copies[at]
	h.copies[at] = copied{value: "theirs", by: somebody, over: was.over || was.kept}
	h.observe("", false)
}

func (h *history) targetDeleted(t *rapid.T) {
	at := somewhere(t)
	h.sim.Advance(5 * time.Second)
	h.sim.DeleteSecret(repo, at.scope.String(), at.name)
	h.sim.Advance(5 * time.Second)
	delete(h.copies, at)
}

func (h *history) excluded(t *rapid.T) {
	pattern := "^" + pick(t, "name", someNames) + "$"
	ref, _ := github.ParseRef(repo)
	if err := h.svc.RemoveRule(context.Background(), ref, pattern); err == nil {
		return
	}
	if _, err := h.svc.AddRule(context.Background(), ref, pattern, "a test", store.Local); err != nil {
		t.Fatal(err)
	}
}

func (h *history) scopesSet(t *rapid.T) {
	ref, _ := github.ParseRef(repo)
	scopes := rapid.SliceOfNDistinct(rapid.SampledFrom(syncing.DefaultScopes(false)), 1, 3, rapid.ID).Draw(t, "scopes")
	name := pick(t, "name", someNames)
	dropped, err := h.svc.SetScopes(context.Background(), ref, secret.MustName(name), scopes)
	if err != nil && !fault.Is(err, fault.ResourceNotFound) {
		t.Fatal(err)
	}
	for _, scope := range dropped { // the copy stays, and is nobody's from then on
		if c, stands := h.copies[place{scope, name}]; stands {
			c.by, c.over = somebody, false
			h.copies[place{scope, name}] = c
		}
	}
}

// weather makes the service misbehave in ways that a run is to outlast.
func (h *history) weather(t *rapid.T) {
	var f githubsim.Faults
	switch pick(t, "weather", []string{"fine", "fine", "lag", "lost answers"}) {
	case "lag":
		f.ListLag = lag
	case "lost answers":
		f.Seed = rapid.Uint64().Draw(t, "seed")
		f.Failures = []githubsim.Failure{{Rate: 0.1, Kinds: []githubsim.Kind{githubsim.LostAnswer, githubsim.LostReset, githubsim.BadGateway}}}
	}
	h.sim.SetFaults(f)
	if rapid.Bool().Draw(t, "a key rotates") {
		scope := pick(t, "scope", syncing.DefaultScopes(false)).String()
		var once atomic.Bool
		h.sim.OnRequest(func(r githubsim.Request) {
			if r.Write() && strings.Contains(r.Path, "/"+scope+"/") && once.CompareAndSwap(false, true) {
				h.sim.RotateKey(repo, scope)
			}
		})
	}
}

func (h *history) clear() {
	h.sim.SetFaults(githubsim.Faults{})
	h.sim.OnRequest(nil)
	h.sim.OnAnswer(nil)
}

func anyOptions(t *rapid.T) func(*syncing.Request) {
	o := plan.Options{AllowDeletes: pick(t, "allowed deletes", []int{0, 100, 100})}
	switch pick(t, "option", []string{"plain", "plain", "plain", "force", "overwrite", "keep", "scopes", "name", "only"}) {
	case "force":
		o.Force = true
	case "overwrite":
		o.Adopt = plan.AdoptOverwrite
	case "keep":
		o.Adopt = plan.AdoptKeep
	case "scopes":
		o.Scopes = rapid.SliceOfNDistinct(rapid.SampledFrom(syncing.DefaultScopes(false)), 1, 2, rapid.ID).Draw(t, "scopes")
	case "name":
		o.Names = []secret.Name{secret.MustName(pick(t, "name", someNames))}
	case "only":
		o.Only = []string{"[AB]"}
	}
	return func(r *syncing.Request) { r.Options = o }
}

func (h *history) runs(t *rapid.T) {
	h.weather(t)
	h.judged(t, context.Background(), h.svc, h.attempt(t, pick(t, "file", h.identities()), anyOptions(t)))
}

func (h *history) plain(t *rapid.T, identity string) {
	h.judged(t, context.Background(), h.svc, h.attempt(t, identity, func(r *syncing.Request) { r.Options.AllowDeletes = 100 }))
}

// interrupted cancels a run at its n-th request, before or after it took effect.
func (h *history) interrupted(t *rapid.T) {
	h.weather(t)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n, at := atomic.Int64{}, int64(rapid.IntRange(1, 25).Draw(t, "at"))
	h.sim.OnAnswer(func(githubsim.Request) {
		if n.Add(1) == at {
			cancel()
		}
	})
	svc := h.svc
	if rapid.Bool().Draw(t, "one by one") {
		svc = h.service(h.token, func(c *syncing.Config) { c.Settings.Concurrency = 1 })
	}
	h.judged(t, ctx, svc, h.attempt(t, pick(t, "file", h.identities()), anyOptions(t)))
}

// killed lets a run write and remember nothing of it.
func (h *history) killed(t *rapid.T) {
	f := &fragile{Store: h.db}
	f.broken.Store(true)
	svc := h.service(h.token, func(c *syncing.Config) { c.Store = f })
	h.judged(t, context.Background(), svc, h.attempt(t, pick(t, "file", h.identities()), anyOptions(t)))
}

func (h *history) attempt(_ *rapid.T, identity string, options func(*syncing.Request)) syncing.Request {
	return h.request(h.files[identity], from(identity), options)
}

// judged runs, and holds the run to what it may do.
func (h *history) judged(t *rapid.T, ctx context.Context, svc *syncing.Service, req syncing.Request) {
	before := map[place]copied{}
	for p, c := range h.copies {
		before[p] = c
	}
	res, err := svc.Sync(ctx, req)
	h.clear()
	t.Logf("a run of %s with %+v: %v\n%v", req.Source.Identity, req.Options, err, res.Actions)
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errDiskFull) {
		t.Fatalf("sync: %v", err)
	}
	time.Sleep(settling) // what was cancelled in flight may still land, and lists show it late
	h.observe(req.Source.Identity, err == nil)
	t.Logf("GitHub has %v; remembered: %s", h.copies, h.memory())
	h.nothingOfOthers(t, req, before)
	h.noFalseAccusation(t, req, res, before)
	if err == nil && res.InStep() {
		h.counts(res)
		h.holdsWhatItSays(t, req, res)
		h.nothingLeft(t, req)
	}
}

// observe takes over what GitHub has; what changed was written from the source.
func (h *history) observe(by string, recorded bool) {
	now := map[place]copied{}
	for _, scope := range syncing.DefaultScopes(false) {
		for _, s := range h.sim.Secrets(repo, scope.String()) {
			p := place{scope, s.Name}
			was, stood := h.copies[p]
			if stood && was.value == s.Value && (was.at.Equal(s.UpdatedAt) || by == "") {
				was.at = s.UpdatedAt
				now[p] = was
				continue
			}
			now[p] = copied{value: s.Value, at: s.UpdatedAt, by: by, kept: recorded}
		}
	}
	h.copies = now
}

func (h *history) nothingOfOthers(t *rapid.T, req syncing.Request, before map[place]copied) {
	o := req.Options
	for p, was := range before {
		is, there := h.copies[p]
		switch {
		case there && is == was, o.Force:
		case !there && was.by != req.Source.Identity:
			t.Fatalf("%v of %s was deleted by a run of %s", p, was.by, req.Source.Identity)
		case there && was.by == somebody && (o.Adopt != plan.AdoptOverwrite || was.over):
			t.Fatalf("%v was written by somebody (over ours: %v), and overwritten by a run of %s", p, was.over, req.Source.Identity)
		}
	}
	for p, is := range h.copies {
		if was, stood := before[p]; (!stood || was != is) && h.files[req.Source.Identity][p.name] != is.value {
			t.Fatalf("%v was given %q, which is not what %s has", p, is.value, req.Source.Identity)
		}
	}
}

// noFalseAccusation: whatever a run calls a conflict was changed by somebody, or is a deletion that
// needs a licence.
func (h *history) noFalseAccusation(t *rapid.T, req syncing.Request, res syncing.Result, before map[place]copied) {
	for _, e := range res.Errors {
		scope, _ := secret.ParseScope(e.Scope)
		was := before[place{scope, e.SecretName}]
		if e.Code == fault.ConflictDetected && res.Withheld == 0 && was.by != somebody {
			t.Fatalf("%s of %s in %s: %s, but it is %+v", e.SecretName, req.Source.Identity, e.Scope, e.Error, was)
		}
	}
}

func (h *history) holdsWhatItSays(t *rapid.T, req syncing.Request, res syncing.Result) {
	for _, a := range res.Actions {
		want, inSource := h.files[req.Source.Identity][a.SecretName.String()]
		if got := h.copies[place{a.Scope, a.SecretName.String()}]; inSource && (a.Verb.Writes() || a.Reason == plan.InStep) && got.value != want {
			t.Fatalf("%s in %s is %s %s and holds %q, not %q", a.SecretName, a.Scope, a.Verb, a.Reason, got.value, want)
		}
	}
}

func (h *history) nothingLeft(t *rapid.T, req syncing.Request) {
	req.Options.Force, req.Options.Adopt, req.Options.AllowDeletes = false, plan.AdoptNone, 0
	again, err := h.svc.Plan(context.Background(), req)
	if err != nil || !again.Empty {
		var left []string
		for _, a := range again.Actions {
			if a.Verb != plan.Skip && a.Verb != plan.Leave {
				left = append(left, fmt.Sprint(a))
			}
		}
		t.Fatalf("the next plan: %v, %s", err, slices.Sorted(slices.Values(left)))
	}
	h.sim.ResetRequests()
	res, err := h.service(h.token).Sync(context.Background(), req)
	if c := h.sim.Counts(); err != nil || !res.InStep() || c.Writes != 0 || c.Billed != 0 {
		t.Fatalf("the next sync: %v, %d writes, %d billed, %+v", err, c.Writes, c.Billed, res.Errors)
	}
}

// memory spells what is remembered, for whoever has to understand a failure.
func (h *history) memory() string {
	host, _ := url.Parse(h.url)
	p, found, err := h.db.FindProject(context.Background(), host.Host, "acme", "widgets")
	if err != nil || !found {
		return "nothing"
	}
	known, err := h.db.Memory(context.Background(), p.ID)
	if err != nil {
		return err.Error()
	}
	var lines []string
	for name, m := range known {
		for scope, st := range m.States {
			lines = append(lines, fmt.Sprintf("%s in %s from %s, target %s, written %v, intent %s to %s", name, scope, st.Source,
				st.TargetUpdatedAt.Format(time.TimeOnly), st.Written(), st.Intent.At.Format(time.StampMilli), st.Intent.Alive.Format(time.StampMilli)))
		}
	}
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}
