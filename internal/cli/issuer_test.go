package cli

import (
	"net/url"
	"testing"
)

// Each GitHub has an issuer of its own for the ID tokens of jobs.
func TestJobsHaveTheIssuerOfTheirGitHub(t *testing.T) {
	for at, want := range map[string]string{
		"https://api.github.com":              "https://token.actions.githubusercontent.com",
		"https://api.octocorp.ghe.com":        "https://token.actions.octocorp.ghe.com",
		"https://git.example/api/v3":          "https://git.example/_services/token",
		"https://git.example:8443/api/v3":     "https://git.example:8443/_services/token",
		"http://127.0.0.1:4000":               "http://127.0.0.1:4000/_services/token",
		"https://api.github.com.evil.example": "https://api.github.com.evil.example/_services/token",
	} {
		u, err := url.Parse(at)
		if err != nil {
			t.Fatal(err)
		}
		if got := (api{u}).jobIssuer(); got != want {
			t.Errorf("%s: %s, want %s", at, got, want)
		}
	}
}
