package environment

import (
	"encoding/json"

	"github.com/octoseal/octoseal/internal/secret"
)

// SchemaURL is where editors find the schema of a file of environments.
const SchemaURL = "https://raw.githubusercontent.com/octoseal/octoseal/main/docs/environments.schema.json"

type object map[string]any

// Schema is the JSON Schema of a file of environments, for editors. ParseFile and Check are stricter
// where a schema has no word for it.
func Schema() []byte {
	raw, err := json.MarshalIndent(object{
		"$schema":              "https://json-schema.org/draft/2020-12/schema",
		"$id":                  SchemaURL,
		"title":                "Octoseal environments",
		"description":          "The environments of a project: octoseal env apply -f environments.yaml makes GitHub have them.",
		"type":                 "object",
		"additionalProperties": false,
		"required":             []string{"environments"},
		"properties": object{"environments": object{
			"type": "array", "minItems": 1, "maxItems": len(Tiers()), "items": environmentSchema(),
		}},
		"$defs": object{"name": object{"type": "string", "pattern": secret.NamePattern, "maxLength": secret.MaxNameLength, "not": object{"pattern": "^GITHUB_"}}},
	}, "", "  ")
	if err != nil { // maps of strings and numbers always marshal
		panic(err)
	}
	return append(raw, '\n')
}

func environmentSchema() object {
	return object{
		"type":                 "object",
		"additionalProperties": false,
		"required":             []string{"name"},
		"properties": object{
			"name":            object{"enum": Tiers()},
			"protectionRules": rulesSchema(),
			"secrets":         secretsSchema(),
			"linkedResources": linksSchema(),
		},
	}
}

func rulesSchema() object {
	return object{
		"type":                 []string{"object", "null"},
		"additionalProperties": false,
		"description":          "A key that is left out is the tier's default (staging: one reviewer; production: one reviewer and the default branch), or else what GitHub has.",
		"properties": object{
			"requiredReviewers": object{
				"type": "integer", "minimum": 0, "maximum": MaxReviewers,
				"description": "Whether an approval is asked for; GitHub lets a deployment go with one approval of any reviewer. 0: none.",
			},
			"reviewerIds": object{
				"type": "array", "items": object{"type": "integer", "minimum": 1}, "uniqueItems": true, "maxItems": MaxReviewers,
				"description": "GitHub's numbers of the users who may approve. Left out: the project's default reviewer.",
			},
			"restrictToMainBranch": object{"type": "boolean", "description": "Deployments come from the default branch only."},
			"waitTimer":            object{"type": "integer", "minimum": 0, "maximum": MaxWait, "description": "Minutes that a deployment waits."},
		},
	}
}

func secretsSchema() object {
	name := object{"$ref": "#/$defs/name"}
	return object{
		"description": "Names, never values. A value is the source's, under the same name or the one that from gives.",
		"oneOf": []object{
			{"type": "null"},
			{"type": "array", "items": name, "uniqueItems": true, "maxItems": MaxSecrets},
			{
				"type": "object", "propertyNames": name, "maxProperties": MaxSecrets,
				"additionalProperties": object{
					"type": []string{"object", "null"}, "additionalProperties": false, "properties": object{"from": name},
				},
			},
		},
	}
}

func linksSchema() object {
	properties := object{}
	for _, link := range (Links{}).each() {
		properties[link.key()] = object{
			"type": "string", "pattern": resourceName.String(),
			"description": "The " + link.Title + "; it becomes the secret " + link.Secret.String() + " unless that is given. No two environments share one.",
		}
	}
	return object{"type": []string{"object", "null"}, "additionalProperties": false, "properties": properties}
}
