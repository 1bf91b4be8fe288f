package github

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"mime"
	"net/url"
	"slices"
	"strings"

	"github.com/octoseal/octoseal/internal/fault"
)

// What says what a webhook delivery is about, as far as it matters here.
type What string

// What deliveries are about. GitHub sends none when a secret changes, so none of them replaces
// polling; and it may send them late, twice or in another order, so each says only where to look.
const (
	Pushed    What = "pushed"    // to the default branch, asking for a synchronisation
	Moved     What = "moved"     // the repository has another name or owner
	Removed   What = "removed"   // the repository was deleted
	Installed What = "installed" // the App may reach the repositories
	Withdrawn What = "withdrawn" // the App may reach the repositories no more
	JobEnded  What = "job_ended" // a run of the relay's workflow is over
	Held      What = "held"      // a deployment waits for the word of our protection rule
)

// News is what is kept of a delivery; the payload itself, which holds people's names, is not.
type News struct {
	What         What    `json:"what"`
	Repositories []int64 `json:"repositories,omitempty"` // none: every one of the installation
	Called       string  `json:"called,omitempty"`       // OWNER/NAME of the one repository, when it was sent
	Installation int64   `json:"installation,omitempty"`
	WorkflowRun  int64   `json:"workflowRun,omitempty"` // of JobEnded
	Conclusion   string  `json:"conclusion,omitempty"`  // of JobEnded, in GitHub's words
	Environment  string  `json:"environment,omitempty"` // that a deployment is held back from
	Callback     string  `json:"callback,omitempty"`    // where ReviewDeployment lets it go on
}

// RelayWorkflow is the file of the workflow that brings a repository's values.
const RelayWorkflow = ".github/workflows/octoseal.yml"

// SignedWith says whether signature, of the header X-Hub-Signature-256, was made over body with the
// webhook's secret. It takes the same time whatever it finds.
func SignedWith(secret, body []byte, signature string) bool {
	sum, ok := strings.CutPrefix(signature, "sha256=")
	given, err := hex.DecodeString(sum)
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return hmac.Equal(mac.Sum(nil), given) && ok && err == nil && len(secret) > 0
}

// pushMark in a head commit's message asks for a synchronisation, as a change of pushFile does.
const (
	pushMark = "[sync-secrets]"
	pushFile = ".env.example"
)

// ReadNews reads the body of a delivery whose signature was found good; event is what its header
// says. Most deliveries, a ping among them, are no news: ok is false for them.
func ReadNews(event, contentType string, body []byte) (n News, ok bool, err error) {
	var p payload
	if kind, _, _ := mime.ParseMediaType(contentType); kind == "application/x-www-form-urlencoded" {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return News{}, false, notPayload(err)
		}
		body = []byte(form.Get("payload"))
	}
	if err := json.Unmarshal(body, &p); err != nil {
		return News{}, false, notPayload(err)
	}
	n = News{Installation: p.Installation.ID}
	if p.Repository.ID != 0 {
		n.Repositories, n.Called = []int64{p.Repository.ID}, p.Repository.FullName
	}
	switch event {
	case "push":
		n.What, ok = Pushed, p.asksForSync()
	case "repository":
		n.What = map[string]What{"renamed": Moved, "transferred": Moved, "deleted": Removed}[p.Action]
	case "workflow_run":
		if path, _, _ := strings.Cut(p.WorkflowRun.Path, "@"); p.Action == "completed" && path == RelayWorkflow && p.WorkflowRun.ID > 0 {
			n.What, n.WorkflowRun, n.Conclusion = JobEnded, p.WorkflowRun.ID, p.WorkflowRun.Conclusion
		}
	case "deployment_protection_rule":
		if p.Action == "requested" && p.Environment != "" && p.Callback != "" && p.Repository.ID != 0 {
			n.What, n.Environment, n.Callback = Held, p.Environment, p.Callback
		}
	case "installation":
		n.What = map[string]What{
			"created": Installed, "unsuspend": Installed, "new_permissions_accepted": Installed, "deleted": Withdrawn, "suspend": Withdrawn,
		}[p.Action]
		n.Repositories = ids(p.Repositories)
	case "installation_repositories":
		n.What, n.Repositories = Installed, ids(p.Added)
		if p.Action == "removed" {
			n.What, n.Repositories = Withdrawn, ids(p.Taken)
		}
		ok = len(n.Repositories) > 0
		return n, ok, nil
	}
	if event != "push" {
		ok = n.What != ""
	}
	return n, ok, nil
}

func notPayload(err error) error {
	return fault.Invalid("the body is no webhook payload").
		Hinting("Set the webhook's content type to application/json.").Because(err)
}

// A payload is the part of GitHub's payloads that is read.
type payload struct {
	Action       string           `json:"action"`
	Ref          string           `json:"ref"`
	HeadCommit   *pushedCommit    `json:"head_commit"`
	Commits      []pushedCommit   `json:"commits"`
	Repository   hookRepository   `json:"repository"`
	Repositories []hookRepository `json:"repositories"`
	Added        []hookRepository `json:"repositories_added"`
	Taken        []hookRepository `json:"repositories_removed"`
	WorkflowRun  struct {
		ID         int64  `json:"id"`
		Path       string `json:"path"`
		Conclusion string `json:"conclusion"`
	} `json:"workflow_run"`
	Environment  string `json:"environment"`
	Callback     string `json:"deployment_callback_url"`
	Installation struct {
		ID int64 `json:"id"`
	} `json:"installation"`
}

type hookRepository struct {
	ID            int64  `json:"id"`
	FullName      string `json:"full_name"`
	DefaultBranch string `json:"default_branch"`
}

type pushedCommit struct {
	Message  string   `json:"message"`
	Added    []string `json:"added"`
	Modified []string `json:"modified"`
	Removed  []string `json:"removed"`
}

func ids(all []hookRepository) []int64 {
	var out []int64
	for _, r := range all {
		out = append(out, r.ID)
	}
	return out
}

// asksForSync looks at pushes to the default branch alone; whoever may push elsewhere may be
// anybody with a branch.
func (p payload) asksForSync() bool {
	if p.Ref != "refs/heads/"+p.Repository.DefaultBranch || p.HeadCommit == nil || p.Repository.ID == 0 {
		return false
	}
	if strings.Contains(p.HeadCommit.Message, pushMark) {
		return true
	}
	return slices.ContainsFunc(append(p.Commits, *p.HeadCommit), func(c pushedCommit) bool {
		return slices.Contains(slices.Concat(c.Added, c.Modified, c.Removed), pushFile)
	})
}
