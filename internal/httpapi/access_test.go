package httpapi

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/store"
)

// A sample is a request for an operation that nothing but a role stands in the way of.
type sample struct {
	path string
	body any
}

// samples has one for each operation. What they name is there, so that a refusal is about the role.
func (w *world) samples() map[string]sample {
	ctx := context.Background()
	id := w.project.ID.String()
	in, of := "/projects/"+id, "?projectId="+id
	rule, err := w.db.AddRule(ctx, time.Now(), &w.project.ID, "^X$", "test", uuid.Nil)
	must(w.t, err)
	global, err := w.db.AddRule(ctx, time.Now(), nil, "^Y$", "test", uuid.Nil)
	must(w.t, err)
	guest, err := w.db.EnsureUser(ctx, time.Now(), "guest")
	must(w.t, err)
	must(w.t, w.db.SetMember(ctx, time.Now(), w.project.ID, guest.ID, store.Viewer))
	_, hash := MintToken()
	spare, err := w.db.CreateToken(ctx, time.Now(), store.Token{UserID: guest.ID, ProjectID: &w.project.ID, Role: store.Viewer, Hash: hash, ExpiresAt: time.Now().Add(time.Hour)})
	must(w.t, err)
	project := asked("projectId", id)
	w.sim.AddEnvironment(repo, "staging")
	return map[string]sample{
		"syncSecrets": {syncPath, project}, "planSecrets": {planPath, project}, "validateSecrets": {validatePath, project},
		"applyEnvironments": {environmentsPath, devAsked(id)}, "planEnvironments": {environmentsPath + "/plan", devAsked(id)},
		"listEnvironments": {environmentsPath + of, nil}, "deleteEnvironment": {environmentsPath + "/staging" + of, nil},
		"getSyncStatus": {syncPath + "/status" + of, nil}, "listMappings": {"/github/secrets/mappings" + of, nil},
		"setMapping":   {"/github/secrets/mappings/API_KEY" + of, asked("targetScopes", []string{"codespaces"})},
		"listHistory":  {syncPath + "/history" + of, nil},
		"getRun":       {runsPath + w.aRun().String(), nil},
		"listProjects": {"/projects", nil}, "createProject": {"/projects", asked("repository", "acme/gadgets")},
		"getProject": {in, nil}, "patchProject": {in, asked("autoSync", true)}, "deleteProject": {in, nil},
		"listMembers": {in + "/members", nil}, "setMember": {in + "/members", asked("login", "newcomer", "role", "viewer")},
		"removeMember":   {in + "/members/" + guest.ID.String(), nil},
		"listExclusions": {in + "/secret-exclusions", nil}, "addExclusion": {in + "/secret-exclusions", asked("pattern", "^Z$", "reason", "r")},
		"removeExclusion": {in + "/secret-exclusions/" + rule.ID, nil}, "testExclusions": {in + "/secret-exclusions/test", asked("names", []string{"A"})},
		"listGlobalExclusions": {"/secret-exclusions", nil}, "addGlobalExclusion": {"/secret-exclusions", asked("pattern", "^Z$", "reason", "r")},
		"removeGlobalExclusion": {"/secret-exclusions?id=" + global.ID, nil},
		"listTokens":            {"/tokens" + of, nil}, "createToken": {"/tokens", asked("projectId", id, "role", "viewer")},
		"revokeToken": {"/tokens" + of + "&id=" + spare.ID.String(), nil},
	}
}

func (w *world) aRun() uuid.UUID {
	run, _, err := w.db.StartRun(context.Background(), time.Now(), store.Run{Project: w.project.ID, Actor: store.Scheduler},
		store.StartOptions{OptionsHash: strings.Repeat("0", 64)})
	must(w.t, err)
	return run.ID
}

// documented returns the operations of the OpenAPI document that take a user's bearer token.
func (w *world) documented() []string {
	var ids []string
	for _, item := range w.srv.api.OpenAPI().Paths {
		for _, op := range operationsOf(item) {
			if len(op.Security) > 0 && op.Security[0]["bearer"] != nil {
				ids = append(ids, op.OperationID)
			}
		}
	}
	slices.Sort(ids)
	// The last thing that happens to a project.
	last := slices.Index(ids, "deleteProject")
	return append(slices.Delete(ids, last, last+1), "deleteProject")
}

// Every operation of the document, for every role and for those who have none.
func TestEveryOperationForEveryRole(t *testing.T) {
	ranks := []store.Role{store.Viewer, store.Developer, store.Admin, platform}
	for _, role := range ranks {
		t.Run(string(role), func(t *testing.T) {
			w := newWorld(t)
			token, samples := w.token("someone", role), w.samples()
			ids := w.documented()
			if len(ids) != len(operations) || len(samples) != len(operations) {
				t.Fatalf("%d documented, %d sampled, %d in the table", len(ids), len(samples), len(operations))
			}
			for _, id := range ids {
				op, s := operationsByID[id], samples[id]
				if id == "setMapping" {
					w.remember("API_KEY")
				}
				r := w.send(token, op.Method, s.path, s.body, func(r *http.Request) { r.Header.Set("Prefer", "respond-async") })
				allowed := op.Role == anyone || slices.Index(ranks, role) >= slices.Index(ranks, op.Role)
				switch {
				case allowed && r.status >= 400:
					t.Errorf("%s: %d %s", id, r.status, r.body)
				case !allowed:
					p := r.refused(http.StatusForbidden, "AUTH_ROLE_DENIED")
					if p.Context["requiredRole"] != string(op.Role) {
						t.Errorf("%s: %+v", id, p)
					}
				}
			}
		})
	}
}

// remember makes a mapping as a run would.
func (w *world) remember(name string) {
	run := uuid.New()
	ctx, now := context.Background(), time.Now()
	must(w.t, w.db.BeginRun(ctx, store.Run{ID: run, Project: w.project.ID, Actor: store.Local, StartedAt: now}))
	n, err := nameOf(name)
	must(w.t, err)
	scopes, err := scopesOf([]string{"codespaces", "dependabot"})
	must(w.t, err)
	_, err = w.db.Record(ctx, now, store.Outcome{
		Project: w.project.ID, Actor: store.Local, Run: store.Run{ID: run, State: store.Succeeded, StartedAt: now},
		Mappings: []store.MappingRecord{{Name: n, TargetScopes: scopes, Status: store.Synced, LastSyncedAt: now}},
	})
	must(w.t, err)
}

// Whoever does not belong to a project learns nothing of it, whatever they may do elsewhere.
func TestOtherPeoplesProjectsAreNotFound(t *testing.T) {
	w := newWorld(t)
	other := w.addProject("acme/gadgets", "")
	strangers := map[string]string{
		"member of another project": w.token("stranger", anyone),
		"token for another project": w.token("root", platform, func(tk *store.Token) { tk.ProjectID = &other.ID }),
		"token of a former member":  w.token("former", anyone, func(tk *store.Token) { tk.ProjectID = &w.project.ID }),
	}
	u, _, err := w.db.UserByLogin(t.Context(), "stranger")
	must(t, err)
	must(t, w.db.SetMember(t.Context(), time.Now(), other.ID, u.ID, store.Admin))
	samples := w.samples()
	for who, token := range strangers {
		for _, op := range operations {
			s := samples[op.ID]
			if !strings.Contains(s.path, w.project.ID.String()) && op.ID != "syncSecrets" && op.ID != "planSecrets" &&
				op.ID != "validateSecrets" && op.ID != "applyEnvironments" && op.ID != "planEnvironments" && op.ID != "createToken" && op.ID != "getRun" {
				continue
			}
			r := w.send(token, op.Method, s.path, s.body)
			p := r.envelope()
			want := "PROJECT_NOT_FOUND"
			if op.ID == "getRun" {
				want = "RESOURCE_NOT_FOUND"
			}
			if r.status != http.StatusNotFound || string(p.Code) != want {
				t.Errorf("%s, %s: %d %s", who, op.ID, r.status, r.body)
			}
		}
	}
	var list struct{ Projects []Project }
	w.send(strangers["member of another project"], "GET", "/projects", nil).into(http.StatusOK, &list)
	if len(list.Projects) != 1 || list.Projects[0].ID != other.ID {
		t.Errorf("%+v", list)
	}
	unknown := w.send(strangers["member of another project"], "GET", "/projects/"+uuid.NewString(), nil).refused(http.StatusNotFound, "PROJECT_NOT_FOUND")
	foreign := w.send(strangers["member of another project"], "GET", "/projects/"+w.project.ID.String(), nil).refused(http.StatusNotFound, "PROJECT_NOT_FOUND")
	if unknown.Hint != foreign.Hint || len(unknown.Context) != len(foreign.Context) {
		t.Errorf("they can be told apart: %+v %+v", unknown, foreign)
	}
}

// A token narrows what its user may do, and never widens it.
func TestTokensNarrow(t *testing.T) {
	w := newWorld(t)
	looks := w.token("root", platform, func(tk *store.Token) { tk.Role = store.Viewer })
	w.send(looks, "GET", syncPath+"/status?projectId="+w.project.ID.String(), nil).into(http.StatusOK, nil)
	w.send(looks, "POST", syncPath, asked("projectId", w.project.ID)).refused(http.StatusForbidden, "AUTH_ROLE_DENIED")
	w.send(looks, "POST", "/projects", asked("repository", "acme/gadgets")).refused(http.StatusForbidden, "AUTH_ROLE_DENIED")
	here := w.token("root", platform, func(tk *store.Token) { tk.ProjectID = &w.project.ID })
	w.send(here, "PATCH", "/projects/"+w.project.ID.String(), asked("name", "here")).into(http.StatusOK, nil)
	w.send(here, "DELETE", "/projects/"+w.project.ID.String(), nil).refused(http.StatusForbidden, "AUTH_ROLE_DENIED")
	w.send(here, "POST", "/secret-exclusions", asked("pattern", "^Q$", "reason", "r")).refused(http.StatusForbidden, "AUTH_ROLE_DENIED")
	viewer := w.token("viewer", store.Viewer)
	w.send(viewer, "POST", syncPath, asked("projectId", w.project.ID)).refused(http.StatusForbidden, "AUTH_ROLE_DENIED")
}

// misspelt is a token with another letter near its end.
func misspelt(token string) string {
	letters := []byte(token)
	if at := len(letters) - 3; letters[at] == 'x' {
		letters[at] = 'y'
	} else {
		letters[at] = 'x'
	}
	return string(letters)
}

func TestNobodyIsAnswered401(t *testing.T) {
	w := newWorld(t)
	expired := w.token("dev", store.Developer)
	revoked := w.token("dev2", store.Developer)
	u, _, err := w.db.UserByLogin(t.Context(), "dev2")
	must(t, err)
	tokens, err := w.db.Tokens(t.Context(), u.ID, uuid.Nil)
	must(t, err)
	must(t, w.db.RevokeToken(t.Context(), time.Now(), tokens[0].ID))
	unknown, _ := MintToken()
	for name, header := range map[string]string{
		"garbage": "Bearer garbage", "unknown": "Bearer " + unknown, "revoked": "Bearer " + revoked, "checksum": "Bearer " + misspelt(expired),
		"short": "Bearer osl_", "long": "Bearer osl_" + strings.Repeat("A", 5000), "jwt of nobody": "Bearer eyJhbGciOiJub25lIn0.eyJpc3MiOiJ4In0.",
		"hash": "Bearer " + HashToken(expired),
	} {
		r := w.send("", "GET", "/projects", nil, func(r *http.Request) { r.Header["Authorization"] = []string{header} })
		if r.status == http.StatusBadRequest { // net/http refuses the header itself
			continue
		}
		if p := r.refused(http.StatusUnauthorized, "AUTH_TOKEN_INVALID"); len(p.CauseChain) != 0 || r.header.Get("WWW-Authenticate") == "" {
			t.Errorf("%s: %s", name, r.body)
		}
	}
	for _, header := range []string{"", "Basic Zm9vOmJhcg==", "Bearer", "Bearer ", expired} {
		w.send("", "GET", "/projects", nil, func(r *http.Request) { r.Header.Set("Authorization", header) }).refused(http.StatusUnauthorized, "AUTH_TOKEN_MISSING")
	}
	w.send(expired, "GET", "/projects", nil).into(http.StatusOK, nil)
	w.srv.now = func() time.Time { return time.Now().Add(2 * time.Hour) }
	w.send(expired, "GET", "/projects", nil).refused(http.StatusUnauthorized, "AUTH_TOKEN_INVALID")
	for _, op := range operations {
		r := w.send("", op.Method, strings.NewReplacer("{", "", "}", "").Replace(op.Path), "{")
		if r.status != http.StatusUnauthorized {
			t.Errorf("%s without a token: %d", op.ID, r.status)
		}
	}
}
