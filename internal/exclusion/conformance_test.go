package exclusion

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

var update = flag.Bool("update", false, "ask Node again and rewrite testdata/golden.jsonl")

const golden = "testdata/golden.jsonl"

// Every pattern is tried on all of these.
var inputs = []string{
	"", "a", "b", "c", "aa", "ab", "ba", "abc", "aab", "aba", "bab", "abab", "aaaa", "abcabc", "bbaabb", "cab", "bca",
	"A", "_", "1", "0", "-", " ", ",", "a1", "a_b", "a-b", "a b", "a\nb", "\n", "\r", "\u2028", "\u00a0", "\ufeff", "é",
	"😀", "😀😀", "a😀", "k<n>", "n", "]", "}", `\`, `\c`, "{1}", "{,2}", "^", "z", "/", "\x00", "\x01", "\b", "x6", "u{61}",
	"p{L}", "CI", "CI_TOKEN", "GITHUB_TOKEN", "GITHUB_TOKEN_2", "MY_GITHUB_TOKEN", "ACTIONS_", "ACTIONS_X", "ACTION",
	"DATABASE_URL", "NPM_TOKEN", "PROD_DB_PASSWORD", "STAGING_KEY", "AWS_ACCESS_KEY_ID", "aws_secret", "TEST_1", "TEST_12",
}

type question struct {
	Pattern string   `json:"pattern"`
	Inputs  []string `json:"inputs"`
}

// An answer has one letter per input: y or n, or e for none.
type answer struct {
	Accepted bool   `json:"accepted"`
	Matches  string `json:"matches"`
}

// A goldenLine is Node's answer on record; the inputs are those above.
type goldenLine struct {
	Pattern string `json:"pattern"`
	answer
}

func ask(q question) answer {
	p, err := Compile(q.Pattern)
	if err != nil {
		return answer{}
	}
	a := answer{Accepted: true}
	for _, input := range q.Inputs {
		matched, err := p.Match(input)
		if err != nil {
			matched, err = p.Match(input) // perhaps the machine was busy
		}
		switch {
		case err != nil:
			a.Matches += "e"
		case matched:
			a.Matches += "y"
		default:
			a.Matches += "n"
		}
	}
	return a
}

// compare reports where ours differs from Node's answer. Where Node gives up there is
// nothing to compare with. Where only we give up, the pattern is a known divergence.
func compare(t interface{ Errorf(string, ...any) }, q question, ours, node answer) (gaveUp bool) {
	if ours.Accepted != node.Accepted {
		_, err := Compile(q.Pattern)
		t.Errorf("%q: accepted by Node: %v; ours: %v", q.Pattern, node.Accepted, err)
		return false
	}
	for i := range ours.Matches {
		switch us, it := ours.Matches[i], node.Matches[i]; {
		case it == 'e' || us == it:
		case us == 'e':
			gaveUp = true
		default:
			t.Errorf("%q on %q: Node says %c, ours %c", q.Pattern, q.Inputs[i], it, us)
		}
	}
	return gaveUp
}

func TestPatternsMeanWhatNodeSaysTheyMean(t *testing.T) {
	if *update {
		rewriteGolden(t)
	}
	data, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	if len(lines) < 1000 {
		t.Errorf("%s has %d patterns, too few to prove anything", golden, len(lines))
	}
	for _, line := range lines {
		var want goldenLine
		if err := json.Unmarshal(line, &want); err != nil {
			t.Fatal(err)
		}
		if want.Accepted && len(want.Matches) != len(inputs) {
			t.Fatalf("%s is about other inputs than the test; run it with -update", golden)
		}
		q := question{want.Pattern, inputs}
		if compare(t, q, ask(q), want.answer) {
			t.Errorf("%q takes too long, though not in Node", q.Pattern)
		}
	}
}

func TestRandomPatternsMeanWhatNodeSaysTheyMean(t *testing.T) {
	if _, err := exec.LookPath("node"); err != nil {
		t.Skip("no node to ask")
	}
	node := startNode(t)
	asked, gaveUp := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		// Many at a time, for a property checked a hundred times only.
		for _, source := range rapid.SliceOfN(somePatterns, 20, 20).Draw(t, "patterns") {
			if len(source) > maxLength {
				continue
			}
			q := question{source, inputs}
			asked++
			if compare(t, q, ask(q), node(q)) {
				gaveUp++
			}
		}
	})
	// How many take too long is a matter of how busy the machine is, so it is told and not judged.
	t.Logf("%d patterns asked, %d took too long for us only", asked, gaveUp)
}

// startNode returns a function that asks a Node process, which ends with the test.
func startNode(t *testing.T) func(question) answer {
	t.Helper()
	cmd := exec.Command("node", "testdata/node.mjs")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		io.Copy(io.Discard, out)
		cmd.Wait()
	})
	questions, answers := json.NewEncoder(in), json.NewDecoder(out)
	return func(q question) (a answer) {
		if err := errors.Join(questions.Encode(q), answers.Decode(&a)); err != nil {
			t.Fatalf("ask Node about %q: %v", q.Pattern, err)
		}
		return a
	}
}

// rewriteGolden asks Node about the patterns in testdata/patterns.txt and a thousand random
// ones, always the same.
func rewriteGolden(t *testing.T) {
	patterns := writtenPatterns(t)
	for seed := range 1000 {
		if source := somePatterns.Example(seed); source != "" && len(source) <= maxLength {
			patterns = append(patterns, source)
		}
	}
	node := startNode(t)
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	for _, source := range patterns {
		if err := encoder.Encode(goldenLine{source, node(question{source, inputs})}); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(golden, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// writtenPatterns reads one pattern a line; # and a space start a comment.
func writtenPatterns(t *testing.T) []string {
	file, err := os.Open("testdata/patterns.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var patterns []string
	for lines := bufio.NewScanner(file); lines.Scan(); {
		if line := lines.Text(); line != "" && !strings.HasPrefix(line, "# ") {
			patterns = append(patterns, line)
		}
	}
	return patterns
}
