package githubsim

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/uuid"
)

// The life of an ID token. It is valid before it was issued, for the sake of slow clocks.
const (
	idTokenLife  = 300 * time.Second
	idTokenGrace = 600 * time.Second
)

// IDClaims describe an ID token. Everything but the Repository has a default: that of a job which
// was dispatched on the default branch.
type IDClaims struct {
	API        string // its URL, which the issuer's follows from; empty: the runner's
	Repository string // full name
	Audience   string // empty: the URL of the owner's page, which a job gets that names none
	Workflow   string // path of the file; empty: .github/workflows/octoseal.yml
	Event      string // empty: workflow_dispatch
	Ref        string // empty: the default branch; otherwise in full, such as refs/tags/v1

	Actor       string // login; empty: octocat
	Environment string
	RunID       int64 // 0: of a run that nobody knows
	RunNumber   int   // 0: 1
	RunAttempt  int   // 0: 1

	// Claims replaces claims, whatever they would have been; nil takes one away.
	Claims map[string]any

	Forgery Forgery
}

// A Forgery is a way in which an ID token is not GitHub's.
type Forgery string

// The forgeries; the empty one is a genuine token.
const (
	Unsigned     Forgery = "unsigned"       // alg none, no signature
	PublicKeyMAC Forgery = "public key mac" // HS256 with the PEM of the public key as the secret
	OtherKey     Forgery = "other key"      // names a published key, was signed with another
	UnknownKey   Forgery = "unknown key"    // names a key that nobody published
	OtherIssuer  Forgery = "other issuer"   // signed by GitHub's key for another issuer
	WrongBytes   Forgery = "wrong bytes"    // the claims were changed after signing
)

// IDToken mints an ID token as jobs get it.
func (g *GitHub) IDToken(claims IDClaims) string {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.idToken(claims)
}

// claimNames are the claims that GitHub's discovery document lists.
var claimNames = []string{
	"sub", "aud", "exp", "iat", "iss", "jti", "nbf", "ref", "sha", "repository", "repository_id", "repository_owner",
	"repository_owner_id", "enterprise", "enterprise_id", "run_id", "run_number", "run_attempt", "actor", "actor_id",
	"workflow", "workflow_ref", "workflow_sha", "head_ref", "base_ref", "event_name", "ref_type", "ref_protected",
	"environment", "environment_node_id", "job_workflow_ref", "job_workflow_sha", "repository_visibility",
	"runner_environment", "issuer_scope", "check_run_id",
}

func (g *GitHub) idToken(wanted IDClaims) string {
	claims := g.claims(wanted)
	for name, value := range wanted.Claims {
		if value == nil {
			delete(claims, name)
			continue
		}
		claims[name] = value
	}
	key := g.signers()[0]
	sign, with := jwt.SigningMethod(jwt.SigningMethodRS256), any(key.private)
	switch wanted.Forgery {
	case Unsigned:
		sign, with = jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType
	case PublicKeyMAC:
		sign, with = jwt.SigningMethodHS256, publicPEM(key.private)
	case OtherKey:
		with = newSigningKey(g.clock.now()).private
	case UnknownKey:
		key = newSigningKey(g.clock.now())
		with = key.private
	case OtherIssuer:
		claims["iss"] = "https://token.actions.githubusercontent.com/somebody-else"
	}
	token := jwt.NewWithClaims(sign, claims)
	token.Header["kid"], token.Header["x5t"] = key.id, key.thumbprint()
	text, err := token.SignedString(with)
	if err != nil {
		panic("githubsim: " + err.Error()) // keys and methods fit
	}
	if wanted.Forgery == WrongBytes {
		claims["sub"] = fmt.Sprint(claims["sub"], "x")
		changed, _ := jwt.NewWithClaims(sign, claims).SigningString()
		_, payload, _ := strings.Cut(changed, ".")
		parts := strings.Split(text, ".")
		text = parts[0] + "." + payload + "." + parts[2]
	}
	return text
}

func publicPEM(key *rsa.PrivateKey) []byte {
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		panic("githubsim: " + err.Error()) // an RSA key has a form
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// complete fills in what was left to GitHub.
func (g *GitHub) complete(wanted IDClaims) IDClaims {
	if wanted.API == "" {
		if g.actions.crew == nil {
			panic("githubsim: an ID token without a runner needs the API's URL")
		}
		wanted.API = g.actions.crew.runner.URL
	}
	set := func(field *string, value string) {
		if *field == "" {
			*field = value
		}
	}
	set(&wanted.Workflow, ".github/workflows/octoseal.yml")
	set(&wanted.Event, "workflow_dispatch")
	set(&wanted.Ref, branchPrefix+g.world.repository(wanted.Repository).DefaultBranch)
	set(&wanted.Actor, "octocat")
	if wanted.RunID == 0 {
		wanted.RunID = g.world.nextID()
	}
	wanted.RunNumber = max(wanted.RunNumber, 1)
	wanted.RunAttempt = max(wanted.RunAttempt, 1)
	return wanted
}

// claims are those of a job. All that GitHub adds to the registered ones are strings, numbers and
// booleans included.
func (g *GitHub) claims(wanted IDClaims) jwt.MapClaims {
	w := g.complete(wanted)
	repo := g.world.repository(w.Repository)
	audience, root := w.Audience, g.root(w.API)
	if audience == "" {
		audience = g.siteOf(root) + "/" + repo.owner.login
	}
	now, sha := g.clock.now(), g.head(repo, w.Ref)
	claims := jwt.MapClaims{
		"iss": root + tokenService, "aud": audience, "sub": repo.subject() + ":" + w.context(), "jti": uuid.NewString(),
		"iat": now.Unix(), "nbf": now.Add(-idTokenGrace).Unix(), "exp": now.Unix() + int64(idTokenLife/time.Second),
		"ref": w.Ref, "ref_type": refType(w.Ref), "ref_protected": "false", "sha": sha, "base_ref": "", "head_ref": "",
		"event_name": w.Event, "actor": w.Actor, "actor_id": strconv.FormatInt(g.actorID(w.Actor), 10),
		"run_id": strconv.FormatInt(w.RunID, 10), "run_number": strconv.Itoa(w.RunNumber), "run_attempt": strconv.Itoa(w.RunAttempt),
		"workflow": w.Workflow, "workflow_ref": repo.FullName + "/" + w.Workflow + "@" + w.Ref, "workflow_sha": sha,
		"job_workflow_ref": repo.FullName + "/" + w.Workflow + "@" + w.Ref, "job_workflow_sha": sha,
		"runner_environment": "github-hosted", "check_run_id": strconv.FormatInt(g.world.nextID(), 10),
	}
	maps.Copy(claims, repo.claims())
	if w.Environment != "" {
		claims["environment"] = w.Environment
		claims["environment_node_id"] = "EN_" + randomText(12)
	}
	return claims
}

// claims are those about the repository itself.
func (repo *repository) claims() map[string]any {
	visibility := "public"
	if repo.Private {
		visibility = "private"
	}
	return map[string]any{
		"repository": repo.FullName, "repository_id": strconv.FormatInt(repo.ID, 10), "repository_visibility": visibility,
		"repository_owner": repo.owner.login, "repository_owner_id": strconv.FormatInt(repo.owner.id, 10),
	}
}

// subject is how sub begins: with names, or with names and numbers.
func (repo *repository) subject() string {
	if repo.ImmutableSubject {
		return fmt.Sprintf("repo:%s@%d/%s@%d", repo.owner.login, repo.owner.id, repo.name, repo.ID)
	}
	return "repo:" + repo.FullName
}

// context is the rest of sub. A colon within a value is escaped, so that no name can pass for more.
func (w IDClaims) context() string {
	switch {
	case w.Environment != "":
		return "environment:" + strings.ReplaceAll(w.Environment, ":", "%3A")
	case strings.HasPrefix(w.Event, "pull_request"):
		return "pull_request"
	}
	return "ref:" + strings.ReplaceAll(w.Ref, ":", "%3A")
}

func refType(ref string) string {
	if strings.HasPrefix(ref, tagPrefix) {
		return "tag"
	}
	return "branch"
}

// actorID is an account's number; those of GitHub's own robots are made up.
func (g *GitHub) actorID(login string) int64 {
	if a := g.world.accounts[strings.ToLower(login)]; a != nil {
		return a.id
	}
	return g.world.nextID()
}

// siteOf is where people look at what a server has.
func (g *GitHub) siteOf(root string) string {
	if g.config.Enterprise != "" {
		return root
	}
	return "https://github.com"
}

// requestToken is what a job asks for ID tokens with. It looks like the JWT it is at GitHub.
func requestToken() string {
	return "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9." + randomText(300) + "." + rand.Text()
}
