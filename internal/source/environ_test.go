package source

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/octoseal/octoseal/internal/fault"
)

func TestVariables(t *testing.T) {
	environ := func() []string {
		return []string{"APP_Z= z ", "HOME=/", "APP_A=a=b\n", "APPLE=x", "APP_=nameless", "APP_E=",
			`ALL={"github_token":"automatic","A":"1","GITHUB_TOKEN":"2","Github_Token":"3"}`, "EMPTY= ", "BROKEN={\n\"A\":[]}"}
	}
	for from, want := range map[string][]string{
		"env:APP_":     {`0  "nameless"`, `0 A "a=b\n"`, `0 E ""`, `0 Z " z "`},
		"json-env:ALL": {`1 A "1"`, `1 GITHUB_TOKEN "2"`, `1 Github_Token "3"`},
	} {
		entries, err := parsed(t, from, Options{Environ: environ}).Read(context.Background())
		if diff := cmp.Diff(want, spelled(entries)); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", from, err, diff)
		}
	}
	for from, want := range map[string]string{
		"env:NONE_":       "No value to be had: no variable begins with NONE_.",
		"json-env:NONE":   "No value to be had: there is no variable NONE.",
		"json-env:EMPTY":  "No value to be had: the variable EMPTY is empty.",
		"json-env:BROKEN": "json-env:BROKEN: line 2: the value is an object or a list; only plain values can be secrets.",
	} {
		entries, err := parsed(t, from, Options{Environ: environ}).Read(context.Background())
		if err == nil || err.Error() != want || entries != nil {
			t.Errorf("%s: %v, want %s", from, err, want)
		}
	}
	_, err := parsed(t, "json-env:NONE", Options{Environ: environ}).Read(context.Background())
	if hint := fault.Of(err).Hint; hint != "In a workflow: env: {NONE: ${{ toJSON(secrets) }}}." {
		t.Error(hint)
	}
}
