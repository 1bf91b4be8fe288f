package relay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

// A Part is one of several steps of a job that have the values between them: Linux gives a process
// about 2 MB of variables and no more. Each step claims and seals its own; all but the last put their
// boxes aside in a file, and the last one sends everything. The files hold boxes and hashes, never a
// value, a session or a key, so whoever finds one learns no more than the server does. The zero Part
// is a step that has all values.
type Part struct {
	Number, Of int
	Folder     string // for the files; RUNNER_TEMP, which is emptied with the job
}

// mostParts is more than a runner's whole memory of variables could ever need.
const mostParts = 50

func (p Part) check() error {
	switch {
	case p == Part{}:
		return nil
	case p.Of < 2 || p.Of > mostParts || p.Number < 1 || p.Number > p.Of:
		return fault.Invalid("part %d of %d: it has to be one of 2 to %d", p.Number, p.Of, mostParts)
	case !filepath.IsAbs(p.Folder):
		return fault.Invalid("a part needs a folder of the job for its boxes").Hinting("RUNNER_TEMP names one in every job.")
	}
	return nil
}

func (p Part) isLast() bool { return p.Number == p.Of }

// A keptPart is what a step put aside.
type keptPart struct {
	SyncID  string   `json:"syncId"`
	HashKey string   `json:"hashKeyId,omitempty"`
	Secrets []Sealed `json:"secrets"`
}

func (p Part) file(number int) string {
	return filepath.Join(p.Folder, "octoseal-relay", fmt.Sprintf("part-%d-of-%d.json", number, p.Of))
}

// setAside keeps the boxes of a step for the last one. The session that they were made in dies with
// the next step's claim.
func (r *runner) setAside(ctx context.Context, c Claim, sealed []Sealed) (Report, error) {
	text, err := json.Marshal(keptPart{SyncID: c.SyncID.String(), HashKey: hashKeyID(c), Secrets: sealed})
	if err != nil {
		return Report{}, err
	}
	name := r.Part.file(r.Part.Number)
	if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
		return Report{}, r.giveUp(ctx, c, unwritten(name, err))
	}
	if err := os.WriteFile(name, text, 0o600); err != nil {
		return Report{}, r.giveUp(ctx, c, unwritten(name, err))
	}
	r.log.InfoContext(ctx, "boxes set aside", "part", r.Part.Number, "of", r.Part.Of, "secrets", len(sealed))
	return Report{Done: true, State: SetAside}, nil
}

// SetAside is the state that the report of a step has when its boxes wait for the last step.
const SetAside = "set_aside"

func unwritten(name string, err error) error {
	return fault.New(fault.SourceUnavailable, fault.Context{"reason": "the boxes of this step cannot be kept in " + name}).Because(err)
}

// completed adds to what the last step sealed what the steps before it did. A box for a key that is
// not offered any more, or a hash under another key, is left out: the server then says that the
// secret never arrived, and the next run puts that right.
func (r *runner) completed(a accepted, own []Sealed) ([]Sealed, error) {
	if r.Part.Of < 2 {
		return own, nil
	}
	have := map[string]Sealed{}
	isStale := map[string]bool{}
	for number := 1; number < r.Part.Of; number++ {
		kept, err := r.Part.read(number)
		if err == nil && kept.SyncID != a.claim.SyncID.String() {
			err = fault.New(fault.SourceUnavailable, fault.Context{"reason": fmt.Sprintf("part %d was made for another run", number)})
		}
		if err != nil {
			return nil, err
		}
		for _, s := range kept.Secrets {
			have[s.Name] = s
			isStale[s.Name] = kept.HashKey != hashKeyID(a.claim)
		}
	}
	for _, s := range own {
		have[s.Name], isStale[s.Name] = s, false
	}
	var all []Sealed
	for _, w := range a.wanted {
		switch s, has := have[w.name.String()]; {
		case !has:
			all = append(all, Sealed{Name: w.name.String(), Problem: ProblemAbsent})
		case s.Problem != "" || !isStale[s.Name] && a.covers(w, s):
			all = append(all, s)
		default:
			r.log.Warn("left out: sealed for a key that is not offered any more", "name", s.Name)
		}
	}
	return all, nil
}

// covers says whether s has exactly the boxes that are wanted now.
func (a accepted) covers(w wanted, s Sealed) bool {
	if len(s.Boxes) != len(w.scopes) {
		return false
	}
	for i, scope := range w.scopes {
		key := a.keys[scope]
		if s.Boxes[i].Scope != scope.String() || s.Boxes[i].KeyID != key.ID() {
			return false
		}
		if _, err := secret.ParseBox(scope, key.ID(), s.Boxes[i].Box); err != nil {
			return false
		}
	}
	return true
}

func (p Part) read(number int) (keptPart, error) {
	var kept keptPart
	text, err := os.ReadFile(p.file(number))
	if errors.Is(err, fs.ErrNotExist) {
		return kept, fault.New(fault.SourceUnavailable, fault.Context{"reason": fmt.Sprintf("part %d of %d left no boxes", number, p.Of)}).
			Hinting("Its step has to run before this one, in the same job.")
	}
	if err == nil {
		err = json.Unmarshal(text, &kept)
	}
	if err != nil {
		return kept, fault.New(fault.SourceUnavailable, fault.Context{"reason": fmt.Sprintf("what part %d of %d left cannot be read", number, p.Of)}).Because(err)
	}
	return kept, nil
}

func hashKeyID(c Claim) string {
	if c.Hash == nil {
		return ""
	}
	return c.Hash.KeyID
}
