// Package plan decides what a run would do, and does none of it.
//
// Make compares what a source has, what GitHub lists now, and what is remembered of earlier runs,
// and returns a Plan: one Action for every selected secret and each of its target scopes, with the
// Reason a person reads. It does no IO and reads no clock; equal inputs give equal plans. The rows
// of design.md §3 stand in rows.go, in their order.
//
// The premise: what we did not write is not ours. A target is only overwritten or deleted when the
// time GitHub lists is the one we saw after our own write, when an open intent covers it, or when
// the person asked for it by name of the danger (force, adopt).
//
// Check compares the same lists with memory alone, for validation and for the status matrix.
package plan
