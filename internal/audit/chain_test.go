package audit_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gowebpki/jcs"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/secret"
	"pgregory.net/rapid"
)

func drawEvent(t *rapid.T) audit.Event {
	e := named(audit.Event{
		ID: uuid.New(), ProjectID: uuid.New(), ActorID: uuid.New(), CorrelationID: uuid.New(), Operation: drawOperation(t),
		DurationMs: rapid.Int64Range(0, 1<<40).Draw(t, "duration"),
		CreatedAt:  time.Unix(rapid.Int64Range(0, 1<<33).Draw(t, "created"), rapid.Int64Range(0, 999_999_999).Draw(t, "ns")),
	})
	scopes := drawScopes(t)
	failed := map[secret.Scope]bool{scopes[0]: rapid.Bool().Draw(t, "failed")}
	if meta := rapid.IntRange(0, 3).Draw(t, "metadata"); meta > 0 {
		e.Metadata = map[string]any{"note": rapid.String().Draw(t, "note"), "writes": rapid.IntRange(-1<<53, 1<<53).Draw(t, "writes")}
		if meta > 1 {
			e.Metadata[rapid.String().Draw(t, "key")] = []any{true, nil, rapid.Float64Range(-1e30, 1e30).Draw(t, "number"), map[string]any{"<b>": "\u2028&"}}
		}
	}
	return e.Outcome(scopes, failed, rapid.String().Draw(t, "why"))
}

// drawChain appends some random events from the beginning.
func drawChain(t *rapid.T, least int) ([]audit.Event, audit.Head) {
	var head audit.Head
	var chain []audit.Event
	for range rapid.IntRange(least, 6).Draw(t, "events") {
		before := head
		e, next, err := head.Append(drawEvent(t))
		if err != nil {
			t.Fatal(err)
		}
		if e.Seq != before.Seq+1 || next.Seq != e.Seq || next.Hash != e.Hash || e.CreatedAt.Before(before.At) || !next.At.Equal(e.CreatedAt) {
			t.Fatalf("%+v follows %+v and leads to %+v", e, before, next)
		}
		chain, head = append(chain, e), next
	}
	return chain, head
}

func verify(anchor audit.Head, chain []audit.Event) (audit.Head, error) {
	return audit.Verify(anchor, each(chain, nil))
}

func each(chain []audit.Event, end error) iter.Seq2[audit.Event, error] {
	return func(yield func(audit.Event, error) bool) {
		for _, e := range chain {
			if !yield(e, nil) {
				return
			}
		}
		if end != nil {
			yield(audit.Event{}, end)
		}
	}
}

// What was appended verifies, from the beginning and from every event on, and leads to its head.
func TestAppendThenVerify(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chain, head := drawChain(t, 0)
		got, err := verify(audit.Head{}, chain)
		if err != nil || got.Seq != head.Seq || got.Hash != head.Hash {
			t.Fatalf("leads to %+v, want %+v: %v", got, head, err)
		}
		if len(chain) == 0 {
			return
		}
		if chain[0].PrevHash != audit.Genesis || chain[0].Seq != 1 {
			t.Fatalf("the first event is %d after %s", chain[0].Seq, chain[0].PrevHash)
		}
		cut := rapid.IntRange(1, len(chain)).Draw(t, "purged")
		last := chain[cut-1]
		got, err = verify(audit.Head{Seq: last.Seq, Hash: last.Hash, At: last.CreatedAt}, chain[cut:])
		if err != nil || got.Hash != head.Hash {
			t.Fatalf("from event %d on: %+v, %v", cut, got, err)
		}
	})
}

// changes are everything somebody could change about one event.
var changes = map[string]func(*audit.Event){
	"id":          func(e *audit.Event) { e.ID = uuid.New() },
	"project":     func(e *audit.Event) { e.ProjectID = uuid.New() },
	"actor":       func(e *audit.Event) { e.ActorID = uuid.New() },
	"operation":   func(e *audit.Event) { e.Operation += "x" },
	"name":        func(e *audit.Event) { name := "OTHER"; e.SecretName = &name },
	"scopes":      func(e *audit.Event) { e.AffectedScopes = append(slices.Clone(e.AffectedScopes), secret.Actions) },
	"scope":       func(e *audit.Event) { e.AffectedScopes = append([]secret.Scope{prod}, e.AffectedScopes[1:]...) },
	"status":      func(e *audit.Event) { e.Status += "x" },
	"successes":   func(e *audit.Event) { e.SuccessCount++ },
	"failures":    func(e *audit.Event) { e.FailureCount++ },
	"message":     func(e *audit.Event) { why := "never mind"; e.ErrorMessage = &why },
	"correlation": func(e *audit.Event) { e.CorrelationID = uuid.New() },
	"duration":    func(e *audit.Event) { e.DurationMs++ },
	"metadata":    func(e *audit.Event) { e.Metadata = map[string]any{"note": "changed by hand"} },
	"time":        func(e *audit.Event) { e.CreatedAt = e.CreatedAt.Add(time.Microsecond) },
	"number":      func(e *audit.Event) { e.Seq++ },
	"previous":    func(e *audit.Event) { e.PrevHash = hex.EncodeToString(make([]byte, 31)) + "ff" },
	"hash":        func(e *audit.Event) { e.Hash = hex.EncodeToString(make([]byte, 31)) + "ff" },
}

// Any change of any event is found, at that event or at the one after it.
func TestEveryChangeIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chain, _ := drawChain(t, 1)
		i := rapid.IntRange(0, len(chain)-1).Draw(t, "event")
		for what, change := range changes {
			tampered := slices.Clone(chain)
			change(&tampered[i])
			if what == "scope" && tampered[i].AffectedScopes[0] == chain[i].AffectedScopes[0] {
				continue
			}
			_, err := verify(audit.Head{}, tampered)
			if b := audit.AsBroken(err); b == nil || b.Seq < int64(i+1) || b.Seq > int64(i+2) {
				t.Fatalf("another %s in event %d of %d: %v", what, i+1, len(chain), err)
			}
		}
	})
}

// Dropping, doubling, inserting and reordering are found; a tail cut off shows in the head, which
// is kept elsewhere.
func TestEveryRearrangementIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chain, head := drawChain(t, 2)
		i := rapid.IntRange(0, len(chain)-2).Draw(t, "event")
		swapped := slices.Clone(chain)
		swapped[i], swapped[i+1] = swapped[i+1], swapped[i]
		forged, _, err := audit.Head{Seq: chain[i].Seq, Hash: chain[i].Hash, At: chain[i].CreatedAt}.Append(drawEvent(t))
		if err != nil {
			t.Fatal(err)
		}
		for what, tampered := range map[string][]audit.Event{
			"dropped":  slices.Delete(slices.Clone(chain), i, i+1),
			"doubled":  slices.Insert(slices.Clone(chain), i, chain[i]),
			"swapped":  swapped,
			"inserted": slices.Insert(slices.Clone(chain), i+1, forged),
			"replaced": slices.Replace(slices.Clone(chain), i+1, len(chain)-1, forged),
		} {
			got, err := verify(audit.Head{}, tampered)
			if audit.AsBroken(err) == nil && got.Hash == head.Hash {
				t.Fatalf("%s at %d of %d is not found", what, i+1, len(chain))
			}
			if b := audit.AsBroken(err); what == "dropped" && i < len(chain)-1 && (b == nil || b.Seq != chain[i].Seq || !strings.Contains(b.Why, "missing")) {
				t.Fatalf("event %d was dropped, and it is told that %v", i+1, err)
			}
		}
		got, err := verify(audit.Head{}, chain[:i+1])
		if err != nil || got.Hash == head.Hash || got.Seq == head.Seq {
			t.Fatalf("a tail cut off leads to the same head: %+v, %v", got, err)
		}
	})
}

// An event is never dated before the one it follows, and one that is does not verify.
func TestTimesNeverGoBack(t *testing.T) {
	event := func(at time.Time) audit.Event {
		return audit.Event{Operation: audit.SyncAll, CreatedAt: at}.Outcome([]secret.Scope{secret.Actions}, nil, "")
	}
	noon := time.Date(2026, 3, 1, 12, 0, 0, 999_999_999, time.FixedZone("elsewhere", 3600))
	first, head, err := audit.Head{}.Append(event(noon))
	if err != nil {
		t.Fatal(err)
	}
	if want := noon.UTC().Truncate(time.Microsecond); !first.CreatedAt.Equal(want) || first.CreatedAt.Location() != time.UTC {
		t.Errorf("dated %v, want %v", first.CreatedAt, want)
	}
	second, _, err := head.Append(event(noon.Add(-time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	if !second.CreatedAt.Equal(first.CreatedAt) {
		t.Errorf("an event an hour back is dated %v after %v", second.CreatedAt, first.CreatedAt)
	}
	back := head
	back.At = time.Time{} // whoever writes the chain by hand
	early, _, err := back.Append(event(noon.Add(-time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := verify(audit.Head{}, []audit.Event{first, early}); audit.AsBroken(err) == nil {
		t.Errorf("a chain that goes back in time verifies: %v", err)
	}
}

// What cannot be an event is not appended.
func TestAppendRefuses(t *testing.T) {
	good := audit.Event{Operation: audit.SyncAll}.Outcome([]secret.Scope{secret.Actions}, nil, "")
	bad := good
	bad.SuccessCount = 2
	odd := good
	odd.Metadata = map[string]any{"channel": make(chan int)}
	for what, e := range map[string]audit.Event{"counts": bad, "metadata": odd} {
		if got, head, err := (audit.Head{}).Append(e); err == nil || got.Hash != "" || head != (audit.Head{}) {
			t.Errorf("%s: appended as %+v", what, got)
		}
	}
}

// Verify hands on what reading the events answers.
func TestVerifyStopsWhereReadingDoes(t *testing.T) {
	gone := errors.New("connection lost")
	if _, err := audit.Verify(audit.Head{}, each(nil, gone)); !errors.Is(err, gone) || audit.AsBroken(err) != nil {
		t.Errorf("%v", err)
	}
}

// A database gives an event back with its numbers decoded from JSON, times of microseconds in its
// own zone, and no metadata as an empty object. The digest stays.
func TestDigestSurvivesADatabase(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		chain, head := drawChain(t, 1)
		back := make([]audit.Event, len(chain))
		for i, e := range chain {
			raw, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(raw, &back[i]); err != nil {
				t.Fatal(err)
			}
			back[i].CreatedAt = time.UnixMicro(e.CreatedAt.UnixMicro()).In(time.FixedZone("database", -7*3600))
			if back[i].Metadata == nil {
				back[i].Metadata = map[string]any{}
			}
		}
		if got, err := verify(audit.Head{}, back); err != nil || got.Hash != head.Hash {
			t.Fatalf("%+v, want %+v: %v", got, head, err)
		}
	})
}

// The digest of one event, whose canonical JSON is written out: keys in order, no white space,
// nothing escaped that need not be, numbers as ECMAScript writes them.
func TestCanonicalKnownAnswer(t *testing.T) {
	name, why := "DEPLOY_KEY", "codespaces: <b>\u20ac & \u2028\n\x0f"
	e := audit.Event{
		ID: uuid.UUID{15: 1}, ProjectID: uuid.UUID{15: 2}, ActorID: uuid.UUID{15: 3}, CorrelationID: uuid.UUID{15: 4},
		Operation: audit.Update, SecretName: &name, DurationMs: 1234,
		Metadata:  map[string]any{"€": 1e21, "\r": 4.50, "1": int64(10), "ö": 2e-3, "😂": true, "\ufb33": nil},
		CreatedAt: time.Date(2026, 3, 1, 12, 0, 0, 500_000_000, time.UTC),
	}.Outcome([]secret.Scope{secret.Codespaces, prod}, map[secret.Scope]bool{secret.Codespaces: true}, why)
	got, _, err := audit.Head{}.Append(e)
	if err != nil {
		t.Fatal(err)
	}
	canonical := `{"actorId":"00000000-0000-0000-0000-000000000003","affectedScopes":["codespaces","environment:production"],` +
		`"correlationId":"00000000-0000-0000-0000-000000000004","createdAt":"2026-03-01T12:00:00.5Z","durationMs":1234,` +
		`"errorMessage":"codespaces: <b>€ & ` + "\u2028" + `\n\u000f","failureCount":1,"hash":"","id":"00000000-0000-0000-0000-000000000001",` +
		`"metadata":{"\r":4.5,"1":10,"ö":0.002,"€":1e+21,"😂":true,"` + "\ufb33" + `":null},"operation":"update",` +
		`"prevHash":"` + audit.Genesis + `","projectId":"00000000-0000-0000-0000-000000000002","secretName":"DEPLOY_KEY","seq":1,` +
		`"status":"partial","successCount":1}`
	sum := sha256.Sum256([]byte(canonical))
	if got.Hash != hex.EncodeToString(sum[:]) {
		raw, _ := json.Marshal(e)
		shown, _ := jcs.Transform(raw)
		t.Errorf("the digest is of other text than\n%s\nperhaps of\n%s", canonical, shown)
	}
}
