// Package conform serves a simulated GitHub to tests and holds every answer it gives
// against GitHub's own OpenAPI description, and every body it accepts. A simulator that drifts
// from the service makes every other test worthless, so all tests that talk to one go through
// here. What GitHub does beyond its description is written down in one place (beyond).
//
// The description is the file github-openapi.json that stands beside the project's
// repository, or the one that OCTOSEAL_GITHUB_OPENAPI names. Where there is none, answers
// pass unchecked, and the test's log says so.
package conform

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"

	"github.com/octoseal/octoseal/internal/githubsim"
)

// Server serves gh on loopback until the test ends and returns the URL of its API. Stalled
// requests and jobs end with the test.
func Server(t testing.TB, gh *githubsim.GitHub) string {
	t.Helper()
	alive, end := context.WithCancel(context.Background())
	srv := httptest.NewUnstartedServer(Handler(t, gh))
	srv.Config.BaseContext = func(net.Listener) context.Context { return alive }
	srv.Start()
	t.Cleanup(func() {
		end()
		gh.Close()
		srv.CloseClientConnections()
		srv.Close()
	})
	return srv.URL + gh.Prefix()
}

// Handler answers as gh does and reports each answer that GitHub's description does not
// allow as an error of the test.
func Handler(t testing.TB, gh *githubsim.GitHub) http.Handler {
	t.Helper()
	d, err := load()
	switch {
	case os.IsNotExist(err):
		t.Logf("answers are not held against GitHub's OpenAPI description: %v", err)
		return gh
	case err != nil:
		t.Fatalf("GitHub's OpenAPI description: %v", err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen := &recorder{ResponseWriter: w}
		heard := r.WithContext(r.Context())
		heard.Body = struct {
			io.Reader
			io.Closer
		}{io.TeeReader(r.Body, &seen.sent), r.Body}
		gh.ServeHTTP(seen, heard)
		if seen.status == 0 {
			return // the connection was dropped on purpose
		}
		if err := d.check(gh, r, seen); err != nil {
			t.Errorf("%s %s: %d is not an answer of GitHub's: %v", r.Method, r.URL.EscapedPath(), seen.status, err)
		}
	})
}

// A recorder passes an answer on and keeps a copy.
type recorder struct {
	http.ResponseWriter
	status int
	sent   bytes.Buffer // the request's body
	body   bytes.Buffer
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(p []byte) (int, error) {
	r.body.Write(p)
	return r.ResponseWriter.Write(p)
}

// A description is GitHub's OpenAPI document, ready to check with.
type description struct {
	document *openapi3.T
	router   routers.Router
}

// load reads the description once per test binary.
var load = sync.OnceValues(func() (*description, error) {
	path, err := find()
	if err != nil {
		return nil, err
	}
	document, err := openapi3.NewLoader().LoadFromFile(path)
	if err != nil {
		return nil, err
	}
	document.Servers = nil // the simulator answers under any host
	beyond(document)
	router, err := gorillamux.NewRouter(document)
	if err != nil {
		return nil, err
	}
	return &description{document, router}, nil
})

// find returns the description's path: beside the folder that holds go.mod.
func find() (string, error) {
	if path := os.Getenv("OCTOSEAL_GITHUB_OPENAPI"); path != "" {
		return path, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for dir != filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		dir = filepath.Dir(dir)
	}
	path := filepath.Join(filepath.Dir(dir), "shared", "github-openapi.json")
	_, err = os.Stat(path)
	return path, err
}

// undocumented are the statuses that GitHub sends though its description does not list
// them for the call.
var undocumented = map[int]string{
	301: "any call on a renamed repository redirects; the description knows one",
	304: "any list can be asked for conditionally; the description knows four",
	307: "as 301, for writes",
	400: "a body or version that cannot be read is refused before the call is looked at",
	401: "as every refusal: listed for few calls and sent by all",
	403: "as 401; also limits",
	404: "as 401",
	413: "as 400",
	422: "as 401; secrets have a dozen reasons of their own",
	429: "limits",
	500: "the service can fail",
	502: "the service can fail",
	503: "the service can fail",
}

func (d *description) check(gh *githubsim.GitHub, r *http.Request, seen *recorder) error {
	if r.Method == http.MethodHead || seen.status == http.StatusNotModified || excused(gh, r, seen) {
		return nil // no body, hence nothing described
	}
	if gh.Prefix() == "" && seen.Header().Get("Date") == "" {
		return fmt.Errorf("no Date")
	}
	input, known := d.input(gh, r, seen)
	if !known {
		return d.checkError(seen)
	}
	if err := openapi3filter.ValidateResponse(context.Background(), input); err != nil {
		return err
	}
	if err := checkSent(input.RequestValidationInput, seen); err != nil {
		return fmt.Errorf("accepts a body that GitHub's description refuses: %w", err)
	}
	return nil
}

// checkSent holds a body that was accepted against the description. The refused ones are the
// simulator's own to judge.
func checkSent(input *openapi3filter.RequestValidationInput, seen *recorder) error {
	wanted := input.Route.Operation.RequestBody
	if wanted == nil || seen.status >= 300 {
		return nil
	}
	input.Options = &openapi3filter.Options{MultiError: true}
	input.Options.WithCustomSchemaErrorFunc(brief)
	input.Request.Header.Set("Content-Type", "application/json") // GitHub reads all bodies so
	input.Request.Body = io.NopCloser(bytes.NewReader(seen.sent.Bytes()))
	err := openapi3filter.ValidateRequestBody(context.Background(), input, wanted.Value)
	if wrong := (*openapi3filter.RequestError)(nil); errors.As(err, &wrong) && wrong.Err != nil {
		return wrong.Err // without what was sent
	}
	return err
}

// excused tells whether an answer is one that the description is known to be wrong about.
func excused(gh *githubsim.GitHub, r *http.Request, seen *recorder) bool {
	switch path := r.URL.Path; {
	case strings.HasSuffix(path, "/public-key") && gh.Prefix() != "":
		return true // Enterprise Server sends key_id as a number
	case path == "/rate_limit":
		// From 2026-03-10 on there is no top-level rate; the description still demands it.
		return seen.Header().Get("X-GitHub-Api-Version-Selected") == "2026-03-10"
	case strings.HasPrefix(path, "/_services/"):
		return true // the issuer of ID tokens is no part of the API
	}
	return false
}

// input finds what the description says of this answer; false if it says nothing.
func (d *description) input(gh *githubsim.GitHub, r *http.Request, seen *recorder) (*openapi3filter.ResponseValidationInput, bool) {
	asked := r.Clone(context.Background())
	asked.URL.Path, asked.URL.RawPath = described(gh, r.URL.EscapedPath()), ""
	if strings.Contains(asked.URL.Path, "%") {
		asked.URL.RawPath = asked.URL.Path
	}
	route, params, err := d.router.FindRoute(asked)
	if err != nil || route.Operation.Responses.Status(seen.status) == nil {
		return nil, false
	}
	input := &openapi3filter.ResponseValidationInput{
		RequestValidationInput: &openapi3filter.RequestValidationInput{Request: asked, PathParams: params, Route: route},
		Status:                 seen.status,
		Header:                 seen.Header(),
		Options:                &openapi3filter.Options{IncludeResponseStatus: true, MultiError: true},
	}
	input.Options.WithCustomSchemaErrorFunc(brief)
	return input.SetBodyBytes(seen.body.Bytes()), true
}

var byID = regexp.MustCompile(`^/repositories/[0-9]+`)

// described is a path as the description knows it: without the server's prefix, and with
// repositories by name.
func described(gh *githubsim.GitHub, path string) string {
	return byID.ReplaceAllString(strings.TrimPrefix(path, gh.Prefix()), "/repos/owner/name")
}

// checkError holds an answer that the description does not list against the shape of all
// refusals.
func (d *description) checkError(seen *recorder) error {
	if undocumented[seen.status] == "" {
		return fmt.Errorf("neither described nor known to be sent")
	}
	if seen.status >= 500 || !strings.HasPrefix(seen.Header().Get("Content-Type"), "application/json") {
		return nil
	}
	schema := d.document.Components.Schemas["basic-error"].Value
	var body any
	if err := json.Unmarshal(seen.body.Bytes(), &body); err != nil {
		return err
	}
	if wrong := (*openapi3.SchemaError)(nil); errors.As(schema.VisitJSON(body), &wrong) {
		return errors.New(brief(wrong))
	}
	return nil
}

// brief tells where and what, without the answer's own text, which may echo a value.
func brief(wrong *openapi3.SchemaError) string {
	return fmt.Sprintf("at /%s: %s", strings.Join(wrong.JSONPointer(), "/"), wrong.Reason)
}
