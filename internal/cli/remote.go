package cli

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/secret"
)

const tokenVariable = "OCTOSEAL_TOKEN"

// A remote is a server that does what is asked in place of this process. No value goes there: what
// a server writes comes from the sources that its operator named.
type remote struct {
	app    *app
	base   *url.URL
	token  secret.Plaintext
	client *http.Client
}

// requestTime is longer than any server waits for a run.
const requestTime = 2 * time.Minute

// biggestAnswer bounds what is read of an answer: far more than the longest page of a history.
const biggestAnswer = 64 << 20

// remotely has a server do it.
func (a *app) remotely(do func(r *remote) error) error {
	r, err := a.remote()
	if err != nil {
		return err
	}
	defer r.client.CloseIdleConnections()
	if r.token.Len() == 0 {
		return r.noToken()
	}
	return do(r)
}

// remote is the server that --server names. It may be looked at without a token.
func (a *app) remote() (*remote, error) {
	base, err := url.Parse(strings.TrimRight(a.settings.server, "/"))
	if err != nil || base.Host == "" || base.Scheme != "https" && base.Scheme != "http" {
		return nil, fault.Invalid("--server is no URL of a server").Hinting("Write it like https://octoseal.example")
	}
	if base.Scheme == "http" && !isLoopbackHost(base.Hostname()) {
		return nil, fault.Invalid("--server is http, which would show the token to everybody on the way").
			Hinting("Use https, or http to this machine only.")
	}
	return &remote{app: a, base: base, token: secret.NewPlaintext([]byte(a.Getenv(tokenVariable))), client: &http.Client{
		Timeout:       requestTime,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // the token is for this host
	}}, nil
}

func (r *remote) noToken() error {
	return fault.New(fault.TokenMissing, nil).Saying("%s is not set, and %s answers nobody without a token", tokenVariable, r.base.Host).
		Hinting("Its operator makes one: octoseal token create --user LOGIN --role developer --project PROJECT")
}

// asking spells the parameters of a query.
func asking(pairs ...string) string {
	q := url.Values{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return "?" + q.Encode()
}

// ask sends a request and reads the answer, or the fault that it is.
func (r *remote) ask(ctx context.Context, method, path string, body, into any) (status int, err error) {
	var content []byte
	if body != nil {
		if content, err = json.Marshal(body); err != nil {
			return 0, err
		}
	}
	a, err := r.send(ctx, method, path, content)
	if err != nil {
		return 0, err
	}
	if a.status >= http.StatusMultipleChoices {
		return a.status, r.refused(a)
	}
	if into == nil || len(a.body) == 0 {
		return a.status, nil
	}
	if err := json.Unmarshal(a.body, into); err != nil {
		return a.status, r.stranger(a.status, err)
	}
	return a.status, nil
}

// An answer is what a server said, whatever that is.
type answer struct {
	status int
	header http.Header
	way    *tls.ConnectionState // nil: plain http
	body   []byte
}

// send sends a request and reads the answer whole.
func (r *remote) send(ctx context.Context, method, path string, content []byte) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, r.base.String()+path, bytes.NewReader(content))
	if err != nil {
		return answer{}, err
	}
	if r.token.Len() > 0 {
		req.Header.Set("Authorization", "Bearer "+string(r.token.Expose()))
	}
	req.Header.Set("User-Agent", "octoseal/"+version())
	if content != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := r.client.Do(req)
	if err != nil {
		return answer{}, r.away(ctx, err)
	}
	defer res.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(res.Body, biggestAnswer))
	if err != nil {
		return answer{}, r.away(ctx, err)
	}
	return answer{res.StatusCode, res.Header, res.TLS, raw}, nil
}

// away is the fault of a server that did not answer.
func (r *remote) away(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	why := err
	if inner := (*url.Error)(nil); errors.As(err, &inner) {
		why = inner.Err
	}
	return fault.New(fault.StoreUnavailable, fault.Context{"reason": why.Error()}).
		Saying("the server %s does not answer: %s", r.base.Host, reasonOf(why)).Because(err).
		Hinting("Check --server, and whether octoseal serve runs there.")
}

// refused reads the envelope.
func (r *remote) refused(a answer) error {
	var e fault.Envelope
	err := json.Unmarshal(a.body, &e)
	if f := e.Fault(); err == nil && f != nil {
		return f
	}
	return r.stranger(a.status, err)
}

// stranger is the fault of an answer that is none of ours.
func (r *remote) stranger(status int, err error) error {
	return fault.New(fault.StoreUnavailable, fault.Context{"reason": "unknown answer", "status": status}).
		Saying("the server %s answers %d, and not as octoseal serve does", r.base.Host, status).Because(err).
		Hinting("Check --server: it is the address of octoseal serve, without any path.")
}

// project finds the id of the project that is about the repository that is meant.
func (r *remote) project(ctx context.Context) (uuid.UUID, error) {
	i, err := r.app.api()
	if err != nil {
		return uuid.Nil, err
	}
	repo, err := r.app.repository(ctx, i)
	if err != nil {
		return uuid.Nil, err
	}
	for cursor := ""; ; {
		var page struct {
			Projects []struct {
				ID         uuid.UUID `json:"id"`
				Repository string    `json:"repository"`
			} `json:"projects"`
			Next *string `json:"nextCursor"`
		}
		if _, err := r.ask(ctx, http.MethodGet, "/projects"+asking("limit", "500", "cursor", cursor), nil, &page); err != nil {
			return uuid.Nil, err
		}
		for _, p := range page.Projects {
			if strings.EqualFold(p.Repository, repo.String()) {
				return p.ID, nil
			}
		}
		if page.Next == nil {
			return uuid.Nil, fault.New(fault.ProjectNotFound, fault.Context{"projectId": repo.String()}).
				Saying("%s has no project for %s that you belong to", r.base.Host, repo).
				Hinting("Its operator adds it: octoseal project add --repo %s, and you: octoseal member add.", repo)
		}
		cursor = *page.Next
	}
}

// refuseRemote refuses flags that a server has no use for.
func refuseRemote(given map[string]bool, why string) error {
	for flag, is := range given {
		if is {
			return fault.Invalid("--%s and --server do not go together: %s", flag, why).
				Hinting("Leave --%s out, or --server.", flag)
		}
	}
	return nil
}
