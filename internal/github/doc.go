// Package github is the client: everything Octoseal knows about GitHub's REST API, and nothing
// else in the project knows it.
//
// A Client speaks to one base URL with one Credential. It lists the secrets of a Scope, fetches its
// public key, puts sealed boxes and deletes names; it lists environments, sets their rules and tells
// what deploys to them; it finds repositories, tells the quota and keeps GitHub's Clock. Values
// never come near it: what it sends is a secret.Box, and what it is told about a refused write stays
// inside this package, because GitHub echoes what was submitted.
//
// # One road for every request
//
// All calls take the same road, in request.go: a token of the Credential (a GitHub App renews its
// own), a place from the Governor, one attempt of at most 15 seconds, then a verdict on the answer.
// The verdict (refusal.go, with environment_refusal.go) is the only place that reads status codes
// and GitHub's texts; it ends in an answer, another attempt, or a *fault.Fault. Nothing is retried
// anywhere else, and no library adds a policy of its own.
//
// The plumbing is an http.RoundTripper and not go-github: that library holds back requests after a
// limit by itself, keeps the body of a refused write in its errors, follows redirects, and has no
// agents store, so each thing this package exists for would be a fight with it.
//
// # The Governor
//
// GitHub's secondary limits (100 requests at once, 900 points a minute, a write costing five) are
// counted by the service over everything a credential does, so one Governor per Credential stands
// before all its Clients. It lets bursts through while the last minute has room, pauses the whole
// credential when GitHub refuses, and shares fairly between repositories. See governor.go.
//
// # Redirects
//
// A renamed repository answers 301 or 307. A GET follows, on the same host only. A write never
// does: an http.Client turns a redirected PUT into a GET without a body and reports success, and a
// name can be taken over by another repository. Instead the repository is looked up by its number
// and the write is repeated once under the name found there.
//
// # Quirks met
//
//   - A rate limit is 403 as often as 429; a secondary one often has quota left and no Retry-After.
//   - An expired token answers "Bad credentials" like a wrong one; only its expiry, announced in a
//     header of earlier answers, tells them apart.
//   - key_id is a string on github.com and a number on some Enterprise Servers.
//   - The list of Codespaces secrets needs the permission to write.
//   - A 422 for a value that is not base64 echoes that value.
//   - An environment is made and protected in two steps: a refusal of its rules may leave it there
//     without them, and reviewers without access are dropped with an answer of 200.
//   - A pattern for branches that is there already answers 303, and a deployment without a status is
//     pending.
//   - Enterprise Server sends no quota headers unless limits are switched on, and answers 404 to
//     GET /rate_limit then.
package github
