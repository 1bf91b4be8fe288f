package exclusion

import "fmt"

// Defaults returns the rules that hold for every project from the start: names that the
// runner fills in by itself. They stand only here; a database is seeded from this list.
func Defaults() Rules {
	rules := Rules{
		{Pattern: mustCompile(`^GITHUB_TOKEN$`), Reason: "Platform-managed GitHub token"},
		{Pattern: mustCompile(`^ACTIONS_.*`), Reason: "GitHub Actions runtime variables"},
		{Pattern: mustCompile(`^RUNNER_.*`), Reason: "GitHub runner environment variables"},
		{Pattern: mustCompile(`^CI$`), Reason: "CI flag auto-injected by GitHub"},
		{Pattern: mustCompile(`^GITHUB_WORKSPACE$`), Reason: "Workspace path auto-injected"},
		{Pattern: mustCompile(`^GITHUB_SHA$`), Reason: "Commit SHA auto-injected"},
		{Pattern: mustCompile(`^GITHUB_REF$`), Reason: "Git ref auto-injected"},
	}
	for i := range rules {
		rules[i].Global = true
	}
	return rules
}

// mustCompile is for patterns written in this file: a mistake in one is a mistake in the
// program, and any test that touches Defaults finds it.
func mustCompile(source string) Pattern {
	p, err := Compile(source)
	if err != nil {
		panic(fmt.Sprintf("exclusion: default pattern: %v", err))
	}
	return p
}
