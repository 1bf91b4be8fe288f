package store

import (
	"context"
	"database/sql"
	"strings"
	"time"
	"unicode"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
)

// The system users act when no person does. Their ids are the same in every database.
var (
	Local     = uuid.MustParse("00000000-0000-4000-8000-000000000001") // a command on someone's machine
	Scheduler = uuid.MustParse("00000000-0000-4000-8000-000000000002")
	Webhook   = uuid.MustParse("00000000-0000-4000-8000-000000000003")
	Relay     = uuid.MustParse("00000000-0000-4000-8000-000000000004")
)

// The kinds of users.
const (
	Human  = "human"
	System = "system"
)

// A User is who acts. Users are never deleted, since events name them; they are deactivated.
type User struct {
	ID            uuid.UUID  `db:"id"`
	Login         string     `db:"login"` // one spelling of it at a time, whatever its case
	DisplayName   string     `db:"display_name"`
	Kind          string     `db:"kind"`
	IsAdmin       bool       `db:"is_admin"` // of the whole platform
	DeactivatedAt *time.Time `db:"deactivated_at"`
	CreatedAt     time.Time  `db:"created_at"`
	UpdatedAt     time.Time  `db:"updated_at"`
}

var selectUser = "SELECT " + columns[User]("u") + " FROM users u "

func systemUsers(now time.Time) []User {
	rows := []User{
		{ID: Local, Login: "local", DisplayName: "Command line"},
		{ID: Scheduler, Login: "scheduler", DisplayName: "Scheduler"},
		{ID: Webhook, Login: "webhook", DisplayName: "GitHub webhook"},
		{ID: Relay, Login: "relay", DisplayName: "Relay"},
	}
	for i := range rows {
		rows[i].Kind, rows[i].CreatedAt, rows[i].UpdatedAt = System, now, now
	}
	return rows
}

// maxLogin is the length of the column.
const maxLogin = 100

// EnsureUser returns the person with that login, who is made when new. The login of a system user
// is refused: nobody may act in its name.
func (s *Store) EnsureUser(ctx context.Context, now time.Time, login string) (User, error) {
	if login == "" || len(login) > maxLogin || strings.ContainsFunc(login, unfitForLogin) {
		return User{}, fault.Invalid("a login has 1 to %d characters and none that are white space or unprintable", maxLogin)
	}
	u, found, err := s.UserByLogin(ctx, login)
	if err != nil {
		return User{}, err
	}
	if !found {
		now = stamp(now)
		u = User{ID: uuid.New(), Login: login, DisplayName: login, Kind: Human, CreatedAt: now, UpdatedAt: now}
		err = s.write(ctx, "user "+login, func(tx *sql.Tx) error { return insert(ctx, tx, "users", "", u) })
		if classify(err) == troubleDuplicate { // someone else was quicker
			u, _, err = s.UserByLogin(ctx, login)
		}
	}
	if err == nil && u.Kind == System {
		return User{}, fault.Invalid("%s is a system user, which nobody can be", u.Login).Hinting("Choose another login.")
	}
	return u, err
}

func unfitForLogin(r rune) bool {
	return unicode.IsSpace(r) || !unicode.IsPrint(r) || r == unicode.ReplacementChar
}

// UserByID returns a user, deactivated or not.
func (s *Store) UserByID(ctx context.Context, id uuid.UUID) (u User, found bool, err error) {
	u, found, err = one[User](ctx, s.reader, selectUser+"WHERE u.id = $1", id)
	return u, found, s.explain(ctx, "user "+id.String(), err)
}

// UserByLogin returns a user by login, whatever its case, deactivated or not.
func (s *Store) UserByLogin(ctx context.Context, login string) (u User, found bool, err error) {
	u, found, err = one[User](ctx, s.reader, selectUser+"WHERE lower(u.login) = lower($1)", login)
	return u, found, s.explain(ctx, "user "+login, err)
}

// SetAdmin makes a person an admin of the platform, or takes that back.
func (s *Store) SetAdmin(ctx context.Context, now time.Time, id uuid.UUID, admin bool) error {
	return s.write(ctx, "admin "+id.String(), func(tx *sql.Tx) error {
		n, err := exec(ctx, tx, "UPDATE users SET is_admin = $2, updated_at = $3 WHERE id = $1 AND kind = 'human'", id, admin, now)
		if err == nil && n == 0 {
			err = noUser(id)
		}
		return err
	})
}

func noUser(id uuid.UUID) error {
	return fault.New(fault.ResourceNotFound, fault.Context{"resource": "User " + id.String(), "userId": id.String()})
}
