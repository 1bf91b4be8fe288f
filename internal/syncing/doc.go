// Package syncing is the service that keeps a repository's secrets in step: it observes, plans,
// writes, confirms and records, and it is where every door ends.
//
// A run holds its project's lease from before the first list to after the record. It stores an
// intent for each write before the first one, so that a process killed anywhere leaves nothing
// that the next run does not put right; it counts a write only when a list shows it; and it
// records states, mappings, lists and events in one transaction. See sync.go for the order.
//
// Values are not part of a plan. They come from a Source, which seals for a key it is handed: a
// local source seals what it read, the relay passes on boxes that a workflow job sealed.
package syncing
