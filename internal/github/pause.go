package github

import "time"

// errSpent is how the governor answers those who will not wait for the quota's reset.
const errSpent sentinel = "the hourly quota is spent"

const (
	// unnamedPause is how long GitHub wants quiet when a refusal names no time.
	unnamedPause = time.Minute
	// maxUnnamedPause bounds the doubling when such refusals follow each other.
	maxUnnamedPause = 4 * time.Minute
	// pauseMargin is added to every time GitHub names: those are whole seconds of another clock.
	pauseMargin = time.Second
	// paceFloor is the share of the window that no refusal takes away.
	paceFloor = 0.1
	// paceStep is what each quiet minute gives back.
	paceStep = 0.1
)

// A Pause is a time in which a credential sends nothing. It can be stored, and restored in another
// process that uses the same credential.
type Pause struct {
	Until time.Time `json:"until"` // on our clock
	Why   string    `json:"why"`   // for people
	Pace  float64   `json:"pace"`  // share of the full window that is used afterwards
	Quota bool      `json:"quota"` // the hourly quota is spent; otherwise a secondary limit, or GitHub is away
}

// A demand is what one refusal asks for.
type demand struct {
	until time.Time // zero when GitHub named no time
	why   string
	slow  bool // the pace was the reason
	quota bool // the hourly quota was
}

// pauses is the part of a governor that knows about refusals.
type pauses struct {
	until      time.Time // nothing is sent before
	spentUntil time.Time // part of it for want of quota
	began      time.Time // when the latest pause began
	why        string
	told       time.Time // the end that listeners know
	pace       float64   // share of the window in use, from paceFloor to 1
	quietSince time.Time // what the next step of recovery is counted from
	unnamed    int       // pauses in a row whose refusal named no time
}

func (p *pauses) end() time.Time {
	if p.spentUntil.After(p.until) {
		return p.spentUntil
	}
	return p.until
}

func (p *pauses) current() Pause {
	end := p.end()
	return Pause{Until: end, Why: p.why, Pace: p.pace, Quota: end.Equal(p.spentUntil)}
}

// refused takes note of a refusal of a request that was let in at sent. One that was let in before
// the latest pause began belongs to it: it may lengthen it, and neither halves the pace
// again nor counts as another refusal. began says that this refusal started a pause, tell that
// others must hear of a new end.
func (p *pauses) refused(now, sent time.Time, d demand) (pause Pause, began, tell bool) {
	began = p.began.IsZero() || sent.After(p.began)
	if began {
		p.began = now
		if d.slow {
			p.pace = max(paceFloor, p.pace/2)
		}
		if d.until.IsZero() {
			p.unnamed++
		}
	}
	until := d.until
	if until.IsZero() {
		until = now.Add(min(maxUnnamedPause, unnamedPause<<max(0, p.unnamed-1)))
	} else if until.Before(now) {
		until = now // a reset that has just passed on our clock
	}
	until = until.Add(pauseMargin)
	if until.After(p.end()) {
		p.why = d.why
	}
	if d.quota && until.After(p.spentUntil) {
		p.spentUntil = until
	} else if !d.quota && until.After(p.until) {
		p.until = until
	}
	p.quietSince = p.end()
	// Refusals of one burst arrive milliseconds apart; their ends differ by as much and are not news.
	tell = began || p.end().Sub(p.told) >= time.Second
	if tell {
		p.told = p.end()
	}
	return p.current(), began, tell
}

// answered ends a row of refusals: a request sent after the latest pause was not refused.
func (p *pauses) answered(sent time.Time) {
	if sent.After(p.began) {
		p.unnamed = 0
	}
}

// recover gives back a step of pace for each quiet minute.
func (p *pauses) recover(now time.Time) {
	for p.pace < 1 && now.Sub(p.quietSince) >= time.Minute {
		p.pace = min(1, p.pace+paceStep)
		p.quietSince = p.quietSince.Add(time.Minute)
	}
}

// Paused returns the pause in force, if there is one.
func (g *Governor) Paused() (Pause, bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.pauses.current(), time.Now().Before(g.pauses.end())
}

// Restore puts a pause in force that another process was told of. It never shortens one.
func (g *Governor) Restore(p Pause) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if !p.Until.After(g.pauses.end()) || !p.Until.After(now) {
		return
	}
	g.pauses.began, g.pauses.why, g.pauses.told, g.pauses.quietSince = now, p.Why, p.Until, p.Until
	if p.Quota {
		g.pauses.spentUntil = p.Until
	} else {
		g.pauses.until = p.Until
	}
	if p.Pace > 0 {
		g.pauses.pace = min(g.pauses.pace, max(paceFloor, p.Pace))
	}
	g.sendAway(now)
	g.dispatch(now)
}

// OnPause has f told of every pause that a refusal begins or lengthens, so that it can be stored
// where other processes read it. Pauses from Restore are not told. f must not block.
func (g *Governor) OnPause(f func(Pause)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.listeners = append(g.listeners, f)
}
