package relay

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

// A work is a run that is being carried out with what a session brought. It goes on whatever becomes
// of the job that waits for it.
type work struct{ done chan struct{} }

const (
	// applyAgain is how long a run rests that could not be carried out for a moment; it doubles, up to
	// applyRest.
	applyAgain = 500 * time.Millisecond
	applyRest  = 15 * time.Second
	// noting bounds the last words of a work that is cut short.
	noting = 5 * time.Second
)

// Finish carries the run out with what has come, once, and waits for its end as long as it may. Sent
// again it waits on, or answers the same report.
func (s *Server) Finish(ctx context.Context, bearer string, r FinishRequest) (Report, error) {
	failure, err := r.fault()
	if err != nil {
		return Report{}, err
	}
	row, n, err := s.find(ctx, bearer, r.SyncID, r.Version)
	if err != nil {
		return Report{}, err
	}
	run, err := s.runOf(ctx, row)
	if err != nil || isOver(run.State) {
		return reportOf(run), err
	}
	w, err := s.begin(row, n, failure)
	if err != nil {
		return Report{}, err
	}
	limit := time.NewTimer(s.WaitLimit)
	defer limit.Stop()
	select {
	case <-w.done:
	case <-limit.C:
	case <-ctx.Done(): // the job went away, or this process is about to: it may ask again
		return reportOf(run), nil
	}
	run, err = s.runOf(ctx, row)
	return reportOf(run), err
}

func (s *Server) runOf(ctx context.Context, row store.Session) (store.Run, error) {
	run, found, err := s.Store.Run(ctx, row.Run)
	if err == nil && !found {
		err = deny(DeniedRun, errNoRun)
	}
	return run, err
}

// jobFaults are the codes that a job may end its run with.
var jobFaults = []fault.Code{fault.EncryptionFailed, fault.SourceUnavailable, fault.RequestInvalid, fault.ValueTooLarge}

const (
	longestMessage = 500
	longestHint    = 500
)

// fault is why the job gave up, or nil. Its words come from the job: they are shown, and no more.
func (r FinishRequest) fault() (*fault.Fault, error) {
	if r.Failure == nil {
		return nil, nil
	}
	if !slices.Contains(jobFaults, r.Failure.Code) {
		return nil, fault.Invalid("a job does not end its run with the code %q", plain(string(r.Failure.Code), 60))
	}
	message := plain(r.Failure.Message, longestMessage)
	if message == "" {
		return nil, fault.Invalid("a failure says what is wrong")
	}
	f := fault.New(r.Failure.Code, fault.Context{"reason": "the relay job gave up"}).Saying("%s", message)
	return f.Hinting("%s", plain(r.Failure.Hint, longestHint)), nil
}

// begin starts the work of a session's run, unless it is under way.
func (s *Server) begin(row store.Session, n *session, failure *fault.Fault) (*work, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if w, busy := s.atWork[row.Run]; busy && row.EndedAt == nil {
		return w, nil
	}
	switch {
	case !s.isLive(row):
		return nil, deny(DeniedSession, errOldSession)
	case n == nil || s.sessions[n.id] != n || s.working.Err() != nil:
		// Nobody has the boxes any more, perhaps since a moment ago: whoever asks again hears why.
		return nil, fault.New(fault.RelayElsewhere, nil)
	}
	brought := n.close()
	w := &work{done: make(chan struct{})}
	s.atWork[row.Run] = w
	s.works.Go(func() {
		s.carryOut(n, brought, failure)
		s.mu.Lock()
		defer s.mu.Unlock()
		n.letGo()
		s.drop(n)
		delete(s.atWork, row.Run)
		close(w.done)
	})
	return w, nil
}

// close takes no more boxes, and returns what there is. What was asked for and never came is an
// error of the run.
func (n *session) close() syncing.Relayed {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.closed, n.carried = true, true
	for name := range n.names {
		if _, came := n.sizes[name]; !came {
			n.relayed.Unusable[name] = missing(name)
		}
	}
	return n.relayed
}

// letGo says that the work is done with the boxes.
func (n *session) letGo() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.carried = false
}

// carryOut brings the run to its end. What stands in the way for a moment is tried again as long as
// the session lives; after that the job, or the run's own time, decides.
func (s *Server) carryOut(n *session, brought syncing.Relayed, failure *fault.Fault) {
	for wait := applyAgain; ; wait = min(2*wait, applyRest) {
		run, err := s.once(n, brought, failure)
		if isOver(run.State) {
			s.endSession(n)
			return
		}
		s.Log.WarnContext(s.working, "relayed run not carried out", "run", n.run.ID, "session", n.id, "cause", err)
		if errors.Is(err, errWithdrawn) || !s.Now().Before(n.expires) || !rested(s.working, wait) {
			return
		}
	}
}

// once tries to bring the run to its end, and returns it as it stands then; zero when that cannot be
// read. The run is read before, too: the claim has noted since when its values count.
func (s *Server) once(n *session, brought syncing.Relayed, failure *fault.Fault) (store.Run, error) {
	run, _, err := s.Store.Run(s.working, n.run.ID)
	if err != nil || isOver(run.State) {
		return run, err
	}
	if err := s.stillRelayed(run); err != nil {
		return run, err
	}
	if failure != nil {
		err = n.bound.Fail(s.working, run, failure)
	} else {
		_, err = n.bound.Apply(s.working, run, n.order, brought, nil)
	}
	noted, stop := context.WithTimeout(context.WithoutCancel(s.working), noting)
	defer stop()
	run, _, unread := s.Store.Run(noted, n.run.ID)
	return run, errors.Join(err, unread)
}

// stillRelayed refuses what a job brought for a project that wants it no more. Its run is the queue's
// again, which carries it out from where the values are now.
func (s *Server) stillRelayed(run store.Run) error {
	p, err := s.Store.Project(s.working, run.Project)
	if err == nil && (p.ArchivedAt != nil || !s.Service.Bind(p).FromRelay()) {
		err = errWithdrawn
	}
	return err
}

// endSession ends the session of a run that is over. What else is to be told of a run's end is told by
// the job in the queue that looks after it.
func (s *Server) endSession(n *session) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(s.working), noting)
	defer stop()
	if err := s.Store.EndSession(ctx, s.Now(), n.id); err != nil {
		s.Log.WarnContext(ctx, "session not ended; it expires by itself", "session", n.id, "cause", err)
	}
}

// rested waits, and says whether ctx goes on.
func rested(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// reportOf is a run as its job hears of it: what was done and what went wrong, without what was in
// step before.
func reportOf(run store.Run) Report {
	r := Report{Done: isOver(run.State), State: string(run.State), Synced: run.Synced, Skipped: run.Skipped, Outcomes: []Outcome{}}
	if !r.Done {
		return r
	}
	var left struct {
		Errors []struct {
			SecretName string     `json:"secretName"`
			Scope      string     `json:"scope"`
			Error      string     `json:"error"`
			Code       fault.Code `json:"code"`
			Hint       string     `json:"hint"`
		} `json:"errors"`
		Actions []struct {
			SecretName string `json:"secretName"`
			Scope      string `json:"scope"`
			Verb       string `json:"verb"`
			OK         bool   `json:"ok"`
		} `json:"actions"`
		Failure *Failure `json:"error"`
	}
	_ = json.Unmarshal(run.Result, &left) // what does not read has its counts all the same
	at := map[[2]string]int{}
	for _, a := range left.Actions {
		at[[2]string{a.SecretName, a.Scope}] = len(r.Outcomes)
		r.Outcomes = append(r.Outcomes, Outcome{SecretName: a.SecretName, Scope: a.Scope, Verb: a.Verb, OK: a.OK})
	}
	for _, e := range left.Errors {
		i, known := at[[2]string{e.SecretName, e.Scope}]
		if !known {
			i = len(r.Outcomes)
			r.Outcomes = append(r.Outcomes, Outcome{SecretName: e.SecretName, Scope: e.Scope, Verb: "error"})
		}
		r.Outcomes[i].OK, r.Outcomes[i].Code, r.Outcomes[i].Error, r.Outcomes[i].Hint = false, e.Code, e.Error, e.Hint
	}
	if run.State == store.RunFailed {
		r.Failure = left.Failure
		if r.Failure == nil {
			r.Failure = &Failure{Code: run.Code, Message: run.Error}
		}
	}
	return r
}
