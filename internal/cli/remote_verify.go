package cli

import (
	"context"
	"slices"

	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/syncing"
)

// verify fetches a project's events and recomputes its chain here, newest page first, so that a trail
// of any length takes the memory of one page.
func (r *remote) verify(ctx context.Context, kept string) error {
	id, err := r.project(ctx)
	if err != nil {
		return err
	}
	w := backwards{kept: kept, onChain: kept == ""}
	for cursor := ""; ; {
		p, err := r.history(ctx, asking("projectId", id.String(), "limit", "500", "cursor", cursor))
		if err != nil {
			return err
		}
		if !w.follow(p.Events) || p.Next == "" {
			break
		}
		cursor = p.Next
	}
	return r.app.tellVerified(w.verdict())
}

// backwards walks a chain from its head towards its beginning.
type backwards struct {
	kept    string
	onChain bool
	oldest  *audit.Event // of those that were walked
	found   syncing.Verified
}

// follow walks the events before those that were walked, newest first, and says whether they hold.
func (w *backwards) follow(events []audit.Event) bool {
	if len(events) == 0 {
		return true
	}
	slices.Reverse(events)
	first := events[0]
	before := audit.Head{Seq: first.Seq - 1, Hash: first.PrevHash} // the next page, or retention, vouches for it
	reached, err := audit.Verify(before, func(yield func(audit.Event, error) bool) {
		for _, e := range events {
			w.onChain = w.onChain || e.Hash == w.kept
			if !yield(e, nil) {
				return
			}
		}
	})
	if broken := audit.AsBroken(err); broken != nil {
		return w.breaks(broken.Seq, broken.Why)
	}
	switch later := w.oldest; {
	case err != nil:
		return w.breaks(reached.Seq+1, err.Error())
	case later == nil:
		w.found.HeadSeq, w.found.HeadHash = reached.Seq, reached.Hash
	case later.Seq != reached.Seq+1:
		return w.breaks(reached.Seq+1, "is missing")
	case later.PrevHash != reached.Hash:
		return w.breaks(later.Seq, "does not follow from the event before it")
	case later.CreatedAt.Before(reached.At):
		return w.breaks(later.Seq, "is dated before the event before it")
	}
	w.oldest = &first
	w.onChain = w.onChain || before.Seq > 0 && before.Hash == w.kept
	w.found.Anchor, w.found.Events = before.Seq, w.found.Events+int64(len(events))
	return true
}

func (w *backwards) breaks(at int64, why string) bool {
	w.found.BrokenAt, w.found.Reason = at, why
	return false
}

// verdict is what the walk found, once it is over.
func (w *backwards) verdict() syncing.Verified {
	v := w.found
	switch {
	case v.BrokenAt > 0:
	case !w.onChain:
		v.Reason = "the head given is not on this chain"
	default:
		v.Intact = true
	}
	return v
}
