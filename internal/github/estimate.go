package github

import (
	"slices"
	"time"
)

// Estimate says how long reads and writes will take from now with so many of them in flight and
// answers that take latency: by playing them through against the present window, pause and pace.
// It does not foresee refusals, nor what others will send.
func (g *Governor) Estimate(reads, writes, concurrency int, latency time.Duration) time.Duration {
	o := g.outlook(latency)
	if concurrency > 0 {
		o.lanes = min(o.lanes, concurrency)
	}
	start := o.open
	ends := make([]time.Time, max(0, reads)+max(0, writes))
	for i := range ends {
		points := readPoints
		if i >= reads {
			points = writePoints
		}
		if i >= o.lanes && ends[i-o.lanes].After(start) {
			start = ends[i-o.lanes]
		}
		for o.used+points > o.room && len(o.counted) > 0 {
			if o.counted[0].leaves.After(start) {
				start = o.counted[0].leaves
			}
			o.used -= o.counted[0].points
			o.counted = o.counted[1:]
		}
		ends[i] = start.Add(latency)
		o.used += points
		o.counted = append(o.counted, entry{ends[i].Add(windowLength), points})
	}
	if len(ends) == 0 {
		return 0
	}
	return ends[len(ends)-1].Sub(o.now)
}

// An outlook is what a governor knows about the next minutes.
type outlook struct {
	now, open time.Time // open: when the pause ends
	counted   []entry   // by time of leaving; those in flight as if each landed after latency
	used      int
	room      int
	lanes     int
}

func (g *Governor) outlook(latency time.Duration) outlook {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	g.landed.forget(now)
	g.pauses.recover(now)
	o := outlook{
		now:     now,
		open:    now,
		counted: slices.Clone(g.landed.entries),
		used:    g.landed.points + g.flying,
		room:    g.room(),
		lanes:   g.concurrent(),
	}
	if end := g.pauses.end(); end.After(now) {
		o.open = end
	}
	if g.flying > 0 {
		o.counted = append(o.counted, entry{now.Add(latency + windowLength), g.flying})
	}
	return o
}
