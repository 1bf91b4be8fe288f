package httpapi

import (
	"net/http"

	"github.com/octoseal/octoseal/internal/fault"
)

// registerOpen adds the paths that take no bearer token.
func (s *server) registerOpen() {
	s.documentOpenings()
	hooks := &hooks{server: s, places: make(chan struct{}, hooksAtOnce)}
	s.mux.Handle("POST "+hookPath, hooks)
	s.mux.HandleFunc("GET /healthz", s.healthz)
	s.mux.HandleFunc("GET /readyz", s.readyz)
	s.mux.Handle("GET /metrics", s.open("/metrics", s.metrics.handler(s.store, s.log)))
	s.registerDocs()
}

// open names the route of a handler that is not ours, for the log and the metrics.
func (s *server) open(route string, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		exchangeOf(r.Context()).route = route
		h.ServeHTTP(w, r)
	})
}

func (s *server) healthz(w http.ResponseWriter, r *http.Request) {
	exchangeOf(r.Context()).route = "/healthz"
	answerJSON(w, http.StatusOK, map[string]string{"status": "ok"})
}

// readyz says whether requests should be sent here.
func (s *server) readyz(w http.ResponseWriter, r *http.Request) {
	exchangeOf(r.Context()).route = "/readyz"
	err := s.store.Ready(r.Context())
	if err == nil && s.Ready != nil {
		err = s.Ready(r.Context())
	}
	if err != nil {
		f := fault.Of(err)
		if f.Code != fault.StoreUnavailable { // whatever it is, it is why no work can be done here
			f = fault.New(fault.StoreUnavailable, fault.Context{"reason": f.Message}).Because(err)
		}
		s.answerFault(w, r, f)
		return
	}
	answerJSON(w, http.StatusOK, map[string]string{"status": "ready"})
}
