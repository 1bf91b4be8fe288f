package syncing

import (
	"context"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/store"
)

// Events returns a page of a repository's audit trail, newest first, and the cursor of the next.
func (s *Service) Events(ctx context.Context, repo github.Ref, f store.Filter) (events []audit.Event, next string, err error) {
	p, err := s.projectOf(ctx, repo)
	if err != nil || p.RepositoryID == 0 {
		return []audit.Event{}, "", err
	}
	f.Project = p.ID
	events, next, err = s.store.Events(ctx, f)
	return orEmpty(events), next, err
}

// A Verified is what walking a chain found.
type Verified struct {
	Intact   bool   `json:"intact"`
	Events   int64  `json:"events"`
	Anchor   int64  `json:"anchor"` // number of the last event that retention removed
	HeadSeq  int64  `json:"headSeq"`
	HeadHash string `json:"headHash"`
	BrokenAt int64  `json:"brokenAt,omitempty"`
	Reason   string `json:"reason,omitempty"`
}

// VerifyTrail walks the chain of a repository from its anchor to its head. With a head that was
// kept elsewhere, that head must be on the chain too: a chain that was rewritten whole verifies
// against itself, and against nothing else.
func (s *Service) VerifyTrail(ctx context.Context, repo github.Ref, kept string) (Verified, error) {
	p, err := s.projectOf(ctx, repo)
	if err != nil {
		return Verified{}, err
	}
	if p.RepositoryID == 0 {
		return Verified{}, fault.New(fault.ResourceNotFound, fault.Context{"resource": "The audit trail of " + repo.String()})
	}
	for {
		v, err := s.walk(ctx, p.ID, kept)
		if err != nil || v.BrokenAt == 0 {
			return v, err
		}
		// Retention may have taken events while they were walked, and then their end is the anchor.
		anchor, _, _, err := s.store.Chain(ctx, p.ID)
		if err != nil || anchor.Seq == v.Anchor {
			return v, err
		}
	}
}

// walk follows a chain once.
func (s *Service) walk(ctx context.Context, project uuid.UUID, kept string) (Verified, error) {
	anchor, head, events, err := s.store.Chain(ctx, project)
	if err != nil {
		return Verified{}, err
	}
	onChain := kept == "" || kept == anchor.Hash
	v := Verified{Anchor: anchor.Seq, HeadSeq: head.Seq, HeadHash: head.Hash}
	reached, err := audit.Verify(anchor, func(yield func(audit.Event, error) bool) {
		for e, err := range events {
			onChain = onChain || e.Hash == kept
			if !yield(e, err) {
				return
			}
		}
	})
	v.Events = reached.Seq - anchor.Seq
	switch broken := audit.AsBroken(err); {
	case broken != nil:
		v.BrokenAt, v.Reason = broken.Seq, broken.Why
	case err != nil:
		return Verified{}, err
	case reached.Seq != head.Seq || reached.Hash != head.Hash && head.Seq > anchor.Seq:
		v.BrokenAt, v.Reason = reached.Seq+1, "the events end before the head that is stored"
	case !onChain:
		v.Reason = "the head given is not on this chain"
	default:
		v.Intact = true
	}
	return v, nil
}
