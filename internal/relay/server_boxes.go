package relay

import (
	"context"
	"slices"
	"strconv"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// Boxes takes in a batch, whole or not at all. A secret that was sent before is replaced.
func (s *Server) Boxes(ctx context.Context, bearer string, m Boxes) (Received, error) {
	row, n, err := s.find(ctx, bearer, m.SyncID, m.Version)
	switch {
	case err != nil:
		return Received{}, err
	case !s.isLive(row):
		return Received{}, deny(DeniedSession, errOldSession)
	case n == nil:
		return Received{}, fault.New(fault.RelayElsewhere, nil)
	}
	taken, err := n.parse(m)
	if err != nil {
		return Received{}, err
	}
	if err := s.take(n, taken); err != nil {
		return Received{}, err
	}
	s.Metrics.Boxed(len(taken))
	n.mu.Lock()
	defer n.mu.Unlock()
	return Received{Received: len(n.sizes), Wanted: len(n.names)}, nil
}

// A delivery is one secret of a batch that was found good: boxes and a hash, or why there are none.
type delivery struct {
	name     secret.Name
	boxes    map[secret.Scope]secret.Box
	hash     secret.Hash
	unusable *fault.Fault
}

// shares is how many projects may fill their part of the memory for boxes before others feel it.
const shares = 4

// perBox is about what a box takes in memory beside its ciphertext.
const perBox = 200

func (d delivery) size() int64 {
	size := int64(perBox)
	for _, box := range d.boxes {
		size += int64(len(box.Ciphertext())) + perBox
	}
	return size
}

// badBatch names the first secret of a batch that is not as it has to be. What was sent is not
// repeated, but for a name of the form that names have.
func badBatch(place, why string) *fault.Fault {
	return fault.New(fault.RelayBatchInvalid, fault.Context{"reason": place + " " + why, "secret": place}).
		Hinting("Nothing of the batch was kept. The job and the server have to run the same version of the protocol.")
}

// parse checks a whole batch against what the session asked for.
func (n *session) parse(m Boxes) ([]delivery, error) {
	if len(m.Secrets) == 0 || len(m.Secrets) > MaxBatchSecrets {
		return nil, badBatch("the batch", "has "+strconv.Itoa(len(m.Secrets))+" secrets, from 1 to "+strconv.Itoa(MaxBatchSecrets)+" are allowed")
	}
	seen := map[secret.Name]bool{}
	taken := make([]delivery, 0, len(m.Secrets))
	for i, sealed := range m.Secrets {
		name, err := secret.ParseName(sealed.Name)
		if err != nil {
			return nil, badBatch("secret "+strconv.Itoa(i+1), "has no name of a secret")
		}
		scopes, asked := n.names[name]
		switch {
		case !asked:
			return nil, badBatch(name.String(), "was not asked for")
		case seen[name]:
			return nil, badBatch(name.String(), "stands twice in the batch")
		}
		seen[name] = true
		d, err := n.delivered(name, scopes, sealed)
		if err != nil {
			return nil, err
		}
		taken = append(taken, d)
	}
	return taken, nil
}

// delivered checks one secret: it has a problem, or a hash and one box for each of its scopes.
func (n *session) delivered(name secret.Name, scopes []secret.Scope, sealed Sealed) (delivery, error) {
	d := delivery{name: name}
	if sealed.Problem != "" {
		if d.unusable = unusable(name, sealed); d.unusable == nil || sealed.Hash != "" || len(sealed.Boxes) > 0 {
			return d, badBatch(name.String(), "has an unknown problem, or boxes beside one")
		}
		return d, nil
	}
	var err error
	if d.hash, err = secret.ParseHash(sealed.Hash, n.hashKeyID); err != nil || !d.hash.Seen() {
		return d, badBatch(name.String(), "has no hash of 64 lower-case hex characters")
	}
	if len(sealed.Boxes) > len(scopes) {
		return d, badBatch(name.String(), "has more boxes than scopes")
	}
	d.boxes = make(map[secret.Scope]secret.Box, len(scopes))
	for _, b := range sealed.Boxes {
		box, err := n.box(name, scopes, b)
		if err != nil {
			return d, err
		}
		if _, twice := d.boxes[box.Scope()]; twice {
			return d, badBatch(name.String(), "has two boxes for "+box.Scope().String())
		}
		d.boxes[box.Scope()] = box
	}
	for _, scope := range scopes {
		if _, ok := d.boxes[scope]; !ok {
			return d, badBatch(name.String(), "has no box for "+scope.String())
		}
	}
	return d, nil
}

// box checks one box. That it opens only GitHub can say.
func (n *session) box(name secret.Name, scopes []secret.Scope, b Box) (secret.Box, error) {
	scope, err := secret.ParseScope(b.Scope)
	switch {
	case err != nil, !slices.Contains(scopes, scope):
		return secret.Box{}, badBatch(name.String(), "has a box for a scope that was not asked for")
	case n.keys[scope].ID() == "" || b.KeyID != n.keys[scope].ID():
		return secret.Box{}, badBatch(name.String(), "has a box for another key of "+scope.String()+" than was offered")
	}
	box, err := secret.ParseBox(scope, b.KeyID, b.Box)
	if err != nil {
		return secret.Box{}, badBatch(name.String(), "has a bad box: "+err.Error())
	}
	return box, nil
}

// unusable is what the run reports of a secret that the job had no value for; nil for a problem that
// nobody knows.
func unusable(name secret.Name, sealed Sealed) *fault.Fault {
	switch sealed.Problem {
	case ProblemEmpty:
		return fault.Invalid("the Actions secret %s is empty", name).
			Hinting("Give it a value, exclude it, or delete it: an empty one is not copied.")
	case ProblemAbsent:
		return fault.New(fault.SourceUnavailable, fault.Context{"reason": "the job has no Actions secret " + name.String() + ", although GitHub lists it", "secretName": name.String()}).
			Hinting("Run again: a job has the secrets that were there when it was queued. With init --names, write the workflow anew.")
	case ProblemTooLarge:
		size := max(sealed.Size, secret.MaxValueSize+1)
		return fault.New(fault.ValueTooLarge, fault.Context{"secretName": name.String(), "size": size, "limit": secret.MaxValueSize})
	}
	return nil
}

// missing is what the run reports of a secret that the job said nothing about.
func missing(name secret.Name) *fault.Fault {
	return fault.New(fault.SourceUnavailable, fault.Context{"reason": "the job sent nothing for the Actions secret " + name.String(), "secretName": name.String()}).
		Hinting("Run again, and look at the log of the workflow should it happen again.")
}

// take keeps what was delivered, within what may be held by a project's sessions and by all together.
func (s *Server) take(n *session, taken []delivery) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	switch {
	case s.sessions[n.id] != n:
		return deny(DeniedSession, errOldSession)
	case n.closed:
		return badBatch("the batch", "comes after the finish")
	}
	var more int64
	for _, d := range taken {
		more += d.size() - n.sizes[d.name]
	}
	if s.held+more > s.MaxHeld || s.heldBy[n.run.Project]+more > s.MaxHeld/shares {
		return fault.New(fault.StoreUnavailable, fault.Context{"reason": "too many boxes wait in memory"}).
			Saying("The relay holds all the boxes that it may at once.").Hinting("Send the batch again in a while.")
	}
	for _, d := range taken {
		delete(n.relayed.Boxes, d.name)
		delete(n.relayed.Hashes, d.name)
		delete(n.relayed.Unusable, d.name)
		if d.unusable != nil {
			n.relayed.Unusable[d.name] = d.unusable
		} else {
			n.relayed.Boxes[d.name], n.relayed.Hashes[d.name] = d.boxes, d.hash
		}
		n.sizes[d.name] = d.size()
	}
	s.hold(n, more)
	return nil
}
