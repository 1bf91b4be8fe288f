package cli

import (
	"context"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/github"
	"github.com/octoseal/octoseal/internal/relay"
	"github.com/octoseal/octoseal/internal/store"
	"github.com/spf13/cobra"
)

func (a *app) projectCommand() *cobra.Command {
	return group(&cobra.Command{Use: "project", Short: "Decide which repositories are remembered, and kept in step"},
		a.projectAdd(), a.projectList(), a.projectRemove())
}

func (a *app) projectAdd() *cobra.Command {
	var source string
	c := &cobra.Command{
		Use:   "add",
		Short: "Have a service keep a repository in step",
		Long: "A project is a repository with a source of values. With relay the values are those of its\n" +
			"Actions secrets, which a job of the repository seals: octoseal init writes its workflow.\n" +
			"Any other source is one that the service was started with: serve --source\n" +
			"NAME=FROM,OWNER/REPO. A repository has one project: adding it again changes its source, if\n" +
			"one is given, and nothing else.",
		Example: "  octoseal project add --repo acme/widgets\n" +
			"  octoseal project add --repo acme/widgets --value-source source:local --json",
		Args: exactly(),
	}
	c.Flags().StringVar(&source, "value-source", relay.ValueSource, "where the values come from: relay, or source:`NAME`")
	c.RunE = a.runHere(func(ctx context.Context, _ []string) error {
		var given *string
		if c.Flags().Changed("value-source") {
			given = &source
		}
		return a.addProject(ctx, given)
	})
	return c
}

// A shownProject is a project as programs get it: the fields of the API that tell projects apart.
type shownProject struct {
	ID           uuid.UUID `json:"id"`
	Name         string    `json:"name"`
	Slug         string    `json:"slug"`
	Repository   string    `json:"repository"`
	RepositoryID int64     `json:"repositoryId"`
	APIHost      string    `json:"apiHost"`
	ValueSource  string    `json:"valueSource"`
	AutoSync     bool      `json:"autoSync"`
	CreatedAt    time.Time `json:"createdAt"`
}

func shownAs(p store.Project) shownProject {
	return shownProject{p.ID, p.Name, p.Slug, p.Owner + "/" + p.Repo, p.RepositoryID, p.APIHost, p.ValueSource, p.AutoSync, p.CreatedAt.UTC()}
}

func (a *app) addProject(ctx context.Context, source *string) error {
	if source != nil && !isValueSource(*source) {
		return fault.Invalid("--value-source is %q: it has to be relay, or source:NAME after a source of the service", *source).
			Hinting("The service knows it by octoseal serve --source NAME=FROM,OWNER/REPO.")
	}
	s, err := a.online(ctx, toKeep)
	if err != nil {
		return err
	}
	defer s.close()
	found, err := s.Repository(ctx, s.repo)
	if err != nil {
		return err
	}
	now := time.Now()
	wanted := store.Project{
		APIHost: s.api.host(), Owner: found.Owner, Repo: found.Name, RepositoryID: found.ID, DefaultBranch: found.DefaultBranch,
		AutoSync: true, ValueSource: relay.ValueSource,
	}
	p, err := s.store.EnsureProject(ctx, now, wanted)
	if source == nil && p.ValueSource == "" {
		source = &wanted.ValueSource
	}
	if err == nil && source != nil && (p.ValueSource != *source || !p.AutoSync) {
		kept := true // a run on somebody's machine makes projects that no service keeps
		p, err = s.store.PatchProject(ctx, now, p.ID, store.ProjectPatch{ValueSource: source, AutoSync: &kept})
	}
	if err != nil {
		return err
	}
	if a.settings.json {
		return a.screen.out.data(shownAs(p))
	}
	a.screen.out.printf("%s is project %s, values from %s\n", github.Ref{Owner: p.Owner, Name: p.Repo}, p.ID, valuesFrom(p))
	return nil
}

// valuesFrom says where a project has its values from. One that was made by a run on somebody's machine
// names nothing, which is the relay too.
func valuesFrom(p store.Project) string {
	if p.ValueSource == "" {
		return relay.ValueSource
	}
	return p.ValueSource
}

func (a *app) projectList() *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List the projects", Args: exactly(),
		RunE: a.runHere(func(ctx context.Context, _ []string) error { return a.listProjects(ctx) }),
	}
}

func (a *app) listProjects(ctx context.Context) error {
	s, err := a.session(ctx, github.Ref{}, toRead)
	if err != nil {
		return err
	}
	defer s.close()
	list := struct {
		Projects []shownProject `json:"projects"`
	}{[]shownProject{}}
	t := table{head: []string{"REPOSITORY", "VALUES FROM", "ID"}}
	for p, err := range s.projects(ctx) {
		if err != nil {
			return err
		}
		list.Projects = append(list.Projects, shownAs(p))
		t.rows = append(t.rows, []cell{{text: p.Owner + "/" + p.Repo}, {text: valuesFrom(p)}, {text: p.ID.String()}})
	}
	if a.settings.json {
		return a.screen.out.data(list)
	}
	t.print(a.screen.out)
	return nil
}

func (a *app) projectRemove() *cobra.Command {
	return &cobra.Command{
		Use:   "remove",
		Short: "Forget a repository",
		Long: "What was written stays on GitHub, and is nobody's from then on: the next sync finds it\n" +
			"there and asks. The audit trail stays until its retention removes it. This is how a\n" +
			"repository that was made again under its old name is meant.",
		Example: "  octoseal project remove --repo acme/widgets",
		Args:    exactly(),
		RunE:    a.runHere(func(ctx context.Context, _ []string) error { return a.removeProject(ctx) }),
	}
}

func (a *app) removeProject(ctx context.Context) error {
	s, err := a.offline(ctx, toRecord)
	if err != nil {
		return err
	}
	defer s.close()
	if err := s.Forget(ctx, s.repo); err != nil {
		return err
	}
	if a.settings.json {
		return a.screen.out.data(struct {
			Removed string `json:"removed"`
		}{s.repo.String()})
	}
	a.screen.out.printf("%s is forgotten; its secrets stay as they are\n", s.repo)
	return nil
}
