package httpapi

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/secret"
	"github.com/octoseal/octoseal/internal/store"
)

// A Mapping is data-model.md's SecretMapping, then ours.
type Mapping struct {
	ID           uuid.UUID         `json:"id" format:"uuid"`
	ProjectID    uuid.UUID         `json:"projectId" format:"uuid"`
	SecretName   string            `json:"secretName"`
	ValueHash    string            `json:"valueHash" doc:"64 hex characters, of the value last written anywhere; all zeros when it is not known, or you are a viewer."`
	SourceScope  string            `json:"sourceScope" enum:"actions"`
	TargetScopes []string          `json:"targetScopes" nullable:"false" doc:"Where the secret belongs."`
	IsExcluded   bool              `json:"isExcluded"`
	LastSyncedAt *time.Time        `json:"lastSyncedAt"`
	SyncStatus   store.SyncStatus  `json:"syncStatus" enum:"pending,synced,failed,conflict"`
	ErrorMessage *string           `json:"errorMessage"`
	LeftAlone    bool              `json:"leftAlone" doc:"adopt: keep decided that none of the copies is ours."`
	ValueHashes  map[string]string `json:"valueHashes" doc:"By scope, of the value last written there, where it is known. Empty for viewers."`
	CreatedAt    time.Time         `json:"createdAt"`
	UpdatedAt    time.Time         `json:"updatedAt"`
}

func (a access) mapping(m store.MappingRow) Mapping {
	out := Mapping{
		ID: m.ID, ProjectID: a.project.ID, SecretName: m.Name.String(), ValueHash: secret.NeverSeen, SourceScope: secret.Actions.String(),
		TargetScopes: []string{}, IsExcluded: m.Excluded, LastSyncedAt: utc(m.LastSyncedAt), SyncStatus: m.Status, LeftAlone: m.LeftAlone,
		ValueHashes: map[string]string{}, CreatedAt: m.CreatedAt.UTC(), UpdatedAt: m.UpdatedAt.UTC(),
	}
	for _, scope := range m.TargetScopes {
		out.TargetScopes = append(out.TargetScopes, scope.String())
	}
	if m.Error != "" {
		out.ErrorMessage = &m.Error
	}
	if a.seesHashes() {
		out.ValueHash = m.Hash.String()
		for scope, hash := range m.Hashes {
			out.ValueHashes[scope.String()] = hash.String()
		}
	}
	return out
}

func utc(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	in := t.UTC()
	return &in
}

type listMappingsInput struct{ OfProject }

type listMappingsOutput struct {
	Body struct {
		Mappings []Mapping `json:"mappings" nullable:"false" doc:"By name."`
	}
}

func (s *server) listMappings(ctx context.Context, a access, _ *listMappingsInput) (*listMappingsOutput, error) {
	rows, err := s.Service.Bind(a.project).Mappings(ctx)
	if err != nil {
		return nil, err
	}
	out := &listMappingsOutput{}
	out.Body.Mappings = make([]Mapping, len(rows))
	for i, row := range rows {
		out.Body.Mappings[i] = a.mapping(row)
	}
	return out, nil
}

type setMappingInput struct {
	OfProject
	Name string `path:"name" doc:"The secret's name."`
	Body struct {
		TargetScopes []string `json:"targetScopes" minItems:"1" maxItems:"20" nullable:"false" doc:"Where the secret belongs from now on: of actions, codespaces, dependabot and agents."`
	}
}

type setMappingOutput struct {
	Body struct {
		Mapping
		DroppedScopes []string `json:"droppedScopes" nullable:"false" doc:"Whose copies stay on GitHub, and are no longer looked after."`
	}
}

func (s *server) setMapping(ctx context.Context, a access, in *setMappingInput) (*setMappingOutput, error) {
	name, err := nameOf(in.Name)
	if err != nil {
		return nil, err
	}
	scopes, err := scopesOf(in.Body.TargetScopes)
	if err != nil {
		return nil, err
	}
	dropped, err := s.Service.Bind(a.project).SetScopes(ctx, name, scopes)
	if err != nil {
		return nil, err
	}
	row, err := s.store.Mapping(ctx, a.project.ID, name)
	if err != nil {
		return nil, err
	}
	out := &setMappingOutput{}
	out.Body.Mapping, out.Body.DroppedScopes = a.mapping(row), []string{}
	for _, scope := range dropped {
		out.Body.DroppedScopes = append(out.Body.DroppedScopes, scope.String())
	}
	return out, nil
}
