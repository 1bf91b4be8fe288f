package httpapi

// devAsked is a request for one environment without rules.
func devAsked(project string) any {
	return asked("projectId", project, "environments", []any{
		asked("name", "dev", "protectionRules", asked(), "secrets", []any{asked("name", "API_KEY", "value", "dev-canary")}, "linkedResources", asked()),
	})
}
