package httpapi

import (
	"context"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/store"
)

// A Member is a user with a role in a project.
type Member struct {
	UserID      uuid.UUID  `json:"userId" format:"uuid"`
	Login       string     `json:"login"`
	DisplayName string     `json:"displayName"`
	Role        store.Role `json:"role" enum:"viewer,developer,admin"`
}

func memberOf(u store.User, role store.Role) Member {
	return Member{UserID: u.ID, Login: u.Login, DisplayName: u.DisplayName, Role: role}
}

type listMembersInput struct{ InProject }

type listMembersOutput struct {
	Body struct {
		Members []Member `json:"members" nullable:"false" doc:"By login."`
	}
}

func (s *server) listMembers(ctx context.Context, a access, _ *listMembersInput) (*listMembersOutput, error) {
	rows, err := s.store.Members(ctx, a.project.ID)
	if err != nil {
		return nil, err
	}
	out := &listMembersOutput{}
	out.Body.Members = make([]Member, len(rows))
	for i, m := range rows {
		out.Body.Members[i] = memberOf(m.User, m.Role)
	}
	return out, nil
}

type setMemberInput struct {
	InProject
	Body struct {
		Login string     `json:"login" minLength:"1" maxLength:"100" doc:"Whose; made when new. With an OpenID provider, the login it knows them by."`
		Role  store.Role `json:"role" enum:"viewer,developer,admin"`
	}
}

type setMemberOutput struct{ Body Member }

func (s *server) setMember(ctx context.Context, a access, in *setMemberInput) (*setMemberOutput, error) {
	u, err := s.store.EnsureUser(ctx, s.now(), in.Body.Login)
	if err == nil {
		err = s.store.SetMember(ctx, s.now(), a.project.ID, u.ID, in.Body.Role)
	}
	if err != nil {
		return nil, err
	}
	return &setMemberOutput{Body: memberOf(u, in.Body.Role)}, nil
}

type removeMemberInput struct {
	InProject
	UserID uuid.UUID `path:"userId" format:"uuid"`
}

func (s *server) removeMember(ctx context.Context, a access, in *removeMemberInput) (*struct{}, error) {
	if in.UserID == a.user.ID && !a.isPlatformAdmin() {
		return nil, fault.Invalid("nobody takes themselves out of a project").Hinting("Ask another admin: so a project keeps one.")
	}
	return nil, s.store.RemoveMember(ctx, a.project.ID, in.UserID)
}
