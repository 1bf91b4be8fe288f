package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// A List is a list of GitHub's as one credential last saw it.
type List struct {
	Kind       string    // repository, organisation, or a scope
	Credential string    // whose it is, by name: an ETag belongs to one token
	Date       time.Time // of the answer, on GitHub's clock
	Content    []byte    // JSON, opaque here
}

type listRow struct {
	Project    uuid.UUID       `db:"project_id"`
	Kind       string          `db:"kind"`
	Credential string          `db:"credential"`
	Date       time.Time       `db:"date"`
	Content    json.RawMessage `db:"content"`
	UpdatedAt  time.Time       `db:"updated_at"`
}

// Lists returns what a credential last saw of a project.
func (s *Store) Lists(ctx context.Context, projectID uuid.UUID, credential string) ([]List, error) {
	rows, err := all[listRow](ctx, s.reader, "SELECT "+columns[listRow]("l")+
		" FROM scope_lists l WHERE l.project_id = $1 AND l.credential = $2 ORDER BY l.kind", projectID, credential)
	lists := make([]List, len(rows))
	for i, r := range rows {
		lists[i] = List{Kind: r.Kind, Credential: r.Credential, Date: r.Date, Content: r.Content}
	}
	return lists, s.explain(ctx, "lists of project "+projectID.String(), err)
}

func saveLists(ctx context.Context, tx *sql.Tx, now time.Time, projectID uuid.UUID, lists []List) error {
	rows := make([]listRow, len(lists))
	for i, l := range lists {
		rows[i] = listRow{Project: projectID, Kind: l.Kind, Credential: l.Credential, Date: l.Date, Content: l.Content, UpdatedAt: now}
	}
	return insert(ctx, tx, "scope_lists", `ON CONFLICT (project_id, credential, kind) DO UPDATE SET
		date = excluded.date, content = excluded.content, updated_at = excluded.updated_at`, rows...)
}
