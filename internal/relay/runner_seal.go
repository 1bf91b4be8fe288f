package relay

import (
	"context"
	"encoding/json"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// seal makes the boxes and hashes of everything that is wanted, and zeroes each value behind it. In a
// step that has only some of the values, the others are left to the other steps.
func (r *runner) seal(a accepted) ([]Sealed, error) {
	if len(a.wanted) == 0 { // the run has deletions to make at the most
		return nil, nil
	}
	names := make([]secret.Name, len(a.wanted))
	for i, w := range a.wanted {
		names[i] = w.name
	}
	values, err := r.Values(names)
	defer func() {
		for _, v := range values {
			v.Zero()
		}
	}()
	if err != nil {
		return nil, err
	}
	var all []Sealed
	for _, w := range a.wanted {
		value, has := values[w.name]
		if !has && r.Part.Of > 1 {
			continue
		}
		r.Redact.Learn(value)
		s, err := a.sealed(w, value, has)
		value.Zero()
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// sealed is one secret as it is sent: with a hash and a box for each scope, or with a problem.
func (a accepted) sealed(w wanted, value secret.Plaintext, has bool) (Sealed, error) {
	s := Sealed{Name: w.name.String()}
	switch n := value.Len(); {
	case !has:
		s.Problem = ProblemAbsent
		return s, nil
	case n == 0:
		s.Problem = ProblemEmpty
		return s, nil
	case n > secret.MaxValueSize:
		s.Problem, s.Size = ProblemTooLarge, n
		return s, nil
	}
	s.Hash = a.hasher.Hash(value).String()
	for _, scope := range w.scopes {
		box, err := secret.Seal(value, a.keys[scope])
		if err != nil {
			return s, fault.New(fault.EncryptionFailed, fault.Context{"scope": scope.String(), "secretName": s.Name}).
				Saying("%s was not sealed.", s.Name).Because(err)
		}
		s.Boxes = append(s.Boxes, Box{Scope: scope.String(), KeyID: box.KeyID(), Box: box.Ciphertext()})
	}
	return s, nil
}

// send hands the sealed secrets on, batch by batch.
func (r *runner) send(ctx context.Context, c Claim, sealed []Sealed) error {
	for _, batch := range batches(c.SyncID.String(), sealed) {
		var got Received
		if err := r.post(ctx, exchange{path: BoxesPath, bearer: c.Session, body: batch, into: &got}); err != nil {
			return err
		}
		r.log.InfoContext(ctx, "boxes sent", "secrets", len(batch.Secrets), "received", got.Received, "wanted", got.Wanted)
	}
	return nil
}

// batches divides what is sent into messages within the bounds, by their size as they are encoded.
func batches(syncID string, sealed []Sealed) []Boxes {
	var all []Boxes
	size := MaxBatchBytes + 1 // of the last one; there is none yet
	empty := encodedSize(Boxes{Version: Version, SyncID: syncID, Secrets: []Sealed{}})
	for _, s := range sealed {
		n := encodedSize(s) + len(",")
		if size+n > MaxBatchBytes || len(all[len(all)-1].Secrets) == MaxBatchSecrets {
			all = append(all, Boxes{Version: Version, SyncID: syncID})
			size = empty
		}
		last := &all[len(all)-1]
		last.Secrets = append(last.Secrets, s)
		size += n
	}
	return all
}

func encodedSize(v any) int {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // these are structs of strings and numbers
	}
	return len(text)
}
