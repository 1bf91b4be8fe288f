package syncing

import (
	"context"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
)

// A Source is where the values of a run come from. Known tells what can be known of them without
// asking GitHub, and is nil when Actions itself is the source; Seal is called for each write. Unusable
// names stand in the source without a value that can be used: they are left as they are, since one
// that is not known at all is gone.
type Source struct {
	Identity string
	Unusable []secret.Name
	Known    func(secret.Hasher) map[secret.Name]plan.Value
	Seal     func(ctx context.Context, h secret.Hasher, name secret.Name, key secret.PublicKey) (secret.Box, secret.Hash, error)
	// Problems are why there is no value of a name that stands in Actions: a write of it is an error.
	Problems map[secret.Name]*fault.Fault
	// AskedAt, for values that a job read from Actions, is a moment on GitHub's clock before it did.
	AskedAt time.Time
	Stamp   string // differs when the source may have changed since; empty where that cannot be told
	Done    func() // called when the run needs no value any more; may be nil
}

// FromActions says whether Actions is the source.
func (s Source) FromActions() bool { return s.Identity == plan.ActionsSource }

// Local returns a source whose values are at hand.
func Local(identity string, values map[secret.Name]secret.Plaintext) Source {
	return Source{
		Identity: identity,
		Known: func(h secret.Hasher) map[secret.Name]plan.Value {
			known := make(map[secret.Name]plan.Value, len(values))
			for name, v := range values {
				known[name] = plan.Value{Hash: h.Hash(v)}
			}
			return known
		},
		Seal: func(_ context.Context, h secret.Hasher, name secret.Name, key secret.PublicKey) (secret.Box, secret.Hash, error) {
			box, err := secret.Seal(values[name], key)
			return box, h.Hash(values[name]), err
		},
	}
}
