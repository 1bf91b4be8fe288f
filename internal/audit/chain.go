package audit

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/gowebpki/jcs"
)

// A Head is the end of a chain: the number and hash of its last event. The zero Head is the
// beginning of every chain.
type Head struct {
	Seq  int64
	Hash string
	At   time.Time // of the last event; the next is never before it
}

// Genesis is the previous hash of a chain's first event.
var Genesis = strings.Repeat("0", 2*sha256.Size)

func (h Head) hash() string {
	if h.Seq == 0 {
		return Genesis
	}
	return h.Hash
}

// Append returns e as the next event after h, and the chain's new head. Times are cut to
// microseconds, which both databases keep.
func (h Head) Append(e Event) (Event, Head, error) {
	e.CreatedAt = e.CreatedAt.UTC().Truncate(time.Microsecond)
	if e.CreatedAt.Before(h.At) {
		e.CreatedAt = h.At
	}
	e.Seq, e.PrevHash = h.Seq+1, h.hash()
	if err := e.Check(); err != nil {
		return Event{}, Head{}, err
	}
	sum, err := e.digest()
	if err != nil {
		return Event{}, Head{}, err
	}
	e.Hash = sum
	return e, Head{Seq: e.Seq, Hash: sum, At: e.CreatedAt}, nil
}

// digest is SHA-256 over the event's canonical JSON without its own hash. It does not depend on
// what databases change: the zone a time comes back in, and whether no metadata is none or empty.
func (e Event) digest() (string, error) {
	e.Hash = ""
	e.CreatedAt = e.CreatedAt.UTC()
	if len(e.Metadata) == 0 {
		e.Metadata = nil
	}
	raw, err := json.Marshal(e)
	if err != nil {
		return "", fmt.Errorf("event %s: %w", e.ID, err)
	}
	canonical, err := jcs.Transform(raw)
	if err != nil {
		return "", fmt.Errorf("event %s: canonical JSON: %w", e.ID, err)
	}
	sum := sha256.Sum256(canonical)
	return hex.EncodeToString(sum[:]), nil
}

// A Broken says where a chain does not hold.
type Broken struct {
	Seq int64
	Why string
}

func (b *Broken) Error() string { return fmt.Sprintf("event %d: %s", b.Seq, b.Why) }

// AsBroken returns the *Broken in err, or nil.
func AsBroken(err error) *Broken {
	var b *Broken
	if errors.As(err, &b) {
		return b
	}
	return nil
}

// Verify walks the events that follow anchor, oldest first, and returns the head they lead to. The
// error is a *Broken at the first event that does not hold, or what reading the events answered.
func Verify(anchor Head, events iter.Seq2[Event, error]) (Head, error) {
	at := anchor
	for e, err := range events {
		if err != nil {
			return at, err
		}
		if e.Seq != at.Seq+1 {
			return at, &Broken{Seq: at.Seq + 1, Why: fmt.Sprintf("is missing: %d follows %d", e.Seq, at.Seq)}
		}
		if e.PrevHash != at.hash() {
			return at, &Broken{Seq: e.Seq, Why: "does not follow from the event before it"}
		}
		sum, err := e.digest()
		if err != nil {
			return at, err
		}
		if sum != e.Hash {
			return at, &Broken{Seq: e.Seq, Why: "was changed after it was written"}
		}
		if e.CreatedAt.Before(at.At) {
			return at, &Broken{Seq: e.Seq, Why: "is dated before the event before it"}
		}
		at = Head{Seq: e.Seq, Hash: e.Hash, At: e.CreatedAt}
	}
	return at, nil
}
