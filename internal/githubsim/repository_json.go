package githubsim

import (
	"fmt"
	"maps"
)

func repositoryRoutes() []route {
	return []route{
		{method: "GET", path: "/{repo}", need: metadataRead, scope: "repo", role: RoleRead, open: openToAll,
			docs: "repos/repos#get-a-repository", serve: getRepository},
	}
}

func getRepository(c *call) answer {
	body := c.repositoryJSON(c.repo)
	body["network_count"] = 0
	body["subscribers_count"] = 0
	if c.repo.owner.kind == orgAccount {
		body["organization"] = c.accountJSON(c.repo.owner)
	}
	return answer{status: 200, body: body, modified: c.repo.updated}
}

// repositoryJSON is a repository as lists have it. Nothing in it moves by itself, so its
// ETag holds until somebody changes the repository.
func (c *call) repositoryJSON(repo *repository) map[string]any {
	visibility := "public"
	if repo.Private {
		visibility = "private"
	}
	body := map[string]any{
		"id": repo.ID, "node_id": fmt.Sprintf("R_%d", repo.ID), "name": repo.name, "full_name": repo.FullName,
		"owner": c.accountJSON(repo.owner), "private": repo.Private, "visibility": visibility,
		"archived": repo.Archived, "disabled": false, "fork": false, "is_template": false,
		"default_branch": repo.DefaultBranch, "description": nil, "homepage": nil, "language": nil,
		"license": nil, "mirror_url": nil, "topics": []string{}, "size": 0,
		"forks": 0, "forks_count": 0, "open_issues": 0, "open_issues_count": 0, "stargazers_count": 0,
		"watchers": 0, "watchers_count": 0,
		"has_issues": true, "has_projects": true, "has_wiki": true, "has_pages": false, "has_discussions": false,
		"allow_forking": true, "web_commit_signoff_required": false,
		"created_at": stamp(repo.created), "updated_at": stamp(repo.updated), "pushed_at": stamp(repo.created),
	}
	if c.version == oldVersion {
		body["has_downloads"] = true
	}
	if c.who.user != nil {
		body["permissions"] = repo.role(c.who.user).asJSON()
	}
	maps.Copy(body, c.repositoryURLs(repo))
	return body
}

// repositoryURLs are the some forty URLs in a repository, by key.
func (c *call) repositoryURLs(repo *repository) map[string]any {
	url := c.base + "/repos/" + repo.FullName
	html := c.site() + "/" + repo.FullName
	urls := map[string]any{
		"url": url, "html_url": html, "clone_url": html + ".git", "svn_url": html,
		"git_url": "git://github.com/" + repo.FullName + ".git",
		"ssh_url": "git@github.com:" + repo.FullName + ".git",
	}
	for key, path := range map[string]string{
		"archive_url": "{archive_format}{/ref}", "assignees_url": "assignees{/user}", "blobs_url": "git/blobs{/sha}",
		"branches_url": "branches{/branch}", "collaborators_url": "collaborators{/collaborator}",
		"comments_url": "comments{/number}", "commits_url": "commits{/sha}", "compare_url": "compare/{base}...{head}",
		"contents_url": "contents/{+path}", "contributors_url": "contributors", "deployments_url": "deployments",
		"downloads_url": "downloads", "events_url": "events", "forks_url": "forks",
		"git_commits_url": "git/commits{/sha}", "git_refs_url": "git/refs{/sha}", "git_tags_url": "git/tags{/sha}",
		"hooks_url": "hooks", "issue_comment_url": "issues/comments{/number}", "issue_events_url": "issues/events{/number}",
		"issues_url": "issues{/number}", "keys_url": "keys{/key_id}", "labels_url": "labels{/name}",
		"languages_url": "languages", "merges_url": "merges", "milestones_url": "milestones{/number}",
		"notifications_url": "notifications{?since,all,participating}", "pulls_url": "pulls{/number}",
		"releases_url": "releases{/id}", "stargazers_url": "stargazers", "statuses_url": "statuses/{sha}",
		"subscribers_url": "subscribers", "subscription_url": "subscription", "tags_url": "tags", "teams_url": "teams",
		"trees_url": "git/trees{/sha}",
	} {
		urls[key] = url + "/" + path
	}
	return urls
}
