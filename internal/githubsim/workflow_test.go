package githubsim

import (
	"strings"
	"testing"
)

// flow is a workflow whose job has a line more.
func flowWith(top, inJob string) string {
	return top + "\njobs:\n  a:\n    runs-on: ubuntu-latest\n    " + inJob + "\n    steps:\n      - run: 'true'\n"
}

func TestWorkflowsAsStrictAsGitHub(t *testing.T) {
	for _, tc := range []struct{ text, wrong string }{
		{flowWith("on: push", ""), ""},
		{flowWith("on: [push, workflow_dispatch]", "permissions: {}"), ""},
		{flowWith("on:\n  workflow_dispatch:\n", "timeout-minutes: 5"), ""},
		{flowWith("on: {schedule: [{cron: '1 2 * * *'}]}", "env: {A: 1, B: true, C: null}"), ""},
		{flowWith("on: push\nconcurrency: {group: a, cancel-in-progress: true}", "environment: {name: a, url: b}"), ""},
		{flowWith("on: push", "permissions: write-all"), ""},
		{flowWith("name: none", ""), "no event triggers"},
		{flowWith("on: push\nsteps: []", ""), "steps"},
		{flowWith("on: push", "permission: {}"), "permission"},
		{flowWith("on: push", "permissions: {secrets: write}"), "unexpected permission secrets"},
		{flowWith("on: push", "permissions: {id-token: read}"), "unexpected permission id-token"},
		{flowWith("on: {workflow_dispatch: {input: {}}}", ""), "input"},
		{"on: push\njobs: {}\n", "jobs"},
		{"on: push\njobs: {a: {steps: [{run: x}]}}\n", "runs-on"},
		{"on: push\njobs: {a: {runs-on: x, steps: [{run: x, uses: y}]}}\n", "either"},
		{"on: push\njobs: {a: {runs-on: x, steps: [{name: x}]}}\n", "either"},
		{"on: push\njobs: {a: {runs-on: x}}\n", "steps"},
		{"\t", ""},
	} {
		_, err := parseWorkflow(tc.text)
		switch {
		case tc.text == "\t":
			if err == nil {
				t.Error("a tab is a workflow")
			}
		case (err == nil) != (tc.wrong == ""), err != nil && !strings.Contains(err.Error(), tc.wrong):
			t.Errorf("%s\nis wrong by %v, want %q", tc.text, err, tc.wrong)
		}
	}
}

func TestWhatThisRunnerCannotDo(t *testing.T) {
	for _, text := range []string{
		flowWith("on: push", "needs: b"), flowWith("on: push", "container: x"), flowWith("on: push\ndefaults: {run: {shell: sh}}", ""),
		flowWith("on: push", "") + "  b:\n    runs-on: x\n    steps: [{run: x}]\n",
	} {
		flow, err := parseWorkflow(text)
		if err != nil {
			t.Fatalf("%s\n%v", text, err)
		}
		if _, _, err := flow.only(); err == nil || !strings.Contains(err.Error(), "this runner") {
			t.Errorf("%s\nis refused with %v", text, err)
		}
	}
}

func TestTokensPermissions(t *testing.T) {
	for _, tc := range []struct {
		text, slug, want string
	}{
		{flowWith("on: push", ""), "contents", "read"},
		{flowWith("on: push", ""), "id-token", ""},
		{flowWith("on: push\npermissions: write-all", ""), "id-token", "write"},
		{flowWith("on: push\npermissions: write-all", "permissions: {actions: read}"), "id-token", ""},
		{flowWith("on: push\npermissions: {}", "permissions: {id-token: write}"), "id-token", "write"},
	} {
		flow, err := parseWorkflow(tc.text)
		if err != nil {
			t.Fatal(err)
		}
		if got := flow.granted(flow.Jobs["a"])[tc.slug]; got != tc.want {
			t.Errorf("%s\ngrants %s %q, want %q", tc.text, tc.slug, got, tc.want)
		}
	}
}

func TestExpressions(t *testing.T) {
	s := scope{contexts: map[string]any{
		"inputs": map[string]string{"sync_id": "7", "no": ""},
		"github": map[string]any{"ref": "refs/heads/main", "event": map[string]any{"inputs": map[string]any{"a-b": "c"}}, "n": float64(2)},
	}}
	for text, want := range map[string]string{
		"plain": "plain", "${{ inputs.sync_id }}": "7", "a${{inputs.SYNC_ID}}b${{ 'it''s }}' }}": "a7bit's }}",
		"${{ inputs.other }}": "", "${{ github.event.inputs['a-b'] }}": "c", "${{ github.event.nothing.at.all }}": "",
		"${{ inputs.no || 'default' }}": "default", "${{ inputs.no && 'x' }}": "", "${{ github }}": "Object",
		"${{ 'MAIN' == 'main' }}": "true", "${{ 'true' == true }}": "false", "${{ 1 == true }}": "true", "${{ null == '' }}": "true",
		"${{ !inputs.no && (github.n == 2) }}": "true", "${{ toJson(inputs) }}": "{\n  \"no\": \"\",\n  \"sync_id\": \"7\"\n}",
		"${{ toJSON('<&>') }}": `"<&>"`,
	} {
		if got, err := s.expand(text); err != nil || got != want {
			t.Errorf("%s is %q, %v, want %q", text, got, err, want)
		}
	}
	for text, wrong := range map[string]string{
		"${{ secrets.A }}": "unrecognized named-value: 'secrets'", "${{ hashFiles('x') }}": "unrecognized function: 'hashFiles'", "${{ inputs.a": "not closed",
		"${{ inputs.a b }}": "unexpected symbol", "${{ 'a }}": "not closed", "${{ ( inputs.a }}": "is missing", "${{ }}": "expected",
		"${{ 1.5 }}": "unexpected symbol", "${{ inputs[1 }}": "is missing", "${{ toJSON( }}": "expected", "${{ * }}": "unexpected symbol",
	} {
		if got, err := s.expand(text); err == nil || !strings.Contains(err.Error(), wrong) {
			t.Errorf("%s is %q, %v, want an error with %q", text, got, err, wrong)
		}
	}
}

func TestConditions(t *testing.T) {
	for _, tc := range []struct {
		text             string
		failed, canceled bool
		want             bool
	}{
		{"", false, false, true}, {"", true, false, false}, {"true", true, false, false}, {"always()", true, true, true},
		{"${{ failure() }}", true, false, true}, {"failure()", false, false, false}, {"cancelled()", false, true, true},
		{"success() || failure()", true, false, true}, {"!cancelled()", true, false, true}, {"false", false, false, false},
	} {
		got, err := scope{failed: tc.failed, canceled: tc.canceled}.holds(tc.text)
		if err != nil || got != tc.want {
			t.Errorf("%q after failure %v, cancellation %v: %v, %v", tc.text, tc.failed, tc.canceled, got, err)
		}
	}
}

func TestStepFiles(t *testing.T) {
	got := make(map[string]string)
	if err := readAssignments("A=1\nB=x<<y\nC<<END\n1=2\n\nEND\nD=\n", got); err != nil {
		t.Fatal(err)
	}
	if len(got) != 4 || got["A"] != "1" || got["B"] != "x<<y" || got["C"] != "1=2\n" || got["D"] != "" {
		t.Errorf("read %q", got)
	}
	for _, text := range []string{"A\n", "=x\n", "A<<END\nx\n"} {
		if err := readAssignments(text, got); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func FuzzExpression(f *testing.F) {
	for _, seed := range []string{"${{ a.b['c'] || !(x == 1) && toJSON(a) }}", "${{ ''", "${{ '''' }}", "}}${{", "${{ é.ü }}"} {
		f.Add(seed)
	}
	s := scope{contexts: map[string]any{"a": map[string]any{"b": nil}}}
	f.Fuzz(func(t *testing.T, text string) {
		out, err := s.expand(text)
		if err == nil && !strings.Contains(text, "${{") && out != text {
			t.Errorf("%q became %q", text, out)
		}
	})
}
