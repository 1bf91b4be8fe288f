package httpapi

import (
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/audit"
	"github.com/octoseal/octoseal/internal/environment"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/octoseal/octoseal/internal/syncing"
)

// shapes are a service's answers with every field set, each beside the shape it is answered in.
func shapes() map[string][2]any {
	name, text := secret.MustName("API_KEY"), "why"
	action := plan.Action{SecretName: name, Scope: secret.Codespaces, Verb: plan.Update, Reason: plan.Reasons()[0].Reason}
	notice := plan.Notice{Code: fault.Excluded, Message: "m", SecretName: "API_KEY", Scope: "actions", Context: fault.Context{"k": "v"}}
	place := plan.Finding{SecretName: name, Scope: secret.Dependabot}
	summary := plan.Summary{Create: 1, Update: 2, Delete: 3, Skip: 4, Leave: 5, Forget: 6, Conflict: 7, Error: 8}
	now := time.Now().UTC().Truncate(time.Second)
	failure := syncing.Failure{SecretName: "API_KEY", Scope: "actions", Error: "e", Code: fault.ConflictDetected, Hint: "h"}
	return map[string][2]any{
		"Environments":          {environmentsAnswer(notice, summary), &EnvironmentsResponse{}},
		"EnvironmentsPlan":      {environmentsPlanned(notice, summary), &EnvironmentsPlan{}},
		"EnvironmentValidation": {environment.Validation{Rules: []environment.RuleFinding{ruleFinding}, Missing: []plan.Finding{place}}, &ValidateResponse{}},
		"Environment":           {environmentStanding(now), &Environment{}},
		"Result": {syncing.Result{
			SyncedCount: 1, SkippedCount: 2, Errors: []syncing.Failure{failure}, CorrelationID: uuid.New(), DurationMs: 3,
			Notices: []plan.Notice{notice}, Summary: summary, Actions: []syncing.Done{{Action: action, OK: true}}, Withheld: 4,
		}, &RunResponse{}},
		"Preview": {syncing.Preview{
			CorrelationID: uuid.New(), Actions: []plan.Action{action}, Summary: summary, Cost: syncing.Cost{Cost: plan.Cost{Requests: 1, Writes: 2}, Seconds: 3},
			Notices: []plan.Notice{notice}, Withheld: true, FirstRun: true, Empty: true,
		}, &PlanResponse{}},
		"Validation": {syncing.Validation{
			Valid: true, Missing: []plan.Finding{place}, Unverified: []plan.Finding{place}, Orphans: []plan.Finding{place}, Unknown: []plan.Finding{place},
			Conflicts:        []plan.Disagreement{{SecretName: name, Scopes: []secret.Scope{secret.Actions}, ValueHashes: map[string]string{"actions": "x"}}},
			Summary:          plan.Tally{TotalSecrets: 1, MissingCount: 2, ConflictCount: 3, ValidCount: 4},
			RemediationSteps: []string{"s"}, Notices: []plan.Notice{notice}, CorrelationID: uuid.New(),
		}, &ValidateResponse{}},
		"Event": {audit.Event{
			ID: uuid.New(), ProjectID: uuid.New(), ActorID: uuid.New(), Operation: audit.Update, SecretName: &text, AffectedScopes: []secret.Scope{secret.Actions},
			Status: audit.Partial, SuccessCount: 1, FailureCount: 2, ErrorMessage: &text, CorrelationID: uuid.New(), DurationMs: 3,
			Metadata: map[string]any{"k": "v"}, CreatedAt: now, Seq: 4, PrevHash: "p", Hash: "h",
		}, &Event{}},
	}
}

var (
	ruleFinding = environment.RuleFinding{Environment: environment.Production, Subject: environment.SubjectWait, Reason: environment.Loosened, Weaker: true, Have: 0.0, Wanted: 30.0}
	anAction    = environment.Action{Environment: environment.Dev, Subject: environment.SubjectBranches, Verb: plan.Update, Reason: environment.Differs, Have: "any branch", Wanted: "branches main"}
	someFailure = environment.Failure{Environment: "dev", Error: "e", Code: fault.ReviewerNotFound, SecretName: "S", Hint: "h", Context: fault.Context{"k": "v"}}
	someLinks   = environment.Links{NeonBranchID: "n", CloudflareWorkerName: "w", CloudflarePagesProject: "p"}
	one, yes    = 1, true
	everyRule   = environment.Rules{RequiredReviewers: &one, ReviewerIDs: []int64{7}, RestrictToMainBranch: &yes, WaitTimer: &one}
)

func environmentsAnswer(n plan.Notice, s plan.Summary) environment.Result {
	return environment.Result{
		Created: []string{"dev"}, Updated: []string{"staging"}, Errors: []environment.Failure{someFailure}, CorrelationID: uuid.New(), DurationMs: 5,
		Notices: []plan.Notice{n}, Summary: s, Actions: []environment.Done{{Action: anAction, OK: true}},
	}
}

func environmentsPlanned(n plan.Notice, s plan.Summary) environment.Preview {
	return environment.Preview{
		CorrelationID: uuid.New(), Actions: []environment.Action{anAction}, Summary: s, Cost: plan.Cost{Requests: 3, Writes: 2},
		Errors: []environment.Failure{someFailure}, Notices: []plan.Notice{n}, Empty: true,
	}
}

func environmentStanding(now time.Time) environment.Standing {
	return environment.Standing{
		Name: "dev", GitHubEnvironmentID: 1 << 40, Exists: true, Managed: true, ProtectionRules: everyRule, Asked: everyRule,
		Differences: []environment.RuleFinding{ruleFinding}, Linked: someLinks, Status: store.EnvironmentActive, LastDeploymentAt: &now,
		Secrets: []environment.StandingSecret{{Name: secret.MustName("S"), LastUpdatedAt: now, Standing: plan.StandsIn}},
	}
}
