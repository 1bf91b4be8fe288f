package store

import (
	"time"

	"github.com/google/uuid"
)

// The system users act when no person does. Their ids are the same in every database.
var (
	Local     = uuid.MustParse("00000000-0000-4000-8000-000000000001") // a command on someone's machine
	Scheduler = uuid.MustParse("00000000-0000-4000-8000-000000000002")
	Webhook   = uuid.MustParse("00000000-0000-4000-8000-000000000003")
	Relay     = uuid.MustParse("00000000-0000-4000-8000-000000000004")
)

type userRow struct {
	ID          uuid.UUID `db:"id"`
	Login       string    `db:"login"`
	DisplayName string    `db:"display_name"`
	Kind        string    `db:"kind"`
	IsAdmin     bool      `db:"is_admin"`
	CreatedAt   time.Time `db:"created_at"`
	UpdatedAt   time.Time `db:"updated_at"`
}

func systemUsers(now time.Time) []userRow {
	rows := []userRow{
		{ID: Local, Login: "local", DisplayName: "Command line"},
		{ID: Scheduler, Login: "scheduler", DisplayName: "Scheduler"},
		{ID: Webhook, Login: "webhook", DisplayName: "GitHub webhook"},
		{ID: Relay, Login: "relay", DisplayName: "Relay"},
	}
	for i := range rows {
		rows[i].Kind, rows[i].CreatedAt, rows[i].UpdatedAt = "system", now, now
	}
	return rows
}
