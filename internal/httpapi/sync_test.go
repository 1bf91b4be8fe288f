package httpapi

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/store"
)

func asked(change ...any) map[string]any {
	body := map[string]any{}
	for i := 0; i < len(change); i += 2 {
		body[change[i].(string)] = change[i+1]
	}
	return body
}

const (
	syncPath     = "/github/secrets/sync"
	planPath     = "/github/secrets/plan"
	validatePath = "/github/secrets/validate"
)

func TestSyncAnswersWhenItsRunEnds(t *testing.T) {
	w := newWorld(t)
	w.work()
	token := w.token("dev", store.Developer)
	var first, again RunResponse
	r := w.send(token, "POST", syncPath, asked("projectId", w.project.ID, "unknownField", 1))
	r.into(http.StatusOK, &first)
	if first.SyncedCount != 2 || first.State != store.Succeeded || len(first.Errors) != 0 {
		t.Errorf("%s", r.body)
	}
	if v, _ := w.sim.Value(repo, "codespaces", "API_KEY"); v != "key-canary" {
		t.Errorf("codespaces has %q", v)
	}
	w.send(token, "POST", syncPath, asked("projectId", w.project.ID)).into(http.StatusOK, &again)
	if again.SyncedCount != 0 || again.SkippedCount != 2 || again.CorrelationID == first.CorrelationID {
		t.Errorf("%+v", again)
	}
	var watched RunResponse
	w.send(token, "GET", r.header.Get("Location"), nil).into(http.StatusOK, &watched)
	if watched.CorrelationID != first.CorrelationID || watched.SyncedCount != 2 || watched.FinishedAt == nil {
		t.Errorf("%+v", watched)
	}
	if strings.Contains(w.log.String(), "canary") {
		t.Error("a value is in the log")
	}
	if !strings.Contains(w.log.String(), "correlationId="+first.CorrelationID.String()) {
		t.Error("the access log does not name the run")
	}
}

func TestSyncRespondsAsync(t *testing.T) {
	w := newWorld(t)
	token := w.token("dev", store.Developer)
	prefer := func(r *http.Request) { r.Header.Set("Prefer", "wait=1, Respond-Async; x=y") }
	var queued, ended RunResponse
	r := w.send(token, "POST", syncPath, asked("projectId", w.project.ID), prefer)
	r.into(http.StatusAccepted, &queued)
	if queued.State != store.Queued || r.header.Get("Preference-Applied") != "respond-async" || r.header.Get("Location") == "" {
		t.Errorf("%v %s", r.header, r.body)
	}
	w.work()
	for range 200 {
		w.send(token, "GET", r.header.Get("Location"), nil).into(http.StatusOK, &ended)
		if isOver(ended.State) {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if ended.State != store.Succeeded || ended.SyncedCount != 2 {
		t.Errorf("%+v", ended)
	}
}

func TestSyncStopsWaitingAtItsLimit(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.WaitLimit = 120 * time.Millisecond })
	began := time.Now()
	var res RunResponse
	w.send(w.token("dev", store.Developer), "POST", syncPath, asked("projectId", w.project.ID)).into(http.StatusAccepted, &res)
	if res.State != store.Queued || time.Since(began) > 3*time.Second {
		t.Errorf("%+v after %s", res, time.Since(began))
	}
}

// A client that goes away leaves a run that goes on.
func TestSyncOutlivesItsClient(t *testing.T) {
	w := newWorld(t)
	token := w.token("dev", store.Developer)
	ctx, leave := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer leave()
	req, _ := http.NewRequestWithContext(ctx, "POST", w.http.URL+syncPath, strings.NewReader(`{"projectId":"`+w.project.ID.String()+`"}`))
	req.Header.Set("Authorization", "Bearer "+token)
	if res, err := w.client.Do(req); err == nil {
		res.Body.Close()
		t.Fatal("the request was answered before anything worked on it")
	}
	w.work()
	for range 200 {
		runs, err := w.db.LastRuns(t.Context(), w.project.ID, 1)
		must(t, err)
		if len(runs) == 1 && runs[0].State == store.Succeeded {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Error("the run did not go on")
}

func TestIdempotencyKeyJoinsItsRun(t *testing.T) {
	w := newWorld(t)
	w.work()
	token := w.token("dev", store.Developer)
	key := func(r *http.Request) { r.Header.Set("Idempotency-Key", "k-1") }
	var first, again RunResponse
	w.send(token, "POST", syncPath, asked("projectId", w.project.ID), key).into(http.StatusOK, &first)
	w.send(token, "POST", syncPath, asked("projectId", w.project.ID), key).into(http.StatusOK, &again)
	if first.CorrelationID != again.CorrelationID || again.SyncedCount != 2 {
		t.Errorf("%+v\n%+v", first, again)
	}
	w.send(token, "POST", syncPath, asked("projectId", w.project.ID, "force", true), key).refused(http.StatusBadRequest, "REQUEST_INVALID")
	long := func(r *http.Request) { r.Header.Set("Idempotency-Key", strings.Repeat("k", 256)) }
	w.send(token, "POST", syncPath, asked("projectId", w.project.ID), long).refused(http.StatusBadRequest, "REQUEST_INVALID")
}

func TestSyncSaysWhyThereAreNoValues(t *testing.T) {
	w := newWorld(t)
	w.work()
	p := w.addProject("acme/gadgets", "")
	token := w.token("root", platform)
	problem := w.send(token, "POST", syncPath, asked("projectId", p.ID)).refused(http.StatusFailedDependency, "GITHUB_SECRETS_SOURCE_UNAVAILABLE")
	if problem.Hint == "" || problem.Context["correlationId"] == nil {
		t.Errorf("%+v", problem)
	}
	var run RunResponse
	w.send(token, "GET", runsPath+problem.Context["correlationId"].(string), nil).into(http.StatusOK, &run)
	if run.State != store.RunFailed || run.Failure == nil || run.Failure.Hint != problem.Hint {
		t.Errorf("%+v", run)
	}
	w.send(token, "POST", planPath, asked("projectId", p.ID)).refused(http.StatusFailedDependency, "GITHUB_SECRETS_SOURCE_UNAVAILABLE")
}

func TestConflictsAreErrorsOfARunThatSucceeded(t *testing.T) {
	w := newWorld(t)
	w.work()
	w.sim.SetSecret(repo, "dependabot", simSecret("API_KEY", "theirs"))
	token := w.token("dev", store.Developer)
	var plan PlanResponse
	w.send(token, "POST", planPath, asked("projectId", w.project.ID)).into(http.StatusOK, &plan)
	if plan.Summary.Conflict != 1 || plan.Summary.Create != 5 || len(plan.Actions) != 6 || plan.Cost.Writes == 0 || plan.Empty {
		t.Errorf("%+v", plan)
	}
	var res RunResponse
	w.send(token, "POST", syncPath, asked("projectId", w.project.ID)).into(http.StatusOK, &res)
	if res.State != store.Partial || len(res.Errors) != 1 || res.Errors[0].SecretName != "API_KEY" || res.Errors[0].Scope != "dependabot" {
		t.Errorf("%+v", res)
	}
	var st StatusResponse
	w.send(token, "GET", syncPath+"/status?projectId="+w.project.ID.String(), nil).into(http.StatusOK, &st)
	if st.Status != "error" || st.ErrorCount != 1 || st.LastSyncAt == nil {
		t.Errorf("%+v", st)
	}
	w.send(token, "POST", syncPath, asked("projectId", w.project.ID, "adopt", "overwrite")).into(http.StatusOK, &res)
	if res.State != store.Succeeded {
		t.Errorf("%+v", res)
	}
	var history struct {
		Events     []Event
		NextCursor *string
	}
	w.send(token, "GET", syncPath+"/history?limit=2&projectId="+w.project.ID.String(), nil).into(http.StatusOK, &history)
	if len(history.Events) != 2 || history.NextCursor == nil {
		t.Fatalf("%+v", history)
	}
	last := history.Events[1].Seq
	w.send(token, "GET", syncPath+"/history?projectId="+w.project.ID.String()+"&cursor="+*history.NextCursor, nil).into(http.StatusOK, &history)
	if history.Events[0].Seq != last-1 {
		t.Errorf("%d after %d", history.Events[0].Seq, last)
	}
}
