package relay

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/octoseal/octoseal/internal/fault"
)

const (
	// skew is how far the issuer's clock and ours may differ.
	skew = time.Minute
	// longestToken is more than any issuer's token has, in bytes.
	longestToken = 16 << 10
)

// A verifier holds the tokens of jobs against their issuer. It asks for nothing until the first one
// comes, so that the service starts while the issuer is away.
type verifier struct {
	issuer   string
	audience string
	keys     *keySet
	now      func() time.Time
}

func newVerifier(issuer, audience string, client *http.Client, now func() time.Time) *verifier {
	return &verifier{issuer: issuer, audience: audience, keys: newKeySet(issuer, client, now), now: now}
}

// signature is what is checked of every token. The audience and the times are held against stricter
// rules than the library's: it takes an audience that is one of several, and 5 minutes of skew.
var signature = oidc.Config{SkipClientIDCheck: true, SkipExpiryCheck: true, SupportedSigningAlgs: []string{oidc.RS256}}

// An asking is a keySet that remembers why it had no key: the library passes on the words alone.
type asking struct {
	*keySet
	err error
}

// VerifySignature is the keySet's.
func (a *asking) VerifySignature(ctx context.Context, token string) (payload []byte, err error) {
	payload, a.err = a.keySet.VerifySignature(ctx, token)
	return payload, a.err
}

// A claims is what a genuine token says of its job. Every claim but the times is a string, numbers
// included; unknown ones are nobody's concern.
type claims struct {
	TokenID           string  `json:"jti"`
	NotBefore         int64   `json:"nbf"`
	Subject           string  `json:"sub"` // shown to people only: its form is the owner's to choose
	RepositoryID      string  `json:"repository_id"`
	RepositoryOwnerID string  `json:"repository_owner_id"`
	Repository        string  `json:"repository"`
	Ref               string  `json:"ref"`
	RefType           string  `json:"ref_type"`
	HeadRef           string  `json:"head_ref"`
	BaseRef           string  `json:"base_ref"`
	Event             string  `json:"event_name"`
	Actor             string  `json:"actor"`
	Environment       *string `json:"environment"`
	WorkflowRef       string  `json:"workflow_ref"`
	JobWorkflowRef    string  `json:"job_workflow_ref"`
	RunID             string  `json:"run_id"`
	RunAttempt        string  `json:"run_attempt"`

	issuer    string
	expiresAt time.Time
	// What the strings above say as numbers.
	repository, owner, workflowRun int64
	attempt                        int
}

// verify returns what a token says, if its issuer signed it for us and it holds now.
func (v *verifier) verify(ctx context.Context, token string) (claims, error) {
	if token == "" || len(token) > longestToken {
		return claims{}, deny(DeniedToken, errors.New("no token, or one of absurd length"))
	}
	keys := &asking{keySet: v.keys}
	verified, err := oidc.NewVerifier(v.issuer, keys, &signature).Verify(ctx, token)
	switch {
	case errors.Is(keys.err, errNoIssuer):
		return claims{}, fault.New(fault.IntegrationUnavailable, fault.Context{"reason": "the issuer of the jobs' tokens cannot be asked for its keys"}).
			Hinting("Send it again. Its operator: check --actions-issuer and the way there.").Because(keys.err)
	case err != nil && ctx.Err() != nil:
		return claims{}, context.Cause(ctx)
	case err != nil:
		return claims{}, deny(DeniedToken, err)
	case len(verified.Audience) != 1 || verified.Audience[0] != v.audience:
		return claims{}, deny(DeniedToken, fmt.Errorf("it is for %q, not for %q", verified.Audience, v.audience))
	}
	var c claims
	if err := verified.Claims(&c); err != nil {
		return claims{}, deny(DeniedToken, err)
	}
	c.issuer, c.expiresAt = verified.Issuer, verified.Expiry
	if err := c.number(); err != nil {
		return claims{}, deny(DeniedToken, err)
	}
	now := v.now()
	if now.After(c.expiresAt.Add(skew)) || time.Unix(c.NotBefore, 0).After(now.Add(skew)) {
		return claims{}, deny(DeniedExpired, fmt.Errorf("it holds from %s to %s", time.Unix(c.NotBefore, 0).UTC(), c.expiresAt.UTC()))
	}
	return c, nil
}

// number reads the numbers, and refuses a token without an id: it could not be told from its replay.
func (c *claims) number() error {
	if c.TokenID == "" {
		return errors.New("it has no jti")
	}
	for _, n := range []struct {
		name, text string
		into       *int64
	}{
		{"repository_id", c.RepositoryID, &c.repository}, {"repository_owner_id", c.RepositoryOwnerID, &c.owner}, {"run_id", c.RunID, &c.workflowRun},
	} {
		var err error
		if *n.into, err = strconv.ParseInt(n.text, 10, 64); err != nil || *n.into <= 0 {
			return fmt.Errorf("its claim %s is %q, no number", n.name, n.text)
		}
	}
	attempt, err := strconv.ParseInt(c.RunAttempt, 10, 32)
	if err != nil || attempt <= 0 {
		return fmt.Errorf("its claim run_attempt is %q, no number", c.RunAttempt)
	}
	c.attempt = int(attempt)
	return nil
}
