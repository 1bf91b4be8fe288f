package githubsim

// A Plan is what a repository's owner pays for. It decides over private repositories alone:
// public ones have everything.
type Plan string

// The plans, as far as they differ in environments.
const (
	EnterprisePlan Plan = ""     // everything
	TeamPlan       Plan = "team" // environments and branch rules; no reviewers, wait timer or bypass switch
	FreePlan       Plan = "free" // no environments; those made before stay, out of sight
)

func (repo *repository) hasEnvironments() bool { return !repo.Private || repo.Plan != FreePlan }

func (repo *repository) hasProtection() bool { return !repo.Private || repo.Plan == EnterprisePlan }
