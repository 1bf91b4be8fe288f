package store

import (
	"context"
	"database/sql"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/exclusion"
	"github.com/octoseal/octoseal/internal/fault"
)

type ruleRow struct {
	ID        uuid.UUID `db:"id"`
	Project   uuid.UUID `db:"project_id"` // zero for a global rule
	Pattern   string    `db:"pattern"`
	Reason    string    `db:"reason"`
	Global    bool      `db:"is_global"`
	CreatedBy uuid.UUID `db:"created_by"` // zero when nobody is known
	CreatedAt time.Time `db:"created_at"`
	UpdatedAt time.Time `db:"updated_at"`
}

// Rules returns the exclusion rules that hold for a project, the global ones first, each in the
// order they were added; with uuid.Nil the global ones alone. A stored pattern that does not
// compile is an error, since a rule that gives no answer must stop the writing.
func (s *Store) Rules(ctx context.Context, projectID uuid.UUID) (exclusion.Rules, error) {
	rows, err := all[ruleRow](ctx, s.reader, "SELECT "+columns[ruleRow]("x")+` FROM secret_exclusion_patterns x
		WHERE x.is_global = $1 OR x.project_id = $2
		ORDER BY x.is_global DESC, x.created_at, x.id`, true, projectID)
	if err != nil {
		return nil, s.explain(ctx, "exclusion rules", err)
	}
	rules := make(exclusion.Rules, len(rows))
	for i, row := range rows {
		if rules[i], err = row.rule(); err != nil {
			return nil, fault.Invalid("exclusion rule %s does not hold: %s", row.ID, err).
				Hinting("Nothing is written until it is gone: octoseal exclusions remove %s.", row.ID).Because(err)
		}
	}
	return rules, nil
}

func (r ruleRow) rule() (exclusion.Rule, error) {
	pattern, err := exclusion.Compile(r.Pattern)
	return exclusion.Rule{ID: r.ID.String(), Pattern: pattern, Reason: r.Reason, Global: r.Global}, err
}

// AddRule adds a rule to a project, or to all of them when projectID is nil. by may be uuid.Nil.
func (s *Store) AddRule(
	ctx context.Context, now time.Time, projectID *uuid.UUID, pattern, reason string, by uuid.UUID,
) (exclusion.Rule, error) {
	row := ruleRow{
		ID: uuid.New(), Pattern: pattern, Reason: clean(reason), Global: projectID == nil, CreatedBy: by, CreatedAt: now, UpdatedAt: now,
	}
	rule, err := row.rule()
	if err != nil {
		return exclusion.Rule{}, fault.Invalid("%s", err).Because(err)
	}
	if reason == "" {
		return exclusion.Rule{}, fault.Invalid("an exclusion needs a reason").Hinting("It is what people read when a secret is left out.")
	}
	err = s.write(ctx, "exclusion rule "+pattern, func(tx *sql.Tx) error {
		if projectID != nil {
			row.Project = *projectID
			if err := s.lockProject(ctx, tx, row.Project); err != nil {
				return err
			}
		}
		return insert(ctx, tx, "secret_exclusion_patterns", "", row)
	})
	if classify(err) == troubleDuplicate {
		err = fault.Invalid("the pattern %s is excluded already", pattern).Because(err)
	}
	return rule, err
}

// RemoveRule removes the rule with that id or pattern from a project, or the global one when
// projectID is nil.
func (s *Store) RemoveRule(ctx context.Context, projectID *uuid.UUID, idOrPattern string) error {
	of, args := "is_global = $1", []any{true}
	if projectID != nil {
		of, args = "project_id = $1", []any{*projectID}
	}
	by := "pattern = $2"
	args = append(args, idOrPattern)
	if id, err := uuid.Parse(idOrPattern); err == nil {
		by, args[1] = "id = $2", id
	}
	return s.write(ctx, "exclusion rule "+idOrPattern, func(tx *sql.Tx) error {
		n, err := exec(ctx, tx, "DELETE FROM secret_exclusion_patterns WHERE "+of+" AND "+by, args...)
		if err == nil && n == 0 {
			err = fault.New(fault.ResourceNotFound, fault.Context{"resource": "Exclusion rule " + idOrPattern}).
				Hinting("octoseal exclusions list shows them all.")
		}
		return err
	})
}
