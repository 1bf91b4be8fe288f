package syncing

import "github.com/octoseal/octoseal/internal/secret"

// A Stage is what a run is doing.
type Stage string

// The stages, in their order; Waiting may come before any of them.
const (
	Waiting    Stage = "waiting"
	Observing  Stage = "observing"
	Writing    Stage = "writing"
	Deleting   Stage = "deleting"
	Confirming Stage = "confirming"
	Recording  Stage = "recording"
)

// An Event tells how far a run is. Done and Total count writes and deletes, Selected counts secrets.
type Event struct {
	Stage    Stage
	Name     secret.Name
	Scope    secret.Scope
	Done     int
	Total    int
	Selected int
	Failed   bool
	Detail   string
}
