package store

import (
	"context"
	"database/sql"
	"regexp"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
)

// A Token is a bearer token as it is remembered: by its hash, never itself.
type Token struct {
	ID         uuid.UUID  `db:"id"`
	UserID     uuid.UUID  `db:"user_id"`
	ProjectID  *uuid.UUID `db:"project_id"` // nil: every project of the user
	Role       Role       `db:"role"`       // at most; the user's own role bounds it too
	Name       string     `db:"name"`
	Hash       string     `db:"token_hash"` // SHA-256, 64 hex characters
	ExpiresAt  time.Time  `db:"expires_at"`
	LastUsedAt *time.Time `db:"last_used_at"` // within a minute
	RevokedAt  *time.Time `db:"revoked_at"`
	CreatedAt  time.Time  `db:"created_at"`
	UpdatedAt  time.Time  `db:"updated_at"`
}

var selectToken = "SELECT " + columns[Token]("t") + " FROM api_tokens t "

var hexHash = regexp.MustCompile(`^[0-9a-f]{64}$`)

// CreateToken stores a token of a person and returns it with its id. It must expire after now.
func (s *Store) CreateToken(ctx context.Context, now time.Time, t Token) (Token, error) {
	if _, err := ParseRole(string(t.Role)); err != nil {
		return Token{}, err
	}
	now = stamp(now)
	t.ID, t.ExpiresAt, t.LastUsedAt, t.RevokedAt, t.CreatedAt, t.UpdatedAt = uuid.New(), stamp(t.ExpiresAt), nil, nil, now, now
	if !t.ExpiresAt.After(now) {
		return Token{}, fault.Invalid("a token expires later than now, not at %s", t.ExpiresAt.Format(time.RFC3339))
	}
	if !hexHash.MatchString(t.Hash) {
		return Token{}, fault.Invalid("a token is stored by its SHA-256 hash, in 64 hex characters")
	}
	return t, s.write(ctx, "token of user "+t.UserID.String(), func(tx *sql.Tx) error {
		if err := isPerson(ctx, tx, t.UserID); err != nil {
			return err
		}
		if t.ProjectID != nil {
			if err := s.lockProject(ctx, tx, *t.ProjectID); err != nil {
				return err
			}
		}
		return insert(ctx, tx, "api_tokens", "", t)
	})
}

// TokenByHash returns a token and its user by the hash of what was sent. Whether it is expired or
// revoked, or its user deactivated, is for the caller to judge.
func (s *Store) TokenByHash(ctx context.Context, hash string) (t Token, u User, found bool, err error) {
	row, found, err := one[struct {
		Token
		User
	}](ctx, s.reader, "SELECT "+columns[Token]("t")+", "+columns[User]("u")+
		" FROM api_tokens t JOIN users u ON u.id = t.user_id WHERE t.token_hash = $1", hash)
	return row.Token, row.User, found, s.explain(ctx, "token", err)
}

// Tokens returns the tokens of a user, of a project, or both, the newest first; uuid.Nil is all of
// them. Expired and revoked ones are among them.
func (s *Store) Tokens(ctx context.Context, userID, projectID uuid.UUID) ([]Token, error) {
	var w where
	if userID != uuid.Nil {
		w.and("t.user_id = ?", userID)
	}
	if projectID != uuid.Nil {
		w.and("t.project_id = ?", projectID)
	}
	tokens, err := all[Token](ctx, s.reader, selectToken+w.clause()+" ORDER BY t.created_at DESC, t.id", w.args...)
	return tokens, s.explain(ctx, "tokens", err)
}

// RevokeToken ends a token at once. One that is revoked already stays so.
func (s *Store) RevokeToken(ctx context.Context, now time.Time, id uuid.UUID) error {
	return s.write(ctx, "token "+id.String(), func(tx *sql.Tx) error {
		n, err := exec(ctx, tx, "UPDATE api_tokens SET revoked_at = COALESCE(revoked_at, $2), updated_at = $2 WHERE id = $1", id, now)
		if err == nil && n == 0 {
			err = fault.New(fault.ResourceNotFound, fault.Context{"resource": "Token " + id.String()})
		}
		return err
	})
}

// TouchToken notes that a token was used. It writes at most once a minute for each token, and asks
// before it waits for a turn to write.
func (s *Store) TouchToken(ctx context.Context, now time.Time, id uuid.UUID) error {
	const every = time.Minute
	const stale = "id = $1 AND (last_used_at IS NULL OR last_used_at <= $2)"
	before := now.Add(-every)
	n, err := number(ctx, s.reader, "SELECT count(*) AS n FROM api_tokens WHERE "+stale, id, before)
	if err != nil || n == 0 {
		return s.explain(ctx, "token "+id.String(), err)
	}
	return s.write(ctx, "token "+id.String(), func(tx *sql.Tx) error {
		_, err := exec(ctx, tx, "UPDATE api_tokens SET last_used_at = $3 WHERE "+stale, id, before, now)
		return err
	})
}
