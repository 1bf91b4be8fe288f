package environment

import (
	"strings"

	"github.com/octoseal/octoseal/internal/secret"
)

// Links are the resources elsewhere that an environment is linked to. An empty one was left out: it
// stays what it was.
type Links struct {
	NeonBranchID           string `json:"neonBranchId,omitempty" yaml:"neonBranchId"`
	CloudflareWorkerName   string `json:"cloudflareWorkerName,omitempty" yaml:"cloudflareWorkerName"`
	CloudflarePagesProject string `json:"cloudflarePagesProject,omitempty" yaml:"cloudflarePagesProject"`
}

// A Link is one of them, with the secret under which workflows find it.
type Link struct {
	Subject Subject
	Title   string
	Secret  secret.Name
	Value   string
}

// each returns all links in their order, the empty ones too.
func (l Links) each() []Link {
	return []Link{
		{SubjectNeon, "Neon branch", secret.MustName("NEON_BRANCH_ID"), l.NeonBranchID},
		{SubjectWorker, "Cloudflare Worker", secret.MustName("CLOUDFLARE_WORKER_NAME"), l.CloudflareWorkerName},
		{SubjectPages, "Cloudflare Pages project", secret.MustName("CLOUDFLARE_PAGES_PROJECT"), l.CloudflarePagesProject},
	}
}

func (l Links) at(s Subject) string {
	for _, link := range l.each() {
		if link.Subject == s {
			return link.Value
		}
	}
	return ""
}

// over returns the links that hold when l is asked for and before was remembered.
func (l Links) over(before Links) Links {
	keep := func(asked, remembered string) string {
		if asked == "" {
			return remembered
		}
		return asked
	}
	return Links{
		NeonBranchID:           keep(l.NeonBranchID, before.NeonBranchID),
		CloudflareWorkerName:   keep(l.CloudflareWorkerName, before.CloudflareWorkerName),
		CloudflarePagesProject: keep(l.CloudflarePagesProject, before.CloudflarePagesProject),
	}
}

// without returns the links but for one.
func (l Links) without(s Subject) Links {
	switch s {
	case SubjectNeon:
		l.NeonBranchID = ""
	case SubjectWorker:
		l.CloudflareWorkerName = ""
	case SubjectPages:
		l.CloudflarePagesProject = ""
	}
	return l
}

// key is what the link is called in a spec.
func (l Link) key() string { return strings.TrimPrefix(string(l.Subject), "linkedResources.") }
