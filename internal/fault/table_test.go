package fault

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// A promise is what data-model.md says of a code. Its message is theirs, word for word.
type promise struct {
	severity Severity
	retry    RetryPolicy
	message  string
	context  []string
}

var dataModel = map[Code]promise{
	"GITHUB_SECRETS_RATE_LIMIT_EXHAUSTED": {Err, RetryNone, "GitHub Secrets API rate limit exhausted. Reset at {resetAt}.",
		[]string{"quotaType", "remaining", "resetAt"}},
	"GITHUB_SECRETS_ENCRYPTION_FAILED": {Err, RetrySafe, "Failed to encrypt secret value with repository public key.",
		[]string{"secretName", "error"}},
	"GITHUB_SECRETS_SYNC_PARTIAL_FAILURE": {Warn, RetryIdempotent, "Secret sync completed with {failureCount} failures out of {totalCount} operations.",
		[]string{"successCount", "failureCount", "totalCount", "failedScopes"}}, // totalCount stands in the message alone
	"GITHUB_SECRETS_EXCLUDED": {Info, RetryNone, "Secret {secretName} excluded from sync (matches pattern {pattern}).",
		[]string{"secretName", "pattern", "isGlobal"}},
	"GITHUB_SECRETS_CONFLICT_DETECTED": {Warn, RetryNone, "Secret {secretName} has different values across scopes.",
		[]string{"secretName", "conflictingScopes", "valueHashes"}},
	"GITHUB_SECRETS_NAME_INVALID": {Err, RetryNone, "Secret name must be uppercase with underscores and start with a letter.",
		[]string{"secretName", "pattern"}},
	"GITHUB_ENV_PROTECTION_RULE_CONFLICT": {Err, RetryNone, "Cannot modify protection rules: environment has active deployments.",
		[]string{"environment", "activeDeployments"}},
	"GITHUB_ENV_REVIEWER_NOT_FOUND": {Err, RetryNone, "Reviewer user ID {reviewerId} not found in repository.",
		[]string{"reviewerId", "environment"}},
	"GITHUB_ENV_ALREADY_EXISTS": {Info, RetryIdempotent, "GitHub environment {environmentName} already exists (idempotent operation).",
		[]string{"environmentName", "githubEnvironmentId"}},
}

// statuses is the table of design.md §6, and 200 for what is reported inside an answer.
var statuses = map[int][]Code{
	http.StatusOK: {"GITHUB_SECRETS_SYNC_PARTIAL_FAILURE", "GITHUB_SECRETS_EXCLUDED", "GITHUB_SECRETS_CONFLICT_DETECTED", "GITHUB_ENV_ALREADY_EXISTS"},
	http.StatusBadRequest: {"REQUEST_INVALID", "GITHUB_SECRETS_NAME_INVALID", "GITHUB_SECRETS_VALUE_TOO_LARGE", "RELAY_BATCH_INVALID",
		"GITHUB_ENV_REVIEWER_NOT_FOUND"},
	http.StatusUnauthorized:          {"AUTH_TOKEN_MISSING", "AUTH_TOKEN_INVALID"},
	http.StatusForbidden:             {"AUTH_ROLE_DENIED", "RELAY_CLAIM_DENIED"},
	http.StatusNotFound:              {"PROJECT_NOT_FOUND", "RESOURCE_NOT_FOUND", "ROUTE_NOT_FOUND"},
	http.StatusMethodNotAllowed:      {"METHOD_NOT_ALLOWED"},
	http.StatusConflict:              {"GITHUB_ENV_PROTECTION_RULE_CONFLICT"},
	http.StatusRequestEntityTooLarge: {"REQUEST_TOO_LARGE"},
	http.StatusMisdirectedRequest:    {"RELAY_SESSION_ELSEWHERE"}, // ours: design.md names no code for it
	http.StatusFailedDependency:      {"GITHUB_SECRETS_SOURCE_UNAVAILABLE"},
	http.StatusTooManyRequests:       {"RATE_LIMIT_USER", "RATE_LIMIT_PROJECT", "GITHUB_SECRETS_RATE_LIMIT_EXHAUSTED"},
	http.StatusInternalServerError:   {"INTERNAL_UNEXPECTED"},
	http.StatusBadGateway:            {"GITHUB_INTEGRATION_DENIED", "GITHUB_SECRETS_ENCRYPTION_FAILED"},
	http.StatusServiceUnavailable:    {"GITHUB_INTEGRATION_UNAVAILABLE", "STORE_UNAVAILABLE"},
}

// Every code of the two contracts has its row, and no other has one.
func TestTableIsWhole(t *testing.T) {
	want := map[Code]int{}
	for status, codes := range statuses {
		for _, c := range codes {
			want[c] = status
		}
	}
	seen := map[Code]bool{}
	for _, k := range Kinds() {
		if seen[k.Code] {
			t.Errorf("%s stands twice", k.Code)
		}
		seen[k.Code] = true
		if status, known := want[k.Code]; !known || status != k.Status {
			t.Errorf("%s has status %d, the design says %d", k.Code, k.Status, status)
		}
		if KindOf(k.Code) != k {
			t.Errorf("%s is found as %+v", k.Code, KindOf(k.Code))
		}
	}
	for c := range want {
		if !seen[c] {
			t.Errorf("%s has no row", c)
		}
	}
	for c := range dataModel {
		if !seen[c] {
			t.Errorf("%s of data-model.md has no row", c)
		}
	}
}

// Every constant of the type Code has a row: one without would be reported as unexpected.
func TestEveryCodeHasARow(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "table.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(f, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if id, ok := spec.Type.(*ast.Ident); !ok || id.Name != "Code" {
			return true
		}
		code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		found++
		if _, ok := byCode[Code(code)]; !ok {
			t.Errorf("%s has no row", code)
		}
		return true
	})
	if found != len(kinds) {
		t.Errorf("%d constants, %d rows", found, len(kinds))
	}
}

// What data-model.md promises stands as it is written there.
func TestDataModelIsKept(t *testing.T) {
	for code, p := range dataModel {
		k := KindOf(code)
		if k.Severity != p.severity || k.Retry != p.retry || k.Message != p.message {
			t.Errorf("%s: %s, %s, %q; data-model.md says %s, %s, %q", code, k.Severity, k.Retry, k.Message, p.severity, p.retry, p.message)
		}
		for _, key := range keys(k.Message, k.Hint) {
			if !slices.Contains(p.context, key) {
				t.Errorf("%s names {%s}, which is no key of its context", code, key)
			}
		}
	}
}

// keys returns what templates name in braces.
func keys(templates ...string) []string {
	var out []string
	for _, t := range templates {
		for _, m := range braced.FindAllStringSubmatch(t, -1) {
			out = append(out, m[1])
		}
	}
	return out
}

var (
	codeForm  = regexp.MustCompile(`^[A-Z]+(_[A-Z]+)+$`)
	wordsThat = regexp.MustCompile(`(?i)\b(fail(ed|s|ure)?|unable|could not|couldn't|error)\b`)
)

// House rules for codes and words. Being a fault already says that something went wrong.
func TestWords(t *testing.T) {
	severities := []Severity{Info, Warn, Err, Critical}
	policies := []RetryPolicy{RetryNone, RetrySafe, RetryIdempotent}
	for _, k := range Kinds() {
		if !codeForm.MatchString(string(k.Code)) || !slices.Contains(severities, k.Severity) || !slices.Contains(policies, k.Retry) {
			t.Errorf("%+v: code, severity or retry policy is none of the contract's", k)
		}
		if k.Message == "" || !strings.HasSuffix(k.Message, ".") || k.Hint != "" && !strings.HasSuffix(k.Hint, ".") {
			t.Errorf("%s: message and hint are sentences: %q %q", k.Code, k.Message, k.Hint)
		}
		ours := k.Hint
		if _, theirs := dataModel[k.Code]; !theirs {
			ours += k.Message
		}
		if w := wordsThat.FindString(ours); w != "" {
			t.Errorf("%s says %q: %q %q", k.Code, w, k.Message, k.Hint)
		}
	}
}
