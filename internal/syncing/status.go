package syncing

import (
	"context"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// A State sums a project up in one word.
type State string

// The states of data-model.md.
const (
	StateSynced  State = "synced"
	StatePending State = "pending"
	StateError   State = "error"
	StateNever   State = "never_synced"
)

// A Status is the response of status: data-model.md's fields, then the matrix.
type Status struct {
	LastSyncAt          *time.Time     `json:"lastSyncAt"`
	Status              State          `json:"status"`
	PendingCount        int            `json:"pendingCount"`
	ErrorCount          int            `json:"errorCount"`
	NextScheduledSyncAt *time.Time     `json:"nextScheduledSyncAt"`
	QuotaRemaining      QuotaRemaining `json:"quotaRemaining"`
	Repository          string         `json:"repository"`
	Secrets             []Standing     `json:"secrets"`
	Notices             []plan.Notice  `json:"notices"`
}

// QuotaRemaining is what is left of GitHub's quota, and of our own count of writes in the hour.
// Unlimited says that the server names no limit; core is then the largest 32-bit number.
type QuotaRemaining struct {
	Core      int  `json:"core"`
	Secrets   int  `json:"secrets"`
	Unlimited bool `json:"unlimited,omitempty"`
}

// A Standing is one row of the matrix.
type Standing struct {
	SecretName secret.Name              `json:"secretName"`
	Scopes     map[string]plan.Standing `json:"scopes"`
}

// Status shows what is where; it needs no source, and writes nothing.
func (s *Service) Status(ctx context.Context, repo github.Ref) (Status, error) {
	st, _, err := s.look(ctx, repo)
	return st, err
}

// look is Status, with what was remembered.
func (s *Service) look(ctx context.Context, repo github.Ref) (Status, store.Standing, error) {
	v, err := s.survey(ctx, repo, nil)
	if err == nil {
		err = v.check(ctx)
	}
	if err != nil {
		return Status{}, store.Standing{}, err
	}
	st := Status{Status: StateNever, Repository: v.view.repo.Owner + "/" + v.view.repo.Name, Secrets: []Standing{}, Notices: orEmpty(v.view.notices)}
	now, err := s.sumUp(ctx, v.project.ID, repo.Owner, &st)
	for _, row := range v.rows {
		line := Standing{SecretName: row.Name, Scopes: map[string]plan.Standing{}}
		for scope, cell := range row.Cells {
			line.Scopes[scope.String()] = cell
		}
		st.Secrets = append(st.Secrets, line)
	}
	return st, now, err
}

// sumUp takes the counts of the last runs and what is left of the quotas. Memory is asked once.
func (s *Service) sumUp(ctx context.Context, project uuid.UUID, owner string, st *Status) (store.Standing, error) {
	client := s.client(owner)
	now, err := s.store.Standing(ctx, store.Inquiry{
		Project: project, Credential: client.Credential().Fingerprint(), Since: s.now().Add(-time.Hour), FullHash: fullOrder, Recent: RecentRuns,
	})
	if err != nil {
		return now, err
	}
	st.LastSyncAt, st.PendingCount, st.ErrorCount = now.LastSuccessAt, now.Pending, now.Failed+now.Conflict
	switch {
	case now.LastSuccessAt == nil:
		st.Status = StateNever
	case st.ErrorCount > 0:
		st.Status = StateError
	case st.PendingCount > 0:
		st.Status = StatePending
	default:
		st.Status = StateSynced
	}
	st.QuotaRemaining = s.remaining(now, client.Quota())
	return now, nil
}

// remaining prefers what the last answer said over what other processes were told, and that over
// what the project's last run saw; of that a row past its reset is unknown, and unknown is shown as
// the last limit seen.
func (s *Service) remaining(now store.Standing, answered github.Quota) QuotaRemaining {
	out := QuotaRemaining{Core: math.MaxInt32, Secrets: max(0, WritesPerHour-now.Writes), Unlimited: true}
	switch clock := s.now(); {
	case answered.Known:
		out.Core, out.Unlimited = answered.Remaining, false
	case now.CredentialLimit > 0 && now.CredentialResetAt.After(clock):
		out.Core, out.Unlimited = now.CredentialRemaining, false
	case now.QuotaLimit > 0 && now.QuotaResetAt.After(clock):
		out.Core, out.Unlimited = now.QuotaRemaining, false
	case now.QuotaLimit > 0:
		out.Core, out.Unlimited = now.QuotaLimit, false
	}
	return out
}

// SetScopes narrows or widens where one secret belongs. Dropped scopes keep their copy and are
// forgotten.
func (s *Service) SetScopes(ctx context.Context, repo github.Ref, name secret.Name, scopes []secret.Scope) (dropped []secret.Scope, err error) {
	p, err := s.remembered(ctx, repo)
	if err != nil {
		return nil, err
	}
	if err := onlyStores(scopes); err != nil {
		return nil, err
	}
	return s.store.SetScopes(ctx, s.now(), p.ID, name, scopes)
}

// Forget drops all memory of a repository: what was written stays on GitHub, and is unmanaged from
// then on. The audit trail stays until retention removes it.
func (s *Service) Forget(ctx context.Context, repo github.Ref) error {
	p, err := s.remembered(ctx, repo)
	if err != nil {
		return err
	}
	return s.store.Archive(ctx, s.now(), p.ID)
}

// remembered returns the project of a repository that was synced before.
func (s *Service) remembered(ctx context.Context, repo github.Ref) (store.Project, error) {
	p, known, err := s.store.FindProject(ctx, s.apiHost, repo.Owner, repo.Name)
	if err == nil && !known {
		err = fault.New(fault.ResourceNotFound, fault.Context{"resource": "Memory of " + repo.String()}).
			Hinting("Sync it once: octoseal sync --repo %s --from FILE.", repo)
	}
	return p, err
}
