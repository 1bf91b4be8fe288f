// Package environment keeps a project's environments on GitHub as they are asked for: dev, staging
// and production, each with its protection rules, its own secrets and the resources it is linked to.
//
// It goes like syncing: observe → plan → gates → intents → apply → confirm → record. The plan is
// pure (tier.go, rules.go, check.go, plan.go and what they call do no IO and read no clock); Service
// does the rest. What is different lies in the matter itself:
//
//   - Rules are GitHub's to tell, so they need no memory to be put right; memory says what changed
//     them. What nobody asked for keeps GitHub's value: an apply never loosens what it does not name.
//   - Values are at hand, and a spec is never the whole list: a secret that it does not name is left.
//   - An environment stands or falls alone. One that is refused is left as it is, the others go on,
//     and no secret goes into one that is less protected than asked.
//
// A process that is killed in the middle leaves intents among the remembered secrets of an
// environment; the next apply finds times that they cover, and writes those secrets again.
package environment
