package githubsim

import (
	"sync"
	"time"
)

// A clock is a base clock that can be shifted and stopped.
type clock struct {
	base func() time.Time

	mu     sync.Mutex
	offset time.Duration
	frozen *time.Time // nil while the clock runs
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen != nil {
		return *c.frozen
	}
	return c.base().Add(c.offset)
}

func (c *clock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.offset += d
	if c.frozen != nil {
		t := c.frozen.Add(d)
		c.frozen = &t
	}
}

func (c *clock) freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen == nil {
		t := c.base().Add(c.offset)
		c.frozen = &t
	}
}

func (c *clock) thaw() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen != nil {
		c.offset = c.frozen.Sub(c.base())
		c.frozen = nil
	}
}

// seconds is t as GitHub stores times: UTC, whole seconds, cut off rather than rounded.
func seconds(t time.Time) time.Time { return t.UTC().Truncate(time.Second) }

// stamp is t as GitHub writes times in JSON.
func stamp(t time.Time) string { return seconds(t).Format("2006-01-02T15:04:05Z") }
