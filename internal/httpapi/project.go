package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/plan"
	"github.com/octoseal/octoseal/internal/relay"
	"github.com/octoseal/octoseal/internal/store"
)

// A Project is one repository that is kept in step.
type Project struct {
	ID                  uuid.UUID  `json:"id" format:"uuid"`
	Name                string     `json:"name"`
	Slug                string     `json:"slug"`
	Repository          string     `json:"repository" doc:"OWNER/NAME, as GitHub calls it now."`
	RepositoryID        int64      `json:"repositoryId" doc:"GitHub's number of it, which never changes."`
	APIHost             string     `json:"apiHost"`
	DefaultBranch       string     `json:"defaultBranch"`
	InstallationID      *int64     `json:"installationId"`
	ValueSource         string     `json:"valueSource" doc:"Where values come from: relay (also when empty) or source:NAME."`
	AutoSync            bool       `json:"autoSync" doc:"Kept in step without being asked."`
	SyncIntervalSeconds int64      `json:"syncIntervalSeconds" doc:"Seconds between looks for a change; 0: the server's own."`
	Adopt               plan.Adopt `json:"adopt" enum:",overwrite,keep" doc:"Decides about copies that Octoseal did not write; empty: they are conflicts."`
	DefaultReviewerID   *int64     `json:"defaultReviewerId" doc:"GitHub's number of a user."`
	CreatedAt           time.Time  `json:"createdAt"`
	UpdatedAt           time.Time  `json:"updatedAt"`
}

func projectOf(p store.Project) Project {
	return Project{
		ID: p.ID, Name: p.Name, Slug: p.Slug, Repository: p.Owner + "/" + p.Repo, RepositoryID: p.RepositoryID, APIHost: p.APIHost,
		DefaultBranch: p.DefaultBranch, InstallationID: p.InstallationID, ValueSource: p.ValueSource, AutoSync: p.AutoSync,
		SyncIntervalSeconds: int64(p.SyncInterval / time.Second), Adopt: p.Adopt, DefaultReviewerID: p.DefaultReviewerID,
		CreatedAt: p.CreatedAt.UTC(), UpdatedAt: p.UpdatedAt.UTC(),
	}
}

type listProjectsInput struct{ Page }

type listProjectsOutput struct {
	Body struct {
		Projects   []Project `json:"projects" nullable:"false" doc:"By slug."`
		NextCursor *string   `json:"nextCursor" doc:"null on the last page."`
	}
}

func (s *server) listProjects(ctx context.Context, a access, in *listProjectsInput) (*listProjectsOutput, error) {
	found, next, err := s.projectsOf(ctx, a.caller, in.Page)
	if err != nil {
		return nil, err
	}
	out := &listProjectsOutput{}
	out.Body.NextCursor, out.Body.Projects = cursor(next), make([]Project, len(found))
	for i, p := range found {
		out.Body.Projects[i] = projectOf(p)
	}
	return out, nil
}

// projectsOf are those the caller sees: of a token for one project that one, if its user still
// belongs there.
func (s *server) projectsOf(ctx context.Context, c caller, page Page) (found []store.Project, next string, err error) {
	only, limited := c.only()
	if !limited {
		f := store.ProjectFilter{User: c.user.ID, After: page.Cursor, Limit: page.Limit}
		if c.user.IsAdmin {
			f.User = uuid.Nil
		}
		return s.store.Projects(ctx, f)
	}
	a, err := s.authorise(ctx, c, operationsByID["getProject"], only)
	if fault.Is(err, fault.ProjectNotFound) {
		return nil, "", nil
	}
	return []store.Project{a.project}, "", err
}

// Settings are what may be changed about a project; those left out stay as they are.
type Settings struct {
	Name                *string     `json:"name,omitempty" minLength:"1" maxLength:"200" pattern:"^[^\\x00-\\x1f]+$" doc:"For people; OWNER/NAME unless given."`
	ValueSource         *string     `json:"valueSource,omitempty" maxLength:"200" pattern:"^(relay|source:[A-Za-z0-9._-]+)?$" doc:"relay: a job of the repository brings the values of its Actions secrets; source:NAME of a source that the operator named for this repository. relay unless given. Neither paths nor commands are taken."`
	AutoSync            *bool       `json:"autoSync,omitempty" doc:"Keep in step without being asked; true for a new project unless given."`
	SyncIntervalSeconds *int64      `json:"syncIntervalSeconds,omitempty" minimum:"0" maximum:"2592000" doc:"Seconds between looks for a change; 0: the server's own."`
	Adopt               *plan.Adopt `json:"adopt,omitempty" enum:",overwrite,keep" doc:"What happens to copies that Octoseal did not write; empty: they are conflicts."`
	DefaultReviewerID   *int64      `json:"defaultReviewerId,omitempty" minimum:"0" doc:"GitHub's number of a user; 0: none."`
	InstallationID      *int64      `json:"installationId,omitempty" minimum:"0" doc:"Of the GitHub App; 0: found by the repository's owner."`
}

func (st Settings) patch() store.ProjectPatch {
	p := store.ProjectPatch{
		Name: st.Name, ValueSource: st.ValueSource, AutoSync: st.AutoSync, Adopt: st.Adopt,
		DefaultReviewerID: st.DefaultReviewerID, InstallationID: st.InstallationID,
	}
	if st.SyncIntervalSeconds != nil {
		every := time.Duration(*st.SyncIntervalSeconds) * time.Second
		p.SyncInterval = &every
	}
	return p
}

// check refuses a source of values that the project may not use.
func (s *server) check(p store.Project, st Settings) error {
	if st.ValueSource == nil || *st.ValueSource == "" {
		return nil
	}
	p.ValueSource = *st.ValueSource
	if err := s.Service.Bind(p).CheckSource(); err != nil {
		f := fault.Of(err)
		return fault.Invalid("%s", strings.TrimSuffix(f.Message, ".")).Hinting("%s", f.Hint).Because(err)
	}
	return nil
}

type createProjectInput struct {
	Body struct {
		Repository string `json:"repository" minLength:"3" maxLength:"300" doc:"OWNER/NAME"`
		Settings
	}
}

type projectOutput struct {
	Status   int
	Location string `header:"Location"`
	Body     Project
}

func (s *server) createProject(ctx context.Context, _ access, in *createProjectInput) (*projectOutput, error) {
	ref, err := github.ParseRef(in.Body.Repository)
	if err != nil {
		return nil, err
	}
	repo, err := s.Service.Repository(ctx, ref)
	if err != nil {
		return nil, err
	}
	wanted := store.Project{
		APIHost: s.APIHost, Owner: repo.Owner, Repo: repo.Name, RepositoryID: repo.ID, DefaultBranch: repo.DefaultBranch,
		AutoSync: true, ValueSource: relay.ValueSource,
	}
	known, found, err := s.store.ProjectByRepositoryID(ctx, s.APIHost, repo.ID)
	if err != nil {
		return nil, err
	}
	if found {
		return &projectOutput{Status: http.StatusOK, Location: "/projects/" + known.ID.String(), Body: projectOf(known)}, nil
	}
	if err := s.check(wanted, in.Body.Settings); err != nil {
		return nil, err
	}
	p, err := s.store.EnsureProject(ctx, s.now(), wanted)
	if err == nil && in.Body.Settings != (Settings{}) {
		p, err = s.store.PatchProject(ctx, s.now(), p.ID, in.Body.patch())
	}
	if err != nil {
		return nil, err
	}
	return &projectOutput{Status: http.StatusCreated, Location: "/projects/" + p.ID.String(), Body: projectOf(p)}, nil
}

// An InProject is the part of a request that names its project in the path.
type InProject struct {
	ID uuid.UUID `path:"id" format:"uuid" doc:"The project."`
}

func (p InProject) project() uuid.UUID { return p.ID }

type getProjectInput struct{ InProject }

type getProjectOutput struct{ Body Project }

func (s *server) getProject(_ context.Context, a access, _ *getProjectInput) (*getProjectOutput, error) {
	return &getProjectOutput{Body: projectOf(a.project)}, nil
}

type patchProjectInput struct {
	InProject
	Body Settings
}

func (s *server) patchProject(ctx context.Context, a access, in *patchProjectInput) (*getProjectOutput, error) {
	if err := s.check(a.project, in.Body); err != nil {
		return nil, err
	}
	p, err := s.store.PatchProject(ctx, s.now(), a.project.ID, in.Body.patch())
	if err != nil {
		return nil, err
	}
	return &getProjectOutput{Body: projectOf(p)}, nil
}

type deleteProjectInput struct{ InProject }

func (s *server) deleteProject(ctx context.Context, a access, _ *deleteProjectInput) (*struct{}, error) {
	s.known.forget()
	return nil, s.store.Archive(ctx, s.now(), a.project.ID)
}
