package jobs

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/store"
)

// A poller looks after this replica's share of the projects. It has a goroutine for each credential
// and none for a project.
type poller struct {
	*Jobs
	live, index int // of the replicas; live is 0 until the first heartbeat
	watched     map[uuid.UUID]*watched
	accounts    map[string]*account // by credential
	looping     sync.WaitGroup
	first       bool // no roster was read yet

	mu     sync.Mutex
	stamps map[string]string // of sources whose file has been still for a look, by value_source
	moving map[string]string // as the last look found them
}

func newPoller(j *Jobs) *poller {
	return &poller{
		Jobs: j, first: true, watched: map[uuid.UUID]*watched{}, accounts: map[string]*account{},
		stamps: map[string]string{}, moving: map[string]string{},
	}
}

const (
	// beatEvery is how often the replicas are counted.
	beatEvery = 5 * time.Second
	// figuresEvery is how often metrics are told, and quotas that changed are stored.
	figuresEvery = 10 * time.Second
)

// run does everything that is not about one project, until ctx ends. What the database does not
// answer is asked again in time.
func (p *poller) run(ctx context.Context) {
	defer p.looping.Wait()
	p.beat(ctx)
	p.lookAtFiles()
	p.enrol(ctx)
	beat, roster := time.NewTicker(beatEvery), time.NewTicker(p.Roster)
	files, figures := time.NewTicker(p.Files), time.NewTicker(figuresEvery)
	for _, t := range []*time.Ticker{beat, roster, files, figures} {
		defer t.Stop()
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-beat.C:
			if p.beat(ctx) {
				p.enrol(ctx)
			}
		case <-roster.C:
			p.enrol(ctx)
		case <-files.C:
			p.wake(p.lookAtFiles())
		case <-figures.C:
			p.tell(ctx)
		}
	}
}

// beat counts the replicas, and says whether this one's share changed.
func (p *poller) beat(ctx context.Context) (changed bool) {
	live, index, err := p.Store.Beat(ctx, p.Now(), p.replica, p.Host)
	if err != nil {
		p.Log.WarnContext(ctx, "replicas not counted", "cause", err)
		return false
	}
	changed = live != p.live || index != p.index
	if changed {
		p.live, p.index = live, index
		p.Accounts.SetShare(live)
		p.Log.InfoContext(ctx, "share of the work", "replicas", live, "index", index)
	}
	p.Metrics.Replicas(live)
	return changed
}

// mine says whether a project is in this replica's share.
func (p *poller) mine(id uuid.UUID) bool {
	return p.live > 0 && int(binary.BigEndian.Uint32(id[12:])%uint32(p.live)) == p.index
}

// enrol reads which projects there are, and has each of this replica's share looked at. What two
// replicas both hold theirs for a moment is looked at twice, which starts nothing twice.
func (p *poller) enrol(ctx context.Context) {
	if p.Interval < 0 || p.live == 0 {
		return
	}
	here := make(map[uuid.UUID]bool, len(p.watched))
	for row, err := range p.Store.ActiveProjects(ctx) {
		if err != nil {
			if ctx.Err() == nil {
				p.Log.WarnContext(ctx, "projects not read", "cause", err)
			}
			return
		}
		if row.APIHost == p.APIHost && p.Service.Kept(asProject(row)) && p.mine(row.ID) {
			here[row.ID] = true
			p.watch(ctx, row)
		}
	}
	for id, w := range p.watched {
		if !here[id] {
			w.account.drop(w)
			delete(p.watched, id)
		}
	}
	for _, a := range p.accounts {
		a.fit()
	}
	p.first = false
}

// asProject is the part of a row that decides whether and when runs are due.
func asProject(r store.ActiveProject) store.Project {
	return store.Project{ID: r.ID, AutoSync: r.AutoSync, ValueSource: r.ValueSource, CreatedAt: r.CreatedAt}
}

// watch begins to look at a project, or goes on. One whose row has changed begins anew: it may be
// about another repository or source. A replica that starts spreads its projects over their
// interval; a project that comes later has its turn at once.
func (p *poller) watch(ctx context.Context, row store.ActiveProject) {
	lastRun := int64(0)
	if row.LastRunAt != nil {
		lastRun = row.LastRunAt.UnixNano()
	}
	if w, ok := p.watched[row.ID]; ok {
		w.lastRun.Store(lastRun)
		if w.identity == identityOf(row) {
			return
		}
		w.account.drop(w)
	}
	w := newWatched(row, p.Interval)
	w.lastRun.Store(lastRun)
	w.account = p.account(ctx, row.Owner)
	w.due = p.Now()
	if p.first {
		w.due = w.due.Add(time.Duration(float64(w.interval) * w.phase()))
	}
	p.watched[row.ID] = w
	w.account.push(w)
}

// account returns the account of a repository's owner, at work.
func (p *poller) account(ctx context.Context, owner string) *account {
	client := p.Accounts.Client(ctx, owner)
	key := client.Credential().Fingerprint()
	a, ok := p.accounts[key]
	if !ok {
		a = newAccount(p, owner, client)
		p.accounts[key] = a
		p.looping.Go(func() { a.loop(ctx) })
	}
	return a
}

// lookAtFiles takes note of the files behind the sources, and returns the value_sources whose file
// has changed. A file that changes between two looks may be half written: it counts when it was
// found the same twice.
func (p *poller) lookAtFiles() (changed map[string]bool) {
	now := p.Service.SourceStamps()
	p.mu.Lock()
	defer p.mu.Unlock()
	changed = map[string]bool{}
	for name, stamp := range now {
		if p.moving[name] == stamp && p.stamps[name] != stamp {
			p.stamps[name], changed[name] = stamp, true
		}
	}
	p.moving = now
	return changed
}

// stamp is the stamp of a source whose file is still; empty for any other.
func (p *poller) stamp(valueSource string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stamps[valueSource]
}

// wake has the projects of some sources looked at now.
func (p *poller) wake(sources map[string]bool) {
	if len(sources) == 0 {
		return
	}
	for _, w := range p.watched {
		if sources[w.valueSource] {
			w.account.hurry(w, p.Now())
		}
	}
}

// tell gives metrics their figures, and stores what is left of the quotas.
func (p *poller) tell(ctx context.Context) {
	if depth, err := p.Store.QueueDepth(ctx); err == nil {
		p.Metrics.Queue(depth)
	}
	for _, c := range p.Accounts.All() {
		if q := c.Quota(); q.Known {
			p.Metrics.Quota(c.Credential().Name(), q.Remaining, q.Limit)
		}
	}
	for _, a := range p.accounts {
		a.fit()
	}
	if err := p.Accounts.SaveQuotas(ctx); err != nil && ctx.Err() == nil {
		p.Log.WarnContext(ctx, "quotas not stored", "cause", err)
	}
}
