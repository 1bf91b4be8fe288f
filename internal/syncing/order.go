package syncing

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// An Order is what a synchronisation of a project is to do, in the form in which it waits in the
// queue. The zero Order is a full run.
type Order struct {
	Scopes       []secret.Scope `json:"scopes,omitempty"`  // exactly these; none: each mapping's own
	Names        []secret.Name  `json:"secrets,omitempty"` // these alone; none: all
	Force        bool           `json:"force,omitempty"`
	Adopt        plan.Adopt     `json:"adopt,omitempty"` // none: the project's
	AllowDeletes int            `json:"allowDeletes,omitempty"`
	SkipInvalid  bool           `json:"skipInvalid,omitempty"` // leave entries out that are no secrets, instead of refusing all
	// Since is when what set the run off happened, for measuring how long it took; often unknown.
	Since time.Time `json:"since,omitzero"`
}

// Hash tells orders apart, for requests that carry the key of an earlier one.
func (o Order) Hash() string {
	o.Since = time.Time{}
	raw, err := json.Marshal(o)
	if err != nil { // names, scopes, numbers and flags always marshal
		panic(err)
	}
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// OrderOf returns what a run was asked to do; one that was asked nothing is a full run.
func OrderOf(r store.Run) (o Order, err error) {
	if len(r.Args) == 0 {
		return Order{}, nil
	}
	if err := json.Unmarshal(r.Args, &o); err != nil {
		return Order{}, fault.New(fault.StoreUnavailable, fault.Context{"reason": "what run " + r.ID.String() + " was asked to do cannot be read"}).Because(err)
	}
	return o, nil
}

var fullOrder = Order{}.Hash()

func (o Order) options(adopt plan.Adopt) plan.Options {
	if o.Adopt != plan.AdoptNone {
		adopt = o.Adopt
	}
	return plan.Options{Scopes: o.Scopes, Names: o.Names, Force: o.Force, Adopt: adopt, AllowDeletes: o.AllowDeletes}
}
