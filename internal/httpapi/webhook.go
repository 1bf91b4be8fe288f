package httpapi

import (
	"context"
	"net/http"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
)

const hookPath = "/github/webhooks"

const (
	// maxHook is the largest payload that GitHub sends.
	maxHook = 25 << 20
	// hooksAtOnce bounds the memory that deliveries take before their signature is known.
	hooksAtOnce = 8
)

// A Deliver takes in a delivery whose signature was found good, once for each guid, and queues what
// it asks for; GitHub waits for it.
type Deliver func(ctx context.Context, guid, event, contentType string, body []byte) error

// hooks takes GitHub's deliveries: the signature over the raw body first, the body afterwards.
type hooks struct {
	*server
	places chan struct{}
}

// ServeHTTP answers a delivery.
func (h *hooks) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	exchangeOf(r.Context()).route = hookPath
	select {
	case h.places <- struct{}{}:
		defer func() { <-h.places }()
	case <-r.Context().Done():
		return
	}
	if err := h.take(w, r); err != nil {
		h.answerFault(w, r, err)
		return
	}
	if r.Header.Get("X-GitHub-Event") == "ping" {
		answerJSON(w, http.StatusOK, map[string]string{"status": "pong"})
		return
	}
	answerJSON(w, http.StatusAccepted, map[string]string{"status": "accepted"})
}

func (h *hooks) take(w http.ResponseWriter, r *http.Request) error {
	signature := r.Header.Get("X-Hub-Signature-256")
	switch {
	case len(h.HookSecrets) == 0 || h.Deliver == nil:
		return fault.New(fault.RouteNotFound, fault.Context{"path": hookPath, "method": r.Method}).
			Hinting("No webhook secret is configured, so no delivery can be trusted.")
	case signature == "":
		return fault.New(fault.TokenMissing, nil).Saying("The delivery is not signed.").Hinting("Set a secret for the webhook on GitHub.")
	}
	body, err := readBody(w, r, maxHook, 0)
	if err != nil {
		return err
	}
	if !h.signed(body, signature) {
		return fault.New(fault.TokenInvalid, nil).Saying("The delivery's signature does not fit its body.").
			Hinting("The webhook's secret on GitHub and the one configured here differ.")
	}
	return h.Deliver(r.Context(), r.Header.Get("X-GitHub-Delivery"), r.Header.Get("X-GitHub-Event"), r.Header.Get("Content-Type"), body)
}

// signed tries every secret, so that how long it takes does not tell which one fits.
func (h *hooks) signed(body []byte, signature string) bool {
	fits := false
	for _, secret := range h.HookSecrets {
		fits = github.SignedWith([]byte(secret), body, signature) || fits
	}
	return fits
}
