package fault

import "net/http"

// A Code names one kind of fault. It is part of the public contract: codes are added, never renamed.
type Code string

// Severity says how loudly a fault is to be reported.
type Severity string

// The severities, mildest first.
const (
	Info     Severity = "info"
	Warn     Severity = "warn"
	Err      Severity = "error"
	Critical Severity = "critical"
)

// RetryPolicy says whether the same request may be sent again.
type RetryPolicy string

// The retry policies: not at all, always, or because doing it twice is doing it once.
const (
	RetryNone       RetryPolicy = "none"
	RetrySafe       RetryPolicy = "safe"
	RetryIdempotent RetryPolicy = "idempotent"
)

// The codes of data-model.md and of design.md §6.
const (
	RequestInvalid         Code = "REQUEST_INVALID"
	NameInvalid            Code = "GITHUB_SECRETS_NAME_INVALID"
	ValueTooLarge          Code = "GITHUB_SECRETS_VALUE_TOO_LARGE"
	RelayBatchInvalid      Code = "RELAY_BATCH_INVALID"
	TokenMissing           Code = "AUTH_TOKEN_MISSING"
	TokenInvalid           Code = "AUTH_TOKEN_INVALID"
	RoleDenied             Code = "AUTH_ROLE_DENIED"
	RelayClaimDenied       Code = "RELAY_CLAIM_DENIED"
	RelayElsewhere         Code = "RELAY_SESSION_ELSEWHERE"
	ProjectNotFound        Code = "PROJECT_NOT_FOUND"
	ResourceNotFound       Code = "RESOURCE_NOT_FOUND"
	RouteNotFound          Code = "ROUTE_NOT_FOUND"
	MethodNotAllowed       Code = "METHOD_NOT_ALLOWED"
	Unexpected             Code = "INTERNAL_UNEXPECTED"
	ProtectionRuleConflict Code = "GITHUB_ENV_PROTECTION_RULE_CONFLICT"
	ReviewerNotFound       Code = "GITHUB_ENV_REVIEWER_NOT_FOUND"
	EnvironmentExists      Code = "GITHUB_ENV_ALREADY_EXISTS"
	RequestTooLarge        Code = "REQUEST_TOO_LARGE"
	SourceUnavailable      Code = "GITHUB_SECRETS_SOURCE_UNAVAILABLE"
	RateLimitUser          Code = "RATE_LIMIT_USER"
	RateLimitProject       Code = "RATE_LIMIT_PROJECT"
	RateLimitExhausted     Code = "GITHUB_SECRETS_RATE_LIMIT_EXHAUSTED"
	IntegrationDenied      Code = "GITHUB_INTEGRATION_DENIED"
	IntegrationUnavailable Code = "GITHUB_INTEGRATION_UNAVAILABLE"
	EncryptionFailed       Code = "GITHUB_SECRETS_ENCRYPTION_FAILED"
	StoreUnavailable       Code = "STORE_UNAVAILABLE"
	SyncPartialFailure     Code = "GITHUB_SECRETS_SYNC_PARTIAL_FAILURE"
	Excluded               Code = "GITHUB_SECRETS_EXCLUDED"
	ConflictDetected       Code = "GITHUB_SECRETS_CONFLICT_DETECTED"
)

// A Kind is one row of the table. Message and Hint may name keys of the context in braces.
type Kind struct {
	Code     Code
	Status   int
	Severity Severity
	Retry    RetryPolicy
	Message  string
	Hint     string
}

// Kinds returns the whole table, in the order in which the documentation shows it.
func Kinds() []Kind { return append([]Kind(nil), kinds...) }

// KindOf returns the row of code. A code that is not in the table is an unexpected fault.
func KindOf(code Code) Kind {
	if k, ok := byCode[code]; ok {
		return k
	}
	return byCode[Unexpected]
}

var byCode = func() map[Code]Kind {
	m := make(map[Code]Kind, len(kinds))
	for _, k := range kinds {
		m[k.Code] = k
	}
	return m
}()

var kinds = []Kind{
	{RequestInvalid, http.StatusBadRequest, Err, RetryNone,
		"{reason}.", ""},
	{NameInvalid, http.StatusBadRequest, Err, RetryNone,
		"Secret name must be uppercase with underscores and start with a letter.",
		"Names match {pattern}, have at most 100 characters and do not begin with GITHUB_, which GitHub reserves."},
	{ValueTooLarge, http.StatusBadRequest, Err, RetryNone,
		"Secret {secretName} has {size} bytes; GitHub takes at most {limit}.",
		"Store the value encrypted in the repository and keep only its passphrase as a secret."},
	{RelayBatchInvalid, http.StatusBadRequest, Err, RetryNone,
		"Relay batch refused: {reason}.", ""},
	{TokenMissing, http.StatusUnauthorized, Err, RetryNone,
		"No bearer token was sent.", "Send Authorization: Bearer TOKEN; octoseal token create makes one."},
	{TokenInvalid, http.StatusUnauthorized, Err, RetryNone,
		"The bearer token is unknown, expired or revoked.", "Make a new one with octoseal token create."},
	{RoleDenied, http.StatusForbidden, Err, RetryNone,
		"This needs the role {requiredRole}.", "Ask an admin of the project for the role {requiredRole}."},
	{RelayClaimDenied, http.StatusForbidden, Err, RetryNone,
		"Relay claim refused: {reason}.", ""},
	{RelayElsewhere, http.StatusMisdirectedRequest, Warn, RetrySafe,
		"Another process of this server holds the session, or held it until it ended.",
		"Send the message again, and claim again when that goes on: boxes are kept in the memory of one process."},
	{ProjectNotFound, http.StatusNotFound, Err, RetryNone,
		"Project {projectId} not found.", ""},
	{ResourceNotFound, http.StatusNotFound, Err, RetryNone,
		"{resource} not found.", ""},
	{RouteNotFound, http.StatusNotFound, Err, RetryNone,
		"There is nothing at {path}.", "GET /openapi.json lists every path."},
	{MethodNotAllowed, http.StatusMethodNotAllowed, Err, RetryNone,
		"{method} is not allowed at {path}.", ""},
	{Unexpected, http.StatusInternalServerError, Critical, RetrySafe,
		"Something unexpected happened.", "The log has the details under the request id; please report it."},
	{ProtectionRuleConflict, http.StatusConflict, Err, RetryNone,
		"Cannot modify protection rules: environment has active deployments.", "Wait for the deployments of {environment} to finish."},
	{ReviewerNotFound, http.StatusBadRequest, Err, RetryNone,
		"Reviewer user ID {reviewerId} not found in repository.", "Give the user read access to the repository first."},
	{EnvironmentExists, http.StatusOK, Info, RetryIdempotent,
		"GitHub environment {environmentName} already exists (idempotent operation).", ""},
	{RequestTooLarge, http.StatusRequestEntityTooLarge, Err, RetryNone,
		"The request body is larger than {limit} bytes.", ""},
	{SourceUnavailable, http.StatusFailedDependency, Err, RetryNone,
		"No value to be had: {reason}.", ""},
	{RateLimitUser, http.StatusTooManyRequests, Warn, RetrySafe,
		"Too many requests of this user.", "Wait {retryAfter} seconds."},
	{RateLimitProject, http.StatusTooManyRequests, Warn, RetrySafe,
		"Too many requests for this project.", "Wait {retryAfter} seconds."},
	{RateLimitExhausted, http.StatusTooManyRequests, Err, RetryNone,
		"GitHub Secrets API rate limit exhausted. Reset at {resetAt}.", "Run again after the reset, or with --wait."},
	{IntegrationDenied, http.StatusBadGateway, Err, RetryNone,
		"GitHub refused: {reason}.", ""},
	{IntegrationUnavailable, http.StatusServiceUnavailable, Err, RetryIdempotent,
		"GitHub did not answer as it should: {reason}.", "Run again; what was written is remembered."},
	{EncryptionFailed, http.StatusBadGateway, Err, RetrySafe,
		"Failed to encrypt secret value with repository public key.", ""},
	{StoreUnavailable, http.StatusServiceUnavailable, Critical, RetrySafe,
		"The database cannot be used: {reason}.", ""},
	{SyncPartialFailure, http.StatusOK, Warn, RetryIdempotent,
		"Secret sync completed with {failureCount} failures out of {totalCount} operations.", ""},
	{Excluded, http.StatusOK, Info, RetryNone,
		"Secret {secretName} excluded from sync (matches pattern {pattern}).", ""},
	{ConflictDetected, http.StatusOK, Warn, RetryNone,
		"Secret {secretName} has different values across scopes.", ""},
}
