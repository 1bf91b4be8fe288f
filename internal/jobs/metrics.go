package jobs

import (
	"time"

	"github.com/octoseal/octoseal/internal/store"
)

// Metrics hear what happens, from many goroutines at once; they must not block. Nil ones hear nothing.
// Requests to GitHub are told to github.Config.OnRequest.
type Metrics struct {
	// RunEnded hears of each run that ended here: succeeded, partial or failed.
	RunEnded func(trigger store.Trigger, outcome store.RunState, took time.Duration, writes int)
	// InStep hears how long it took from a change that was noticed until its run had ended well.
	InStep func(delay time.Duration)
	// Looked hears of each look at one list: unchanged, changed or failed.
	Looked func(credential, outcome string)
	// Polling hears, for each credential, of the projects of this replica's share and of the polling
	// interval in force, which is longer than the usual one when it had to be stretched.
	Polling func(credential string, projects int, inForce, usual time.Duration)
	// Quota hears what is left of a credential's hourly quota.
	Quota func(credential string, remaining, limit int)
	// Queue hears how much waits.
	Queue func(depth store.Depth)
	// Replicas hears how many processes share the work.
	Replicas func(live int)
	// Delivered hears of each webhook delivery that was worked on.
	Delivered func(what string, ok bool)
}

// orSilent fills in functions that do nothing.
func (m Metrics) orSilent() Metrics {
	if m.RunEnded == nil {
		m.RunEnded = func(store.Trigger, store.RunState, time.Duration, int) {}
	}
	if m.InStep == nil {
		m.InStep = func(time.Duration) {}
	}
	if m.Looked == nil {
		m.Looked = func(string, string) {}
	}
	if m.Polling == nil {
		m.Polling = func(string, int, time.Duration, time.Duration) {}
	}
	if m.Quota == nil {
		m.Quota = func(string, int, int) {}
	}
	if m.Queue == nil {
		m.Queue = func(store.Depth) {}
	}
	if m.Replicas == nil {
		m.Replicas = func(int) {}
	}
	if m.Delivered == nil {
		m.Delivered = func(string, bool) {}
	}
	return m
}
