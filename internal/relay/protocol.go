package relay

import (
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
)

// ValueSource is what a project has for its source of values whose jobs bring them.
const ValueSource = "relay"

// Version is of the protocol. A server answers another one with REQUEST_INVALID that names its own.
const Version = 1

// The paths of the three messages, each a POST. The first bears the job's OIDC token, the others the
// session token that the claim was answered with.
const (
	ClaimPath  = "/relay/claims"
	BoxesPath  = "/relay/boxes"
	FinishPath = "/relay/finish"
)

// The bounds of one message of boxes.
const (
	MaxBatchSecrets = 16
	MaxBatchBytes   = 1 << 20
)

// SessionLife is how long a session token works.
const SessionLife = 15 * time.Minute

// A ClaimRequest says which run the job was started for. Without a sync id the job was started by a
// schedule or a push, and a run of its own is opened. Each claim takes a fresh token, a repeated one too.
type ClaimRequest struct {
	Version int    `json:"version"`
	SyncID  string `json:"syncId,omitempty"`
}

// A Claim is the answer: what to seal, and for which keys.
type Claim struct {
	Version   int       `json:"version"`
	Session   string    `json:"session"`
	ExpiresAt time.Time `json:"expiresAt"`
	SyncID    uuid.UUID `json:"syncId"`
	Names     []Wanted  `json:"names"`
	Keys      []Key     `json:"keys"`
	Hash      *HashKey  `json:"hash,omitempty"` // absent: plain SHA-256
}

// A Wanted secret has to be sealed for each of its scopes.
type Wanted struct {
	Name   string   `json:"name"`
	Scopes []string `json:"scopes"`
}

// A Key is the public key of a scope, in standard padded base64. The runner seals for it only when
// the workflow file pins it.
type Key struct {
	Scope string `json:"scope"`
	KeyID string `json:"keyId"`
	Key   string `json:"key"`
}

// A HashKey is the project's own, derived from the deployment's.
type HashKey struct {
	KeyID string `json:"keyId"`
	Key   string `json:"key"` // standard padded base64
}

// Boxes are a batch of sealed values. Sending a batch again changes nothing.
type Boxes struct {
	Version int      `json:"version"`
	SyncID  string   `json:"syncId"`
	Secrets []Sealed `json:"secrets"`
}

// A Sealed secret has a hash and a box for each scope, or a problem and neither.
type Sealed struct {
	Name    string  `json:"name"`
	Hash    string  `json:"hash,omitempty"`
	Problem Problem `json:"problem,omitempty"`
	Size    int     `json:"size,omitempty"` // in bytes, of a value that is too large
	Boxes   []Box   `json:"boxes,omitempty"`
}

// A Box is a sealed value in standard padded base64.
type Box struct {
	Scope string `json:"scope"`
	KeyID string `json:"keyId"`
	Box   string `json:"box"`
}

// A Problem is why the job has no value to seal for a name.
type Problem string

// The problems. An undefined secret reads as an empty string, so absent and empty differ only where
// the job was given all secrets in one variable.
const (
	ProblemAbsent   Problem = "absent"
	ProblemEmpty    Problem = "empty"
	ProblemTooLarge Problem = "too_large"
)

// Received says how many of the wanted secrets have arrived.
type Received struct {
	Received int `json:"received"`
	Wanted   int `json:"wanted"`
}

// A FinishRequest says that no more boxes come. It may be sent again until the answer says Done.
type FinishRequest struct {
	Version int    `json:"version"`
	SyncID  string `json:"syncId"`
	// Failure is why the job could not seal; its run ends with it. Boxes sent before are dropped.
	Failure *Failure `json:"failure,omitempty"`
}

// A Failure is why the runner gave up.
type Failure struct {
	Code    fault.Code `json:"code"`
	Message string     `json:"message"`
	Hint    string     `json:"hint,omitempty"`
}

// A Report is how the run went, secret by secret.
type Report struct {
	Done     bool      `json:"done"` // false: the run is still going on, ask again
	State    string    `json:"state"`
	Synced   int       `json:"syncedCount"`
	Skipped  int       `json:"skippedCount"`
	Outcomes []Outcome `json:"outcomes"`
	Failure  *Failure  `json:"failure,omitempty"` // of the run as a whole
}

// An Outcome is one secret in one scope.
type Outcome struct {
	SecretName string     `json:"secretName"`
	Scope      string     `json:"scope"`
	Verb       string     `json:"verb"`
	OK         bool       `json:"ok"`
	Code       fault.Code `json:"code,omitempty"`
	Error      string     `json:"error,omitempty"`
	Hint       string     `json:"hint,omitempty"`
}

// A Denial is why a claim was refused. It stands in the context of RELAY_CLAIM_DENIED as reason, and
// tells the holder of a genuine token what is wrong without telling anybody else anything.
type Denial string

// The closed list of denials.
const (
	DeniedToken       Denial = "token_invalid"      // unsigned, forged, of another issuer or audience
	DeniedExpired     Denial = "token_expired"      // or not yet valid
	DeniedReplay      Denial = "token_replayed"     // used once before
	DeniedRepository  Denial = "repository_unknown" // no project has this repository's number
	DeniedOwner       Denial = "owner_mismatch"     // the repository is not its owner's any more
	DeniedBranch      Denial = "branch_denied"      // not the default branch
	DeniedWorkflow    Denial = "workflow_denied"    // not .github/workflows/octoseal.yml
	DeniedEvent       Denial = "event_denied"       // other than workflow_dispatch, schedule, push
	DeniedActor       Denial = "actor_denied"       // dependabot[bot] sees another store's secrets
	DeniedEnvironment Denial = "environment_denied" // a job with an environment sees that one's secrets
	DeniedRun         Denial = "run_mismatch"       // the sync id is unknown, over, another project's, or another workflow run was dispatched for it
	DeniedSession     Denial = "session_invalid"    // unknown, expired or superseded
)
