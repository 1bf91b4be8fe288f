package github

import (
	"net/url"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSignedWith(t *testing.T) {
	// The example of GitHub's documentation.
	key, body := []byte("It's a Secret to Everybody"), []byte("Hello, World!")
	const good = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
	if !SignedWith(key, body, good) {
		t.Error("the documented signature is refused")
	}
	for _, bad := range []string{"", "sha256=", good[7:], "sha1=" + good[7:], good[:len(good)-2], good + "00", "sha256=zz"} {
		if SignedWith(key, body, bad) {
			t.Errorf("%q passes", bad)
		}
	}
	if SignedWith([]byte("another"), body, good) || SignedWith(key, []byte("hello"), good) || SignedWith(nil, body, good) {
		t.Error("another key or body passes")
	}
}

func TestReadNews(t *testing.T) {
	for _, c := range []struct {
		name, event, body string
		want              News
		matters           bool
	}{
		{"a mark on the default branch", "push", `{"ref":"refs/heads/trunk","head_commit":{"message":"x [sync-secrets]"},"repository":{"id":5,"full_name":"a/b","default_branch":"trunk"}}`,
			News{What: Pushed, Repositories: []int64{5}, Called: "a/b"}, true},
		{"on another branch", "push", `{"ref":"refs/heads/other","head_commit":{"message":"[sync-secrets]"},"repository":{"id":5,"default_branch":"trunk"}}`, News{}, false},
		{"a tag of the branch's name", "push", `{"ref":"refs/tags/trunk","head_commit":{"message":"[sync-secrets]"},"repository":{"id":5,"default_branch":"trunk"}}`, News{}, false},
		{"the branch deleted", "push", `{"ref":"refs/heads/trunk","head_commit":null,"repository":{"id":5,"default_branch":"trunk"}}`, News{}, false},
		{"the file in an earlier commit", "push", `{"ref":"refs/heads/trunk","head_commit":{"message":"x"},"commits":[{"removed":[".env.example"]}],"repository":{"id":5,"default_branch":"trunk"}}`,
			News{What: Pushed, Repositories: []int64{5}}, true},
		{"a file of like name", "push", `{"ref":"refs/heads/trunk","head_commit":{"message":"x","added":["x/.env.example.md"]},"repository":{"id":5,"default_branch":"trunk"}}`, News{}, false},
		{"renamed", "repository", `{"action":"renamed","repository":{"id":5,"full_name":"a/c"}}`, News{What: Moved, Repositories: []int64{5}, Called: "a/c"}, true},
		{"archived there", "repository", `{"action":"archived","repository":{"id":5}}`, News{}, false},
		{"uninstalled", "installation", `{"action":"deleted","installation":{"id":9},"repositories":[{"id":5},{"id":6}]}`,
			News{What: Withdrawn, Repositories: []int64{5, 6}, Installation: 9}, true},
		{"added", "installation_repositories", `{"action":"added","installation":{"id":9},"repositories_added":[{"id":5}]}`,
			News{What: Installed, Repositories: []int64{5}, Installation: 9}, true},
		{"the relay's job ended", "workflow_run", `{"action":"completed","workflow_run":{"id":77,"path":".github/workflows/octoseal.yml","conclusion":"failure"},"repository":{"id":5,"full_name":"a/b"}}`,
			News{What: JobEnded, Repositories: []int64{5}, Called: "a/b", WorkflowRun: 77, Conclusion: "failure"}, true},
		{"the relay's job, by its ref", "workflow_run", `{"action":"completed","workflow_run":{"id":77,"path":".github/workflows/octoseal.yml@main","conclusion":null},"repository":{"id":5}}`,
			News{What: JobEnded, Repositories: []int64{5}, WorkflowRun: 77}, true},
		{"the relay's job began", "workflow_run", `{"action":"in_progress","workflow_run":{"id":77,"path":".github/workflows/octoseal.yml"},"repository":{"id":5}}`, News{}, false},
		{"another workflow ended", "workflow_run", `{"action":"completed","workflow_run":{"id":77,"path":".github/workflows/ci.yml","conclusion":"failure"},"repository":{"id":5}}`, News{}, false},
		{"something else", "star", `{"action":"created","repository":{"id":5}}`, News{}, false},
	} {
		got, matters, err := ReadNews(c.event, "application/json; charset=utf-8", []byte(c.body))
		if err != nil || matters != c.matters || matters && !cmp.Equal(got, c.want) {
			t.Errorf("%s: %v %v %v", c.name, err, matters, cmp.Diff(c.want, got))
		}
		form := "payload=" + url.QueryEscape(c.body)
		if again, _, err := ReadNews(c.event, "application/x-www-form-urlencoded", []byte(form)); err != nil || !cmp.Equal(again, got) {
			t.Errorf("%s as a form: %v %v", c.name, err, cmp.Diff(got, again))
		}
	}
}

func FuzzReadNews(f *testing.F) {
	f.Add("push", `{"ref":"refs/heads/x","head_commit":{},"repository":{"id":1}}`)
	f.Fuzz(func(t *testing.T, event, body string) {
		n, matters, err := ReadNews(event, "application/json", []byte(body))
		if matters && (n.What == "" || err != nil) {
			t.Errorf("news of nothing: %+v %v", n, err)
		}
	})
}
