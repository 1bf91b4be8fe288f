package cli_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/rogpeppe/go-internal/testscript"
)

// shapes are the responses of data-model.md and design.md §6, as JSON whose strings name types.
// Fields beyond these are allowed; a missing or renamed one is not.
var shapes = map[string]string{
	"sync": `{"syncedCount":"count","skippedCount":"count","correlationId":"uuid","durationMs":"count",
		"errors":[{"secretName":"string","scope":"string","error":"string","code":"code"}],
		"notices":[{"code":"code","message":"string","context":{}}]}`,
	"plan": `{"correlationId":"uuid","actions":[{"secretName":"string","scope":"string",
			"verb":"create|update|delete|skip|leave|forget|conflict|error","reason":"string"}],
		"summary":{"create":"count","update":"count","delete":"count","skip":"count","leave":"count","forget":"count","conflict":"count","error":"count"},
		"cost":{"requests":"count","writes":"count","seconds":"number"}}`,
	"validate": `{"valid":"bool","missing":[{"secretName":"string","scope":"string"}],
		"conflicts":[{"secretName":"string","scopes":["string"],"valueHashes":{"*":"string"}}],
		"summary":{"totalSecrets":"count","missingCount":"count","conflictCount":"count","validCount":"count"},
		"remediationSteps":["string"]}`,
	"status": `{"lastSyncAt":"time?","status":"synced|pending|error|never_synced","pendingCount":"count","errorCount":"count",
		"nextScheduledSyncAt":"time?","quotaRemaining":{"core":"count","secrets":"count"}}`,
	"environments": `{"created":["string"],"updated":["string"],"errors":[{"environment":"string","error":"string","code":"code"}],"correlationId":"uuid"}`,
	"env plan": `{"correlationId":"uuid","actions":[{"environment":"dev|staging|production","subject":"string","verb":"create|update|delete|skip|leave|forget|conflict|error","reason":"string"}],
		"summary":{"create":"count","update":"count","delete":"count","skip":"count","leave":"count","forget":"count","conflict":"count","error":"count"},
		"cost":{"requests":"count","writes":"count"},"errors":[{"environment":"string","error":"string","code":"code"}]}`,
	"env list": `{"environments":[{"environmentName":"dev|staging|production","githubEnvironmentId":"count","exists":"bool","managed":"bool",
		"protectionRules":{},"differences":[],"secrets":[{"name":"string","lastUpdatedAt":"time","standing":"string"}],"linkedResources":{},"lastDeploymentAt":"time?"}]}`,
	"test": `{"results":[{"name":"string","excluded":"bool","pattern":"string","reason":"string"}]}`,
	"error": `{"error":{"code":"code","message":"string","severity":"info|warn|error|critical","retryPolicy":"none|safe|idempotent",
		"requestId":"uuid","timestamp":"time","context":{},"hint":"string","causeChain":[{"code":"code","message":"string"}]}}`,
}

// shape checks the form of a JSON document: shape sync stdout.
func shape(ts *testscript.TestScript, neg bool, args []string) {
	var want, got any
	ts.Check(json.Unmarshal([]byte(shapes[args[0]]), &want))
	text := ts.ReadFile(args[1])
	if err := json.Unmarshal([]byte(text), &got); err != nil {
		ts.Fatalf("%s is no JSON document: %v\n%s", args[1], err, text)
	}
	if err := conforms("", want, got); (err != nil) != neg {
		ts.Fatalf("%v\n%s", err, text)
	}
}

func conforms(at string, want, got any) error {
	switch want := want.(type) {
	case map[string]any:
		fields, ok := got.(map[string]any)
		if !ok {
			return fmt.Errorf("%s is %T, want an object", at, got)
		}
		if each, ok := want["*"]; ok {
			want = map[string]any{}
			for k := range fields {
				want[k] = each
			}
		}
		for _, k := range slices.Sorted(maps.Keys(want)) {
			v, ok := fields[k]
			if !ok {
				return fmt.Errorf("%s.%s is missing", at, k)
			}
			if err := conforms(at+"."+k, want[k], v); err != nil {
				return err
			}
		}
	case []any:
		list, ok := got.([]any)
		if !ok {
			return fmt.Errorf("%s is %T, want a list", at, got)
		}
		for i, v := range list {
			if err := conforms(fmt.Sprintf("%s[%d]", at, i), want[0], v); err != nil {
				return err
			}
		}
	case string:
		if !isA(want, got) {
			return fmt.Errorf("%s is %v, want %s", at, got, want)
		}
	}
	return nil
}

func isA(kind string, got any) bool {
	text, isText := got.(string)
	number, isNumber := got.(float64)
	switch kind {
	case "string":
		return isText
	case "bool":
		_, ok := got.(bool)
		return ok
	case "number":
		return isNumber
	case "count":
		return isNumber && number >= 0 && number == math.Trunc(number)
	case "uuid":
		id, err := uuid.Parse(text)
		return err == nil && id.String() == text
	case "time?", "time":
		at, err := time.Parse(time.RFC3339Nano, text)
		return got == nil && kind == "time?" || err == nil && at.Location() == time.UTC
	case "code":
		return slices.ContainsFunc(fault.Kinds(), func(k fault.Kind) bool { return string(k.Code) == text })
	}
	return isText && slices.Contains(strings.Split(kind, "|"), text)
}
