package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/secret"
)

// An EnvironmentIntent is a note, stored before a write, that a secret of an environment is about
// to be written. What is listed there with a time from At to Until may be that write, so an apply
// that was killed is put right by the next one. Both are on GitHub's clock. Unlike a run's, such an
// intent says itself when it ends: an apply of environments has no row that could tell.
type EnvironmentIntent struct {
	Target
	At    time.Time
	Until time.Time // after which the writer would not have sent it any more
}

type environmentIntentRow struct {
	Project uuid.UUID    `db:"project_id"`
	Scope   secret.Scope `db:"scope"`
	Name    secret.Name  `db:"secret_name"`
	At      time.Time    `db:"intent_at"`
	Until   time.Time    `db:"intent_until"`
}

// EnvironmentIntents returns the intents that are open in a project's environments.
func (s *Store) EnvironmentIntents(ctx context.Context, project uuid.UUID) ([]EnvironmentIntent, error) {
	rows, err := all[environmentIntentRow](ctx, s.reader, "SELECT "+columns[environmentIntentRow]("i")+
		" FROM environment_intents i WHERE i.project_id = $1 ORDER BY i.scope, i.secret_name", project)
	intents := make([]EnvironmentIntent, len(rows))
	for i, r := range rows {
		intents[i] = EnvironmentIntent{Target: Target{r.Name, r.Scope}, At: r.At, Until: r.Until}
	}
	return intents, s.explain(ctx, "intents in environments of project "+project.String(), err)
}

// OpenEnvironmentIntents notes, before the first write, everything that an apply is about to write
// under its lease. An older intent for the same target is replaced: a caller for whom it covers what
// is listed hands its At on.
func (s *Store) OpenEnvironmentIntents(ctx context.Context, l *Lease, intents []EnvironmentIntent) error {
	rows := make([]environmentIntentRow, len(intents))
	for i, in := range intents {
		rows[i] = environmentIntentRow{Project: l.Project, Scope: in.Scope, Name: in.Name, At: in.At, Until: in.Until}
	}
	return s.write(ctx, "intents in environments of project "+l.Project.String(), func(tx *sql.Tx) error {
		if err := s.lockProject(ctx, tx, l.Project); err != nil {
			return err
		}
		if err := l.stillHeld(ctx, tx); err != nil {
			return err
		}
		return insert(ctx, tx, "environment_intents", `ON CONFLICT (project_id, scope, secret_name) DO UPDATE SET
			intent_at = excluded.intent_at, intent_until = excluded.intent_until`, rows...)
	})
}
