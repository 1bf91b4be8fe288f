package httpapi

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/githubsim"
	"github.com/octoseal/octoseal/internal/store"
)

// withZod returns a folder in which node finds the zod package, or skips, saying why. Where
// OCTOSEAL_REQUIRE_NODE is 1, being unable to is a failure.
func withZod(t *testing.T) string {
	t.Helper()
	unable := t.Skipf
	if os.Getenv("OCTOSEAL_REQUIRE_NODE") == "1" {
		unable = t.Fatalf
	}
	for _, tool := range []string{"node", "npm"} {
		if _, err := exec.LookPath(tool); err != nil {
			unable("the schemas need node: %v", err)
		}
	}
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "package.json"), []byte(`{"private":true,"type":"module"}`), 0o600))
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	install := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "zod@3.25.76")
	install.Dir = dir
	if out, err := install.CombinedOutput(); err != nil {
		unable("zod cannot be installed: %v: %s", err, out)
	}
	return dir
}

// The answers parse with the schemas of the contract.
func TestAnswersKeepTheContract(t *testing.T) {
	dir := withZod(t)
	w := newWorld(t)
	token := w.token("dev", store.Developer)
	id := w.project.ID.String()
	type answer struct {
		Name   string          `json:"name"`
		Schema string          `json:"schema"`
		Answer json.RawMessage `json:"answer"`
	}
	var answers []answer
	add := func(name, schema string, status int, r reply) {
		r.into(status, nil)
		answers = append(answers, answer{name, schema, r.body})
	}
	status := func() reply { return w.send(token, "GET", syncPath+"/status?projectId="+id, nil) }
	validate := func() reply { return w.send(token, "POST", validatePath, asked("projectId", id)) }
	add("status before any run", "status", http.StatusOK, status())
	add("validation before any run", "validation", http.StatusOK, validate())
	async := func(r *http.Request) { r.Header.Set("Prefer", "respond-async") }
	queued := w.send(token, "POST", syncPath, asked("projectId", id), async)
	add("202", "sync", http.StatusAccepted, queued)
	w.work()
	w.sim.SetSecret(repo, "codespaces", githubsim.Secret{Name: "DB_URL", Value: "theirs"})
	add("200 with a conflict", "sync", http.StatusOK, w.send(token, "POST", syncPath, asked("projectId", id)))
	add("a run", "sync", http.StatusOK, w.send(token, "GET", queued.header.Get("Location"), nil))
	w.sim.Advance(10 * time.Second)
	w.sim.SetSecret(repo, "dependabot", githubsim.Secret{Name: "API_KEY", Value: "edited"})
	w.sim.DeleteSecret(repo, "codespaces", "API_KEY")
	validation := validate()
	add("validation with findings", "validation", http.StatusOK, validation)
	add("status after a run", "status", http.StatusOK, status())

	admin := w.token("ada", store.Admin)
	grace := w.reviewer("")
	add("environments, two made and one refused", "environments", http.StatusOK, w.send(admin, "POST", environmentsPath, w.three(grace)))
	w.sim.AddCollaborator(repo, "grace", githubsim.RoleRead)
	add("environments, one made", "environments", http.StatusOK, w.send(admin, "POST", environmentsPath, w.three(grace)))
	add("environments, nothing to do", "environments", http.StatusOK, w.send(admin, "POST", environmentsPath, w.three(grace)))
	add("validation of environments", "validation", http.StatusOK, w.send(token, "POST", validatePath, asked("projectId", id, "environments", []string{"dev"})))

	var v ValidateResponse
	validation.into(http.StatusOK, &v)
	if v.Valid || len(v.Missing) == 0 || len(v.Conflicts)+v.Summary.MissingCount == 0 {
		t.Errorf("there is nothing to find: %s", validation.body)
	}
	script, err := os.ReadFile("testdata/contract.mjs")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(dir, "contract.mjs"), script, 0o600))
	raw, err := json.Marshal(answers)
	must(t, err)
	node := exec.CommandContext(t.Context(), "node", "contract.mjs")
	node.Dir, node.Stdin = dir, bytes.NewReader(raw)
	if out, err := node.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
