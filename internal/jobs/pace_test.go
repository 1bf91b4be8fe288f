package jobs

import (
	"testing"
	"time"

	"pgregory.net/rapid"
)

const drift = 5 * time.Minute

// projects is the appetite of n projects with the default interval and two target lists.
func appetiteOf(n int, interval time.Duration) appetite {
	var a appetite
	for range n {
		a.add(interval, drift, targetLists)
	}
	return a
}

func TestPace(t *testing.T) {
	for _, c := range []struct {
		projects         int
		actions, targets time.Duration
	}{
		{1, time.Minute, time.Minute},
		{150, time.Minute, time.Minute},
		{200, time.Minute, 96 * time.Second},
		{321, time.Minute, 298 * time.Second},
		{643, 2 * time.Minute, 10 * time.Minute},
		{10_000, 31*time.Minute + 6*time.Second, 155*time.Minute + 33*time.Second},
	} {
		p := paceFor(appetiteOf(c.projects, time.Minute), 450)
		actions, targets := p.actionsEvery(time.Minute), p.targetsEvery(time.Minute, drift)
		if (actions-c.actions).Abs() > time.Second || (targets-c.targets).Abs() > 2*time.Second {
			t.Errorf("%d projects: every %s and %s, want %s and %s", c.projects, actions, targets, c.actions, c.targets)
		}
	}
}

// The law: looking stays within its budget, no interval is ever shorter than asked for, and Actions
// waits only when the targets wait as long as they may.
func TestPaceKeepsWithinTheBudget(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 5000).Draw(t, "projects")
		interval := time.Duration(rapid.IntRange(10, 600).Draw(t, "seconds")) * time.Second
		budget := float64(rapid.IntRange(5, 450).Draw(t, "budget"))
		p := paceFor(appetiteOf(n, interval), budget)
		actions, targets := p.actionsEvery(interval), p.targetsEvery(interval, drift)
		if used := float64(n) * (perMinute(actions) + targetLists*perMinute(targets)); used > budget*1.0001 {
			t.Fatalf("%.1f requests a minute, of %.1f", used, budget)
		}
		if actions < interval || targets < actions {
			t.Fatalf("every %s and %s, asked for %s", actions, targets, interval)
		}
		if actions > interval+time.Millisecond && targets < max(interval, drift) {
			t.Fatalf("Actions waits %s while the targets wait only %s", actions, targets)
		}
	})
}
