package environment_test

import (
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"pgregory.net/rapid"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

func hashOf(i int) secret.Hash {
	return secret.Hasher{}.Hash(secret.NewPlaintext([]byte{byte(i)}))
}

func drawMaybe[T any](t *rapid.T, g *rapid.Generator[T], label string) *T {
	if !rapid.Bool().Draw(t, label+" given") {
		return nil
	}
	v := g.Draw(t, label)
	return &v
}

func drawRules(t *rapid.T) environment.Rules {
	r := environment.Rules{
		RestrictToMainBranch: drawMaybe(t, rapid.Bool(), "restrict"),
		WaitTimer:            drawMaybe(t, rapid.IntRange(0, 3), "wait"),
	}
	if rapid.Bool().Draw(t, "reviewers given") {
		r.ReviewerIDs = rapid.SliceOfNDistinct(rapid.Int64Range(1, 4), 0, 3, rapid.ID).Draw(t, "reviewers")
		if r.ReviewerIDs == nil {
			r.ReviewerIDs = []int64{}
		}
		r.RequiredReviewers = new(int)
		*r.RequiredReviewers = min(1, len(r.ReviewerIDs))
	}
	return r
}

func drawGitHubRules(t *rapid.T) github.EnvironmentRules {
	r := github.EnvironmentRules{
		WaitTimer: rapid.IntRange(0, 3).Draw(t, "their wait"),
		Branches:  rapid.SampledFrom([]github.BranchRule{github.AnyBranch, github.ProtectedBranches, github.CustomBranches}).Draw(t, "branches"),
	}
	if rapid.Bool().Draw(t, "bypass told") {
		bypass := rapid.Bool().Draw(t, "bypass")
		r.AdminsBypass = &bypass
	}
	for _, id := range rapid.SliceOfNDistinct(rapid.Int64Range(1, 4), 0, 3, rapid.ID).Draw(t, "users") {
		r.Reviewers = append(r.Reviewers, github.Reviewer{Type: "User", ID: id})
	}
	for _, id := range rapid.SliceOfNDistinct(rapid.Int64Range(1, 4), 0, 2, rapid.ID).Draw(t, "teams") {
		r.Reviewers = append(r.Reviewers, github.Reviewer{Type: "Team", ID: id})
	}
	r.PreventSelfReview = len(r.Reviewers) > 0 && rapid.Bool().Draw(t, "self review")
	if r.Branches == github.CustomBranches {
		for _, name := range rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"main", "release/*", "v*"}), 0, 2, rapid.ID).Draw(t, "patterns") {
			r.Patterns = append(r.Patterns, github.BranchPattern{ID: 9, Name: name, Type: "branch"})
		}
	}
	return r
}

var names = []secret.Name{secret.MustName("A"), secret.MustName("B"), secret.MustName("C")}

func drawTime(t *rapid.T, label string) time.Time {
	return epoch.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, label)) * time.Second)
}

func drawInput(t *rapid.T) environment.Input {
	in := environment.Input{
		Observed: map[environment.Tier]environment.Observed{}, Memory: map[environment.Tier]environment.Memory{},
		DefaultBranch: "main", Force: rapid.Bool().Draw(t, "force"),
	}
	for _, tier := range environment.Tiers() {
		if !rapid.Bool().Draw(t, string(tier)) {
			continue
		}
		w := environment.Wanted{Tier: tier, Rules: drawRules(t), Secrets: map[secret.Name]secret.Hash{}}
		for _, n := range names {
			if rapid.Bool().Draw(t, "named") {
				w.Secrets[n] = hashOf(rapid.IntRange(1, 2).Draw(t, "value"))
			}
		}
		if rapid.Bool().Draw(t, "linked") {
			w.Linked.NeonBranchID = "br-" + string(tier)
		}
		in.Wanted = append(in.Wanted, w)
		drawThere(t, tier, &in)
	}
	return in
}

// drawThere draws what GitHub shows of a tier, and what is remembered.
func drawThere(t *rapid.T, tier environment.Tier, in *environment.Input) {
	there := rapid.Bool().Draw(t, "there")
	o := environment.Observed{ID: 7, Rules: drawGitHubRules(t), Secrets: plan.Observation{UpdatedAt: map[secret.Name]time.Time{}}}
	m := environment.Memory{Applied: rapid.Bool().Draw(t, "applied"), Rules: drawRules(t), Secrets: map[secret.Name]environment.Remembered{}, Intents: map[secret.Name]environment.Intent{}}
	for _, n := range names {
		if rapid.Bool().Draw(t, "listed") {
			o.Secrets.UpdatedAt[n] = drawTime(t, "listed at")
		}
		if m.Applied && rapid.Bool().Draw(t, "ours") {
			m.Secrets[n] = environment.Remembered{Hash: hashOf(rapid.IntRange(1, 2).Draw(t, "our value")), UpdatedAt: drawTime(t, "our time")}
		}
		if rapid.IntRange(0, 3).Draw(t, "intent") == 0 {
			at := drawTime(t, "intent at")
			m.Intents[n] = environment.Intent{At: at, Until: at.Add(5 * time.Second)}
		}
	}
	if there {
		in.Observed[tier] = o
	}
	if m.Applied || len(m.Intents) > 0 {
		in.Memory[tier] = m
	}
}

// carriedOut is the world after a plan was applied and everything went well.
func carriedOut(in environment.Input, p environment.Plan) environment.Input {
	next := in
	next.Observed, next.Memory = maps.Clone(in.Observed), maps.Clone(in.Memory)
	later := epoch.Add(time.Hour)
	for _, d := range p.Environments {
		if d.Blocked {
			continue
		}
		o, m := in.Observed[d.Tier], in.Memory[d.Tier]
		w := in.Wanted[slices.IndexFunc(in.Wanted, func(w environment.Wanted) bool { return w.Tier == d.Tier })]
		o.ID, o.Rules = 7, d.Rules
		listed, ours := maps.Clone(o.Secrets.UpdatedAt), maps.Clone(m.Secrets)
		if listed == nil || !d.Exists {
			listed = map[secret.Name]time.Time{}
		}
		if ours == nil {
			ours = map[secret.Name]environment.Remembered{}
		}
		intents := maps.Clone(m.Intents)
		for _, n := range d.Writes() {
			listed[n], ours[n] = later, environment.Remembered{Hash: w.Secrets[n], UpdatedAt: later}
			delete(intents, n)
		}
		o.Secrets = plan.Observation{UpdatedAt: listed}
		next.Observed[d.Tier] = o
		next.Memory[d.Tier] = environment.Memory{Applied: true, Rules: w.Rules, Secrets: ours, Intents: intents, Linked: w.Linked}
	}
	return next
}

// After a plan was applied the next plan has nothing to do, but for what is in conflict.
func TestApplyingConverges(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		first := environment.Make(in)
		for _, a := range environment.Make(carriedOut(in, first)).Actions() {
			if a.Verb.Writes() {
				t.Fatalf("left to do: %+v\nafter %+v", a, first.Actions())
			}
			if a.Verb.Failed() && in.Force {
				t.Fatalf("in conflict though forced: %+v", a)
			}
		}
	})
}

// The order of what is asked for, and of GitHub's lists, changes nothing.
func TestOrderDoesNotMatter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		turned := in
		turned.Wanted = slices.Clone(in.Wanted)
		slices.Reverse(turned.Wanted)
		turned.Observed = map[environment.Tier]environment.Observed{}
		for tier, o := range in.Observed {
			o.Rules.Patterns = slices.Clone(o.Rules.Patterns)
			slices.Reverse(o.Rules.Patterns)
			turned.Observed[tier] = o
		}
		a, b := environment.Make(in), environment.Make(turned)
		if !reflect.DeepEqual(a.Actions(), b.Actions()) || !reflect.DeepEqual(a.Notices, b.Notices) {
			t.Fatalf("%+v\nand %+v", a.Actions(), b.Actions())
		}
	})
}

// A key that is left out keeps GitHub's value, and so does everything a spec has no word for.
func TestOmittedKeysKeepGitHubsValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		p := environment.Make(in)
		for _, d := range p.Environments {
			o, there := in.Observed[d.Tier]
			if !there {
				continue
			}
			w := in.Wanted[slices.IndexFunc(in.Wanted, func(w environment.Wanted) bool { return w.Tier == d.Tier })]
			if w.Rules.WaitTimer == nil && d.Rules.WaitTimer != o.Rules.WaitTimer {
				t.Fatalf("wait timer: %+v", d.Rules)
			}
			if w.Rules.ReviewerIDs == nil && !reflect.DeepEqual(d.Rules.Reviewers, o.Rules.Reviewers) {
				t.Fatalf("reviewers: %+v", d.Rules)
			}
			if w.Rules.RestrictToMainBranch == nil && (d.Rules.Branches != o.Rules.Branches || !reflect.DeepEqual(d.Rules.Patterns, o.Rules.Patterns)) {
				t.Fatalf("branches: %+v", d.Rules)
			}
			if d.Rules.AdminsBypass != o.Rules.AdminsBypass {
				t.Fatalf("bypass: %+v", d.Rules)
			}
			if len(d.Rules.Reviewers) > 0 && d.Rules.PreventSelfReview != o.Rules.PreventSelfReview {
				t.Fatalf("self review: %+v", d.Rules)
			}
			for _, r := range o.Rules.Reviewers {
				if r.Type == "Team" && !slices.Contains(d.Rules.Reviewers, r) {
					t.Fatalf("team lost: %+v", d.Rules)
				}
			}
		}
	})
}

// What somebody else put there is never written over unasked, and what is in step is not written.
func TestNothingOfOthersIsWrittenOver(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		for _, a := range environment.Make(in).Actions() {
			name, isSecret := a.SecretName()
			if !isSecret || !a.Verb.Writes() {
				continue
			}
			m := in.Memory[a.Environment]
			listed, there := in.Observed[a.Environment].Secrets.UpdatedAt[name]
			known, ours := m.Secrets[name]
			i, open := m.Intents[name]
			covered := open && !listed.Before(i.At.Add(-2*time.Second)) && !listed.After(i.Until.Add(2*time.Second))
			if there && !in.Force && !covered && (!ours || !listed.Equal(known.UpdatedAt)) {
				t.Fatalf("%+v", a)
			}
			w := in.Wanted[slices.IndexFunc(in.Wanted, func(w environment.Wanted) bool { return w.Tier == a.Environment })]
			if there && ours && !covered && listed.Equal(known.UpdatedAt) && known.Hash.Same(w.Secrets[name]) {
				t.Fatalf("in step, and %+v", a)
			}
		}
	})
}

// An objection leaves the whole environment alone where its rules are to change, and only there.
func TestObjectionsBlockTheirEnvironmentAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := drawInput(t)
		before := environment.Make(in)
		if len(in.Wanted) == 0 {
			return
		}
		w := &in.Wanted[rapid.IntRange(0, len(in.Wanted)-1).Draw(t, "whose")]
		o := in.Observed[w.Tier]
		if _, there := in.Observed[w.Tier]; !there {
			return
		}
		o.Deploying = []int64{5}
		in.Observed[w.Tier] = o
		after := environment.Make(in)
		for i, d := range after.Environments {
			was := before.Environments[i]
			switch {
			case d.Tier != w.Tier || !was.Put:
				if !reflect.DeepEqual(d, was) {
					t.Fatalf("%s has nothing to do with it: %+v", d.Tier, d)
				}
			case !d.Blocked || d.Put || len(d.Writes()) > 0:
				t.Fatalf("%s is not left alone: %+v", d.Tier, d)
			}
		}
	})
}
