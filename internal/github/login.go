package github

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/goccy/go-yaml"
)

// A cliLogin reads the GitHub CLI's login. It goes by the CLI's own files and command and not by a
// library of it: those first look at GH_TOKEN and GITHUB_TOKEN by rules of their own about which
// host they are for, and those rules send them to hosts that ours do not.
type cliLogin struct {
	getenv   func(string) string
	readFile func(string) ([]byte, error)
}

// loginTimeout bounds asking the CLI, which may ask a keyring, which may ask a person.
const loginTimeout = 5 * time.Second

// token returns the login for host; empty when there is none. The CLI is run only when its file
// says that it has a login for host but does not hold the token, which is in the keyring then.
func (l cliLogin) token(host string) string {
	text, err := l.readFile(filepath.Join(l.configDir(), "hosts.yml"))
	if err != nil {
		return ""
	}
	var hosts map[string]struct {
		Token string `yaml:"oauth_token"`
	}
	if err := yaml.Unmarshal(text, &hosts); err != nil {
		return ""
	}
	login, known := hosts[host]
	if !known || login.Token != "" {
		return login.Token
	}
	return l.fromKeyring(host)
}

func (l cliLogin) configDir() string {
	if dir := l.getenv("GH_CONFIG_DIR"); dir != "" {
		return dir
	}
	if dir := l.getenv("XDG_CONFIG_HOME"); dir != "" {
		return filepath.Join(dir, "gh")
	}
	if dir := l.getenv("AppData"); runtime.GOOS == "windows" && dir != "" {
		return filepath.Join(dir, "GitHub CLI")
	}
	return filepath.Join(l.getenv("HOME"), ".config", "gh")
}

func (l cliLogin) fromKeyring(host string) string {
	path := l.getenv("GH_PATH") // set for extensions of the CLI
	if path == "" {
		path = "gh"
	}
	ctx, cancel := context.WithTimeout(context.Background(), loginTimeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, "auth", "token", "--hostname", host)
	cmd.WaitDelay = time.Second
	for _, variable := range os.Environ() {
		switch name, _, _ := strings.Cut(variable, "="); name {
		case "GH_TOKEN", "GITHUB_TOKEN", "GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN":
			// gh would answer with these, whatever the login is.
		default:
			cmd.Env = append(cmd.Env, variable)
		}
	}
	out, err := cmd.Output()
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(out))
}
