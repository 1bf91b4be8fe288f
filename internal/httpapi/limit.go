package httpapi

import (
	"math"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"golang.org/x/time/rate"
)

// A Rate is a budget: so many a minute, and so many at once after a quiet time.
type Rate struct {
	PerMinute int
	Burst     int
}

// The budgets of design.md §6.
var (
	defaultUserRate    = Rate{PerMinute: 60, Burst: 120}
	defaultProjectRate = Rate{PerMinute: 300, Burst: 600}
	// Jobs of many repositories share an address, of GitHub's or of a proxy.
	defaultAddressRate = Rate{PerMinute: 1200, Burst: 1200}
)

func (r Rate) or(standard Rate) Rate {
	if r.PerMinute <= 0 {
		return standard
	}
	r.Burst = max(r.Burst, r.PerMinute, costly)
	return r
}

// Budgets hold one bucket for each user, or for each project. A bucket that is full again is as
// good as none, so forgetting the full ones bounds the memory and gives nobody anything. They are
// this process's own: behind several replicas a caller has each replica's budget.
type budgets struct {
	rate    Rate
	code    fault.Code
	mu      sync.Mutex
	buckets map[uuid.UUID]*rate.Limiter
	sweepAt int
}

// budgetsKept is how many buckets are kept before the full ones are looked for.
const budgetsKept = 4096

func newBudgets(r Rate, code fault.Code) *budgets {
	return &budgets{rate: r, code: code, buckets: map[uuid.UUID]*rate.Limiter{}, sweepAt: budgetsKept}
}

func (b *budgets) bucket(id uuid.UUID, now time.Time) *rate.Limiter {
	b.mu.Lock()
	defer b.mu.Unlock()
	if l, ok := b.buckets[id]; ok {
		return l
	}
	if len(b.buckets) >= b.sweepAt {
		for known, l := range b.buckets {
			if l.TokensAt(now) >= float64(b.rate.Burst) {
				delete(b.buckets, known)
			}
		}
		b.sweepAt = max(budgetsKept, 2*len(b.buckets))
	}
	l := rate.NewLimiter(b.perSecond(), b.rate.Burst)
	b.buckets[id] = l
	return l
}

func (b *budgets) perSecond() rate.Limit { return rate.Limit(float64(b.rate.PerMinute) / 60) }

// charge takes cost from a bucket and says in the headers what is left, of the tighter budget if
// one was charged before.
func (b *budgets) charge(h http.Header, id uuid.UUID, cost int, now time.Time) error {
	bucket := b.bucket(id, now)
	allowed := bucket.AllowN(now, cost)
	left := max(0, bucket.TokensAt(now))
	b.tell(h, int(left))
	if allowed {
		return nil
	}
	seconds := max(1, int(math.Ceil((float64(cost)-left)/float64(b.perSecond()))))
	h.Set("Retry-After", strconv.Itoa(seconds))
	return fault.New(b.code, fault.Context{"retryAfter": seconds, "limit": b.rate.Burst, "perMinute": b.rate.PerMinute})
}

// tell sets the headers, unless they tell of a tighter budget already.
func (b *budgets) tell(h http.Header, left int) {
	if known, err := strconv.Atoi(h.Get("RateLimit-Remaining")); err == nil && known <= left {
		return
	}
	full := math.Ceil(float64(b.rate.Burst-left) / float64(b.perSecond()))
	h.Set("RateLimit-Limit", strconv.Itoa(b.rate.Burst))
	h.Set("RateLimit-Remaining", strconv.Itoa(left))
	h.Set("RateLimit-Reset", strconv.Itoa(int(full)))
}
