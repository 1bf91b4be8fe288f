package relay

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
	"golang.org/x/time/rate"
)

// Why claims and messages are refused, for the log.
var (
	errNoProject   = errors.New("no project has the repository's number")
	errReplayed    = errors.New("the token was used before")
	errNoRun       = errors.New("the project has no such run")
	errRunOver     = errors.New("the run is over")
	errAnothersRun = errors.New("another workflow run was dispatched for it")
	errNoSession   = errors.New("nobody has this session token")
	errOldSession  = errors.New("the session is over")
	errWithdrawn   = errors.New("the project was archived, or has its values from elsewhere by now")
)

// causeOf is what led to a refusal, for the log.
func causeOf(err error) error {
	if inner := errors.Unwrap(fault.Of(err)); inner != nil {
		return inner
	}
	return err
}

// A refusal is one reason in one project.
type refusal struct {
	project uuid.UUID
	why     Denial
}

const (
	// toldEvery is how often one reason of a project makes an event.
	toldEvery = time.Minute
	// recording bounds the noting of a refusal, whose job may be gone already.
	recording = 5 * time.Second
)

// tell has the audit trail know of a refused claim: its token was genuine, and its repository is the
// project's. It is a synchronisation that was tried and came to nothing in every scope. The same
// reason is told once a minute, by each process.
func (s *Server) tell(ctx context.Context, p store.Project, job claims, refused error) {
	why := denialOf(refused)
	if why == "" || !s.isNews(refusal{p.ID, why}) {
		return
	}
	scopes := syncing.DefaultScopes(true)
	failed := map[secret.Scope]bool{}
	for _, scope := range scopes {
		failed[scope] = true
	}
	// An id of its own: the run that was asked for has its one event of this kind at its end.
	e := audit.Event{ID: uuid.New(), Operation: audit.SyncAll, CorrelationID: uuid.New(), Metadata: map[string]any{
		"trigger": store.Relayed, "reason": why, "repositoryId": job.repository, "workflowRun": job.workflowRun, "runAttempt": job.attempt,
		"event": plain(job.Event, 100), "actor": plain(job.Actor, 100), "ref": plain(job.Ref, 200), "workflow": plain(job.WorkflowRef, 300),
	}}.Outcome(scopes, failed, fault.Of(refused).Message)
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), recording)
	defer stop()
	if _, err := s.Store.Record(ctx, s.Now(), store.Outcome{Project: p.ID, Actor: store.Relay, Events: []audit.Event{e}}); err != nil {
		s.Log.WarnContext(ctx, "refused claim not recorded", "project", p.ID, "reason", why, "cause", err)
	}
}

// isNews says whether a refusal was not told of within the last minute, and takes note of it.
func (s *Server) isNews(r refusal) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.Now()
	if at, ok := s.told[r]; ok && now.Sub(at) < toldEvery {
		return false
	}
	for known, at := range s.told {
		if now.Sub(at) >= toldEvery {
			delete(s.told, known)
		}
	}
	s.told[r] = now
	return true
}

// plain is text of somebody else's as it may be shown: in one line, and not too long.
func plain(text string, longest int) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) { // line breaks, escapes, and what turns the direction of writing
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "�"))
	if runes := []rune(text); len(runes) > longest {
		text = string(runes[:longest]) + "…"
	}
	return strings.TrimSpace(text)
}

const (
	// claimsPerMinute is what one repository's jobs may claim; each claim asks GitHub for lists.
	claimsPerMinute = 30
	// paced is how many repositories are kept before those with their whole budget are looked for.
	paced = 4096
)

// A pace bounds the claims of each project.
type pace struct {
	mu      sync.Mutex
	buckets map[uuid.UUID]*rate.Limiter
	sweepAt int
}

func newPace() *pace { return &pace{buckets: map[uuid.UUID]*rate.Limiter{}, sweepAt: paced} }

func (p *pace) charge(project uuid.UUID, now time.Time) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.buckets[project]
	if !ok {
		if len(p.buckets) >= p.sweepAt {
			for id, known := range p.buckets {
				if known.TokensAt(now) >= claimsPerMinute {
					delete(p.buckets, id)
				}
			}
			p.sweepAt = max(paced, 2*len(p.buckets))
		}
		l = rate.NewLimiter(rate.Every(time.Minute/claimsPerMinute), claimsPerMinute)
		p.buckets[project] = l
	}
	if l.AllowN(now, 1) {
		return nil
	}
	wait := int((time.Minute / claimsPerMinute).Seconds())
	return fault.New(fault.RateLimitProject, fault.Context{"retryAfter": wait, "perMinute": claimsPerMinute})
}
