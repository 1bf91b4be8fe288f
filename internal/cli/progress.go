package cli

import (
	"io"
	"sync"
	"time"

	"github.com/octoseal/octoseal/internal/syncing"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

// A progress shows how far a run is: a bar on a terminal, elsewhere a line now and then. It hears
// from several goroutines at once.
type progress struct {
	screen *screen
	left   func(writes int) time.Duration // an estimate
	mu     sync.Mutex
	done   int
	total  int
	tenth  int
	told   time.Time   // when the last line was printed
	still  *time.Timer // runs out when nothing happens
}

const (
	// quiet is how long plain lines are apart at least: a log is no film.
	quiet = 2 * time.Second
	// patience is how long nothing may happen without a word.
	patience = 4 * time.Second
	// typicalLatency is what a request takes when nothing holds it.
	typicalLatency = 200 * time.Millisecond
)

// progress returns what tells how far a run of s is. It has to be ended.
func (s *session) progress() *progress {
	estimate := func(writes int) time.Duration {
		return s.client.Governor().Estimate(0, writes, s.app.settings.concurrency, typicalLatency)
	}
	return &progress{screen: s.app.screen, left: estimate}
}

// end lets the screen rest.
func (p *progress) end() {
	p.mu.Lock()
	if p.still != nil {
		p.still.Stop()
		p.still = nil
	}
	p.mu.Unlock()
	p.screen.settle()
}

// stand says why nothing moves. GitHub's limits count over a minute, and a run that used them up has
// to hold back; otherwise it is GitHub that is slow.
func (p *progress) stand() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.done >= p.total || p.still == nil {
		return
	}
	why := "GitHub takes its time"
	if left := p.left(p.total - p.done); left > patience {
		why = "holding back for GitHub's limits, about " + span(left) + " to go"
	}
	p.screen.talk("%d of %d done; %s", p.done, p.total, why)
	p.still.Reset(5 * patience)
}

func (p *progress) hear(e syncing.Event) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch e.Stage {
	case syncing.Waiting:
		p.screen.talk("waiting: %s", e.Detail)
	case syncing.Writing, syncing.Deleting:
		p.count(e)
	case syncing.Confirming:
		if !p.told.IsZero() && time.Since(p.told) >= quiet {
			p.screen.talk("looking whether all of it arrived")
		}
	}
}

// count moves the bar, or tells each tenth that took its time. Events overtake each other.
func (p *progress) count(e syncing.Event) {
	first := p.total == 0
	p.done, p.total = max(p.done, e.Done), e.Total
	if first {
		p.still = time.AfterFunc(patience, p.stand)
	} else if p.still != nil {
		p.still.Reset(patience)
	}
	if p.screen.moves() {
		p.screen.advance(p.done, e.Total)
		return
	}
	tenth, now := 10*p.done/max(1, e.Total), time.Now()
	switch {
	case first:
		p.screen.talk("writing %s", copies(e.Total))
	case tenth > p.tenth && tenth < 10 && now.Sub(p.told) >= quiet:
		p.screen.talk("%d of %d done", p.done, e.Total)
	default:
		return
	}
	p.told, p.tenth = now, tenth
}

// copies counts secret × scope.
func copies(n int) string {
	if n == 1 {
		return "1 copy"
	}
	return counted(n, "copie")
}

// moves says whether the screen can show a bar.
func (s *screen) moves() bool { return s.err.terminal && s.err.colour && !s.quiet }

// advance moves the bar, and makes it the first time.
func (s *screen) advance(done, total int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.bar == nil {
		s.bar = newProgressBar(s.err.writer, total)
	}
	s.bar.line.SetCurrent(int64(done))
}

// A progressBar is the moving part of a screen.
type progressBar struct {
	pool *mpb.Progress
	line *mpb.Bar
}

func newProgressBar(w io.Writer, total int) *progressBar {
	pool := mpb.New(mpb.WithOutput(w), mpb.WithWidth(60), mpb.WithAutoRefresh(), mpb.WithRefreshRate(100*time.Millisecond))
	return &progressBar{pool, pool.New(int64(total),
		mpb.BarStyle().Lbound(" ").Rbound(" ").Filler("━").Tip("━").Padding("─"),
		mpb.PrependDecorators(decor.Name("writing")),
		mpb.AppendDecorators(decor.CountersNoUnit("%d of %d")),
		mpb.BarRemoveOnComplete(),
	)}
}

// above prints a line that stays, over the bar.
func (b *progressBar) above(text string) { _, _ = io.WriteString(b.pool, text+"\n") }

func (b *progressBar) stop() {
	b.line.Abort(true)
	b.pool.Wait()
}
