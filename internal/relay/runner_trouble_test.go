package relay_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/relay"
)

// failing answers the first n requests to a path with something else than the truth.
func (c *counterpart) failing(path string, n int, how func(w http.ResponseWriter)) {
	before := c.answer
	c.answer = func(w http.ResponseWriter, r *http.Request) bool {
		if before != nil && before(w, r) {
			return true
		}
		if r.URL.Path != path || n == 0 {
			return false
		}
		n--
		how(w)
		return true
	}
}

func hangUp(http.ResponseWriter) { panic(http.ErrAbortHandler) }

func status(code int) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { w.WriteHeader(code) }
}

func code(code fault.Code, reason string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) { refuse(w, code, reason) }
}

// What may pass is tried again, whichever message it hits, and every value still arrives once.
func TestPassingTrouble(t *testing.T) {
	for what, how := range map[string]func(http.ResponseWriter){
		"the connection breaks":   hangUp,
		"a gateway's 502":         status(502),
		"a 503 of ours":           code(fault.StoreUnavailable, "asleep"),
		"429":                     status(429),
		"another replica's 421":   code(fault.RelayElsewhere, ""),
		"an unexpected fault":     code(fault.Unexpected, ""),
		"too many for a project":  code(fault.RateLimitProject, ""),
		"GitHub is not available": code(fault.IntegrationUnavailable, "it sleeps"),
	} {
		for _, path := range []string{"/token", relay.ClaimPath, relay.BoxesPath, relay.FinishPath} {
			if path == "/token" && strings.Contains(what, "421") { // which is a server's of ours to say
				continue
			}
			t.Run(what+" at "+path, func(t *testing.T) {
				c := newCounterpart(t, "codespaces")
				c.want("A")
				c.failing(path, 3, how)
				if _, err := relay.Run(t.Context(), c.job(map[string]string{"A": "value"})); err != nil {
					t.Fatal(err)
				}
				c.holds("A", "value")
				if c.claims != 1 || len(c.finished) != 1 {
					t.Errorf("%d claims, %d finished", c.claims, len(c.finished))
				}
			})
		}
	}
}

// A session that stays lost is claimed anew with a fresh token, and everything is sent again.
func TestLostSessionIsClaimedAnew(t *testing.T) {
	for what, how := range map[string]func(http.ResponseWriter){
		"held elsewhere": code(fault.RelayElsewhere, ""),
		"superseded":     code(fault.RelayClaimDenied, string(relay.DeniedSession)),
		"gone":           hangUp,
	} {
		for _, path := range []string{relay.BoxesPath, relay.FinishPath} {
			t.Run(what+" at "+path, func(t *testing.T) {
				c := newCounterpart(t, "codespaces")
				c.want("A")
				c.answer = func(w http.ResponseWriter, r *http.Request) bool {
					lost := r.URL.Path == path && c.claims < 3
					if lost {
						how(w)
					}
					return lost
				}
				cfg := c.job(map[string]string{"A": "value"})
				cfg.Patience = 30 * time.Millisecond
				if _, err := relay.Run(t.Context(), cfg); err != nil {
					t.Fatal(err)
				}
				c.holds("A", "value")
				if c.claims != 3 || c.asked != 3 || len(c.finished) != 1 {
					t.Errorf("%d claims with %d tokens, %d finished", c.claims, c.asked, len(c.finished))
				}
			})
		}
	}
}

// The runner gives up in the end, having claimed four times.
func TestGivesUp(t *testing.T) {
	c := newCounterpart(t, "codespaces")
	c.want("A")
	c.failing(relay.BoxesPath, -1, code(fault.RelayElsewhere, ""))
	cfg := c.job(map[string]string{"A": "value"})
	cfg.Patience = 20 * time.Millisecond
	_, err := relay.Run(t.Context(), cfg)
	if !fault.Is(err, fault.RelayElsewhere) || c.claims != 4 {
		t.Errorf("%d claims, then %v", c.claims, err)
	}
}

// A refusal is final: it is not tried again, and its reason reaches whoever reads the log.
func TestRefusalsAreFinal(t *testing.T) {
	for _, denial := range []relay.Denial{relay.DeniedRepository, relay.DeniedBranch, relay.DeniedRun} {
		c := newCounterpart(t, "codespaces")
		c.failing(relay.ClaimPath, -1, code(fault.RelayClaimDenied, string(denial)))
		_, err := relay.Run(t.Context(), c.job(nil))
		if !fault.Is(err, fault.RelayClaimDenied) || !strings.Contains(err.Error(), string(denial)) || c.asked != 1 {
			t.Errorf("%v after %d tokens", err, c.asked)
		}
	}
	c := newCounterpart(t, "codespaces")
	c.want("A")
	c.failing(relay.BoxesPath, -1, code(fault.RelayBatchInvalid, "A has a hash of wrong length"))
	_, err := relay.Run(t.Context(), c.job(map[string]string{"A": "value"}))
	if !fault.Is(err, fault.RelayBatchInvalid) || c.claims != 1 {
		t.Errorf("%v after %d claims", err, c.claims)
	}
	c.untouched(fault.RequestInvalid)
}

// A redirect is an error, wherever it leads: what is sent is for one server.
func TestNoRedirectIsFollowed(t *testing.T) {
	followed := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { followed = true }))
	defer elsewhere.Close()
	for _, path := range []string{"/token", relay.ClaimPath, relay.BoxesPath, relay.FinishPath} {
		for _, status := range []int{301, 302, 307, 308} {
			c := newCounterpart(t, "codespaces")
			c.want("A")
			c.failing(path, -1, func(w http.ResponseWriter) {
				w.Header().Set("Location", elsewhere.URL+path)
				w.WriteHeader(status)
			})
			cfg := c.job(map[string]string{"A": "value"})
			cfg.Client = &http.Client{}
			if _, err := relay.Run(t.Context(), cfg); err == nil {
				t.Errorf("%d at %s passes", status, path)
			}
		}
	}
	if followed {
		t.Error("a redirect was followed")
	}
}

// An answer without end, or of the wrong kind, costs no more than its bound.
func TestStrangeAnswers(t *testing.T) {
	for what, how := range map[string]func(http.ResponseWriter){
		"endless": func(w http.ResponseWriter) {
			line := []byte(strings.Repeat("{", 1<<16))
			for range 80 {
				if _, err := w.Write(line); err != nil {
					return
				}
			}
		},
		"HTML":         func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>::error::hello")) },
		"an empty 404": status(404),
		"a session to split a header": func(w http.ResponseWriter) {
			reply(w, 200, map[string]any{"version": 1, "session": "osr_x\r\nX-Evil: 1", "syncId": syncID})
		},
		"no session": func(w http.ResponseWriter) { reply(w, 200, map[string]any{"version": 1, "syncId": syncID}) },
		"another code": func(w http.ResponseWriter) {
			reply(w, 418, map[string]any{"error": map[string]any{"code": "::error::X", "message": "x"}})
		},
	} {
		t.Run(what, func(t *testing.T) {
			c := newCounterpart(t, "codespaces")
			c.want("A")
			c.failing(relay.ClaimPath, -1, how)
			_, err := relay.Run(t.Context(), c.job(map[string]string{"A": "value"}))
			if !fault.Is(err, fault.StoreUnavailable) || strings.Contains(err.Error(), "::error") {
				t.Errorf("%v", err)
			}
			if len(c.messages) > 0 || c.asked != 1 {
				t.Errorf("%d tokens were asked for, %d messages sent", c.asked, len(c.messages))
			}
		})
	}
}

// A server's words are repeated without anything that a log could take for a command.
func TestServersWordsAreTamed(t *testing.T) {
	c := newCounterpart(t, "codespaces")
	c.failing(relay.ClaimPath, -1, func(w http.ResponseWriter) {
		reply(w, 403, map[string]any{"error": map[string]any{
			"code": fault.RelayClaimDenied, "message": "no\n::add-path::/tmp\x1b[2J", "hint": "##[set-env]" + strings.Repeat("x", 10_000),
		}})
	})
	_, err := relay.Run(t.Context(), c.job(nil))
	f := fault.Of(err)
	if strings.ContainsAny(f.Message+f.Hint, "\n\x1b") || strings.Contains(f.Message, "::") || strings.Contains(f.Hint, "##[") || len(f.Hint) > 600 {
		t.Errorf("%q, %.100q", f.Message, f.Hint)
	}
}

// Finish is repeated until the run is over.
func TestWaitsForTheRun(t *testing.T) {
	c := newCounterpart(t, "codespaces")
	c.want("A")
	c.report = relay.Report{Done: false, State: "running"}
	c.answer = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == relay.FinishPath && len(c.finished) == 2 {
			c.report = relay.Report{Done: true, State: "succeeded", Synced: 1}
		}
		return false
	}
	report, err := relay.Run(t.Context(), c.job(map[string]string{"A": "value"}))
	if err != nil || !report.Done || report.Synced != 1 || len(c.finished) != 3 {
		t.Errorf("%+v, %v after %d", report, err, len(c.finished))
	}
}

// When there is no value to be had, the run is told why.
func TestWithoutValuesTheRunIsTold(t *testing.T) {
	c := newCounterpart(t, "codespaces")
	c.want("A")
	cfg := c.job(nil)
	cfg.Values = valuesAreGone
	_, err := relay.Run(t.Context(), cfg)
	if !fault.Is(err, fault.SourceUnavailable) {
		t.Errorf("%v", err)
	}
	c.untouched(fault.SourceUnavailable)
}

// A run that needs no value is carried out whatever the job has.
func TestNothingIsWanted(t *testing.T) {
	c := newCounterpart(t, "codespaces")
	cfg := c.job(nil)
	cfg.Values = valuesAreGone
	if _, err := relay.Run(t.Context(), cfg); err != nil || len(c.messages) > 0 || len(c.finished) != 1 || c.finished[0].Failure != nil {
		t.Errorf("%v, finished with %+v", err, c.finished)
	}
}

// A job that is cancelled ends at once.
func TestCancelled(t *testing.T) {
	c := newCounterpart(t, "codespaces")
	c.want("A")
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("cancelled by hand")
	c.failing(relay.BoxesPath, -1, func(w http.ResponseWriter) {
		cancel(gone)
		w.WriteHeader(503)
	})
	cfg := c.job(map[string]string{"A": "value"})
	cfg.Patience = time.Hour
	began := time.Now()
	if _, err := relay.Run(ctx, cfg); !errors.Is(err, gone) || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}
