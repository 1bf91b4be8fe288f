package httpapi

import (
	"context"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/store"
)

// A Token is a bearer token as it is remembered, without itself.
type Token struct {
	ID         uuid.UUID  `json:"id" format:"uuid"`
	UserID     uuid.UUID  `json:"userId" format:"uuid"`
	ProjectID  *uuid.UUID `json:"projectId" format:"uuid" nullable:"true" doc:"The only project it is good for; null: all of its user's."`
	Role       store.Role `json:"role" enum:"viewer,developer,admin" doc:"The most it allows; its user's own role bounds it too."`
	Name       string     `json:"name"`
	ExpiresAt  time.Time  `json:"expiresAt"`
	LastUsedAt *time.Time `json:"lastUsedAt" doc:"To the minute."`
	RevokedAt  *time.Time `json:"revokedAt"`
	CreatedAt  time.Time  `json:"createdAt"`
}

func tokenOf(t store.Token) Token {
	return Token{
		ID: t.ID, UserID: t.UserID, ProjectID: t.ProjectID, Role: t.Role, Name: t.Name, ExpiresAt: t.ExpiresAt.UTC(),
		LastUsedAt: utc(t.LastUsedAt), RevokedAt: utc(t.RevokedAt), CreatedAt: t.CreatedAt.UTC(),
	}
}

// MayOfProject is the part of a request that may name a project in the query.
type MayOfProject struct {
	ProjectID uuid.UUID `query:"projectId" format:"uuid" doc:"The project; may be left out."`
}

func (p MayOfProject) project() uuid.UUID { return p.ProjectID }

type listTokensInput struct{ MayOfProject }

type listTokensOutput struct {
	Body struct {
		Tokens []Token `json:"tokens" nullable:"false" doc:"Newest first; expired and revoked ones too."`
	}
}

func (s *server) listTokens(ctx context.Context, a access, in *listTokensInput) (*listTokensOutput, error) {
	of := a.user.ID
	if in.ProjectID != uuid.Nil {
		of = uuid.Nil
	} else if only, limited := a.only(); limited {
		in.ProjectID = only // a token for one project is not to tell of others
	}
	rows, err := s.store.Tokens(ctx, of, in.ProjectID)
	if err != nil {
		return nil, err
	}
	out := &listTokensOutput{}
	out.Body.Tokens = make([]Token, len(rows))
	for i, t := range rows {
		out.Body.Tokens[i] = tokenOf(t)
	}
	return out, nil
}

const defaultTokenDays = 90

type createTokenInput struct {
	Body struct {
		ProjectID     *uuid.UUID `json:"projectId,omitempty" format:"uuid" doc:"The only project it is good for."`
		Role          store.Role `json:"role" enum:"viewer,developer,admin" doc:"The most it allows."`
		Name          string     `json:"name,omitempty" maxLength:"100" pattern:"^[^\\x00-\\x1f]*$" doc:"For people."`
		Login         string     `json:"login,omitempty" maxLength:"100" doc:"Whose it is, made when new; yours unless given. Only platform admins name others."`
		ExpiresInDays int        `json:"expiresInDays,omitempty" minimum:"1" maximum:"366" doc:"90 unless given."`
	}
}

func (in *createTokenInput) project() uuid.UUID {
	if in.Body.ProjectID == nil {
		return uuid.Nil
	}
	return *in.Body.ProjectID
}

type createTokenOutput struct {
	Body struct {
		Token
		Secret string `json:"token" doc:"The token itself. It is shown this once."`
	}
}

func (s *server) createToken(ctx context.Context, a access, in *createTokenInput) (*createTokenOutput, error) {
	owner := a.user
	if in.Body.Login != "" && !strings.EqualFold(in.Body.Login, owner.Login) {
		if err := a.may(platform); err != nil {
			return nil, err
		}
		var err error
		if owner, err = s.store.EnsureUser(ctx, s.now(), in.Body.Login); err != nil {
			return nil, err
		}
	}
	days := in.Body.ExpiresInDays
	if days == 0 {
		days = defaultTokenDays
	}
	token, hash := MintToken()
	made, err := s.store.CreateToken(ctx, s.now(), store.Token{
		UserID: owner.ID, ProjectID: in.Body.ProjectID, Role: in.Body.Role, Name: in.Body.Name, Hash: hash,
		ExpiresAt: s.now().Add(time.Duration(days) * 24 * time.Hour),
	})
	if err != nil {
		return nil, err
	}
	out := &createTokenOutput{}
	out.Body.Token, out.Body.Secret = tokenOf(made), token
	return out, nil
}

type revokeTokenInput struct {
	MayOfProject
	ID uuid.UUID `query:"id" required:"true" format:"uuid" doc:"The token's id."`
}

// revokeToken finds the token among those the caller may manage; others are not found.
func (s *server) revokeToken(ctx context.Context, a access, in *revokeTokenInput) (*struct{}, error) {
	of := a.user.ID
	if in.ProjectID != uuid.Nil || a.isPlatformAdmin() {
		of = uuid.Nil
	}
	rows, err := s.store.Tokens(ctx, of, in.ProjectID)
	if err != nil {
		return nil, err
	}
	for _, t := range rows {
		if t.ID != in.ID {
			continue
		}
		if err := a.mayRevoke(t); err != nil {
			return nil, err
		}
		defer s.known.forget()
		return nil, s.store.RevokeToken(ctx, s.now(), t.ID)
	}
	return nil, fault.New(fault.ResourceNotFound, fault.Context{"resource": "Token " + in.ID.String()}).
		Hinting("Name the project of a token that belongs to one: projectId.")
}

// mayRevoke lets the token through that the project's admin asks for, and one's own unless what
// one came with was narrowed to less than an admin's.
func (a access) mayRevoke(t store.Token) error {
	if a.role != "" || a.narrowed(store.Admin) == store.Admin && t.UserID == a.user.ID {
		return nil
	}
	return a.may(platform)
}
