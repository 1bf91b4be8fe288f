package jobs

import (
	"math"
	"time"
)

// An appetite is what looking at some projects takes: requests a minute.
type appetite struct {
	actions float64 // their Actions lists, each at its own interval
	eager   float64 // their target lists, at the same interval
	lazy    float64 // their target lists, at the interval for drift
}

// add counts a project in that has so many target lists.
func (a *appetite) add(interval, drift time.Duration, targets int) {
	a.actions += perMinute(interval)
	a.eager += float64(targets) * perMinute(interval)
	a.lazy += float64(targets) * perMinute(max(interval, drift))
}

func perMinute(d time.Duration) float64 {
	return float64(time.Minute) / float64(max(d, time.Millisecond))
}

// A pace is how slow a credential's looks have to be. Both are factors on a project's interval, from 1 up;
// targets is infinite where the interval for drift decides.
type pace struct{ actions, targets float64 }

// paceFor fits an appetite into a budget of requests a minute. With room to spare the targets are
// looked at together with Actions: drift is then found as soon as a change at the source is. With less
// room their turn comes less often, down to the interval for drift. With less than that,
// everything stretches alike.
func paceFor(a appetite, budget float64) pace {
	switch {
	case a.actions+a.eager <= budget:
		return pace{1, 1}
	case a.actions+a.lazy <= budget:
		return pace{1, a.eager / (budget - a.actions)}
	}
	return pace{(a.actions + a.lazy) / budget, math.Inf(1)}
}

// actionsEvery is how often a project's Actions list is looked at.
func (p pace) actionsEvery(interval time.Duration) time.Duration {
	return stretched(interval, p.actions)
}

// targetsEvery is how often its target lists are.
func (p pace) targetsEvery(interval, drift time.Duration) time.Duration {
	longest := stretched(max(interval, drift), p.actions)
	return min(stretched(interval, p.targets), longest)
}

func stretched(d time.Duration, by float64) time.Duration {
	if long := float64(d) * max(1, by); long < math.MaxInt64 {
		return time.Duration(long)
	}
	return math.MaxInt64
}
