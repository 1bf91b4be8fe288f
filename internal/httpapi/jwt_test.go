package httpapi

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/store"
)

// A vouching gatekeeper believes every token and says it is of that login.
type vouching string

func (vouching) Issuer() string { return "https://id.example" }

func (v vouching) Login(context.Context, string) (string, error) {
	if v == "" {
		return "", errors.New("canary of the provider")
	}
	return string(v), nil
}

func fakeJWT(issuer string) string {
	return "e30." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"`+issuer+`"}`)) + ".e30"
}

// Whom an issuer vouches for is who has that login here, with the roles that they have here.
func TestJWTsAreOfUsersByLogin(t *testing.T) {
	w := newWorld(t)
	w.token("Ann", store.Developer)
	path := syncPath + "/status?projectId=" + w.project.ID.String()
	with := func(login string) {
		w.srv.issuers = map[string]Gatekeeper{"https://id.example": vouching(login)}
	}
	with("ann")
	w.send(fakeJWT("https://id.example"), "GET", path, nil).into(http.StatusOK, nil)
	w.send(fakeJWT("https://evil.example"), "GET", path, nil).refused(http.StatusUnauthorized, "AUTH_TOKEN_INVALID")
	for _, login := range []string{"nobody", "scheduler", "local", ""} {
		with(login)
		r := w.send(fakeJWT("https://id.example"), "GET", path, nil)
		if p := r.refused(http.StatusUnauthorized, "AUTH_TOKEN_INVALID"); len(p.CauseChain) != 0 {
			t.Errorf("%s: %s", login, r.body)
		}
	}
}

// What an admin makes and takes back through the API holds at once.
func TestTokensThroughTheAPI(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.TokenCache = time.Hour })
	admin, root := w.token("admin", store.Admin), w.token("root", platform)
	project := w.project.ID.String()
	var made struct{ ID, Token, UserID string }
	w.send(admin, "POST", "/tokens", asked("projectId", project, "role", "developer", "name", "ci")).into(http.StatusCreated, &made)
	w.send(made.Token, "POST", planPath, asked("projectId", project)).into(http.StatusOK, nil)
	w.send(made.Token, "PATCH", "/projects/"+project, asked("name", "x")).refused(http.StatusForbidden, "AUTH_ROLE_DENIED")
	w.send(admin, "POST", "/tokens", asked("projectId", project, "role", "admin", "login", "root")).refused(http.StatusForbidden, "AUTH_ROLE_DENIED")
	w.send(admin, "POST", "/tokens", asked("role", "admin")).refused(http.StatusForbidden, "AUTH_ROLE_DENIED")
	w.send(admin, "DELETE", "/tokens?projectId="+project+"&id="+made.ID, nil).into(http.StatusNoContent, nil)
	w.send(made.Token, "POST", planPath, asked("projectId", project)).refused(http.StatusUnauthorized, "AUTH_TOKEN_INVALID")

	w.send(root, "POST", "/tokens", asked("role", "viewer", "login", "robot")).into(http.StatusCreated, &made)
	w.send(made.Token, "GET", "/projects/"+project, nil).refused(http.StatusNotFound, "PROJECT_NOT_FOUND")
	w.send(admin, "POST", "/projects/"+project+"/members", asked("login", "robot", "role", "admin")).into(http.StatusOK, nil)
	w.send(made.Token, "GET", "/projects/"+project, nil).into(http.StatusOK, nil)
	w.send(made.Token, "DELETE", "/tokens?id="+made.ID, nil).refused(http.StatusForbidden, "AUTH_ROLE_DENIED")
	var list struct{ Tokens []map[string]any }
	w.send(made.Token, "GET", "/tokens", nil).into(http.StatusOK, &list)
	if len(list.Tokens) != 1 || list.Tokens[0]["token"] != nil || list.Tokens[0]["hash"] != nil {
		t.Errorf("%+v", list)
	}
	w.send(admin, "DELETE", "/projects/"+project+"/members/"+made.UserID, nil).into(http.StatusNoContent, nil)
	w.send(made.Token, "GET", "/projects/"+project, nil).refused(http.StatusNotFound, "PROJECT_NOT_FOUND")
	w.send(root, "DELETE", "/tokens?id="+made.ID, nil).into(http.StatusNoContent, nil)
	w.send(made.Token, "GET", "/tokens", nil).refused(http.StatusUnauthorized, "AUTH_TOKEN_INVALID")
}

// A hash can be guessed from, so those who only look see none.
func TestViewersSeeNoHashes(t *testing.T) {
	w := newWorld(t)
	w.work()
	dev, viewer := w.token("dev", store.Developer), w.token("viewer", store.Viewer)
	w.send(dev, "POST", syncPath, asked("projectId", w.project.ID)).into(http.StatusOK, nil)
	path := "/github/secrets/mappings?projectId=" + w.project.ID.String()
	var full, bare struct{ Mappings []Mapping }
	w.send(dev, "GET", path, nil).into(http.StatusOK, &full)
	w.send(viewer, "GET", path, nil).into(http.StatusOK, &bare)
	if len(full.Mappings) != 2 || len(full.Mappings[0].ValueHashes) != 3 || full.Mappings[0].ValueHash == bare.Mappings[0].ValueHash {
		t.Errorf("%+v", full)
	}
	if len(bare.Mappings) != 2 || len(bare.Mappings[0].ValueHashes) != 0 || bare.Mappings[0].ValueHash[:8] != "00000000" {
		t.Errorf("%+v", bare)
	}
}

// A repository has one project, whatever it is called when it is asked for again.
func TestProjectsThroughTheAPI(t *testing.T) {
	w := newWorld(t)
	root := w.token("root", platform)
	var made, again Project
	r := w.send(root, "POST", "/projects", asked("repository", "acme/gadgets", "name", "Gadgets", "autoSync", true, "syncIntervalSeconds", 90))
	r.into(http.StatusCreated, &made)
	if made.Name != "Gadgets" || !made.AutoSync || made.SyncIntervalSeconds != 90 || r.header.Get("Location") != "/projects/"+made.ID.String() {
		t.Errorf("%s", r.body)
	}
	w.send(root, "POST", "/projects", asked("repository", "https://github.com/ACME/gadgets.git")).into(http.StatusOK, &again)
	if again != made {
		t.Errorf("%+v, want %+v", again, made)
	}
	w.send(root, "POST", "/projects", asked("repository", "acme/gadgets", "valueSource", "source:local")).into(http.StatusOK, nil)
	w.send(root, "PATCH", "/projects/"+made.ID.String(), asked("valueSource", "source:local")).refused(http.StatusBadRequest, "REQUEST_INVALID")
	w.send(root, "DELETE", "/projects/"+made.ID.String(), nil).into(http.StatusNoContent, nil)
	w.send(root, "GET", "/projects/"+made.ID.String(), nil).refused(http.StatusNotFound, "PROJECT_NOT_FOUND")
	w.send(root, "POST", "/projects", asked("repository", "acme/gadgets")).into(http.StatusCreated, &again)
	if again.ID == made.ID {
		t.Error("an archived project came back")
	}
}
