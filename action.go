// Package octoseal is the action that workflows use, as the repository has it: for whoever plays a runner.
package octoseal

import _ "embed"

// Action is the text of action.yml.
//
//go:embed action.yml
var Action string
