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
	mu     sync.Mutex
	done   int
	tenth  int
	told   time.Time // when the last line was printed
}

// quiet is how long plain lines are apart at least: a log is no film.
const quiet = 2 * time.Second

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
	first := p.done == 0
	p.done = max(p.done, e.Done)
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
