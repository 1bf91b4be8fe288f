package source

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/octoseal/octoseal/internal/fault"
)

// parsed is Parse of a source that must be accepted.
func parsed(t *testing.T, from string, o Options) Source {
	t.Helper()
	s, err := Parse(from, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// in writes text into a file called name in a fresh folder, whose links are resolved.
func in(t *testing.T, name, text string) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestIdentity(t *testing.T) {
	path := in(t, ".env", "A=1")
	dir := filepath.Dir(path)
	link := filepath.Join(dir, "link")
	if err := os.Symlink(".env", link); err != nil {
		t.Skip(err)
	}
	t.Chdir(dir)
	for _, c := range []struct{ from, want string }{
		{path, "file:" + path},
		{".env", "file:" + path},
		{"./x/../link", "file:" + path},
		{link, "file:" + path},
		{"absent", "file:" + filepath.Join(dir, "absent")},
		{"./env:X", "file:" + filepath.Join(dir, "env:X")},
		{"-", ""},
		{"env:PREFIX_", "env:PREFIX_"},
		{"json-env:ALL", "json-env:ALL"},
		{"exec:echo A=1", "exec:c01a75a23c82f7568fa7309e7d45fea67c4e65371db15a805ae574789d569718"},
	} {
		s := parsed(t, c.from, Options{})
		if got := s.Identity(); got != c.want {
			t.Errorf("%s: identity %s, want %s", c.from, got, c.want)
		}
	}
}

func TestAPipeHasNoIdentity(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the shell's <(…) is looked at on Linux")
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	if _, err := w.WriteString("A=1\n"); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	s := parsed(t, fmt.Sprint("/dev/fd/", r.Fd()), Options{})
	entries, err := s.Read(context.Background())
	if err != nil || len(entries) != 1 || s.Identity() != "" {
		t.Errorf("identity %q, entries %v, error %v", s.Identity(), spelled(entries), err)
	}
}

func TestParseRefuses(t *testing.T) {
	for _, c := range []struct {
		from string
		o    Options
		want string
	}{
		{"", Options{}, "the source is empty."},
		{"env:", Options{}, "source env: names nothing behind the colon."},
		{"json-env:", Options{}, "source json-env: names nothing behind the colon."},
		{"exec:", Options{}, "source exec: names nothing behind the colon."},
		{".env", Options{Format: "toml"}, `format "toml" is unknown: known are env, json and yaml.`},
		{"env:X_", Options{Format: JSON}, `source env:X_ has its own format, "json" does not apply.`},
		{"json-env:X", Options{Format: Dotenv}, `source json-env:X has its own format, "env" does not apply.`},
	} {
		if _, err := Parse(c.from, c.o); !fault.Is(err, fault.RequestInvalid) || err.Error() != c.want {
			t.Errorf("%q: %v, want %s", c.from, err, c.want)
		}
	}
}

func TestFormatFollowsTheExtension(t *testing.T) {
	const bom = "\xef\xbb\xbf"
	for _, c := range []struct {
		name, text string
		format     Format
		want       string
	}{
		{".env", "A=1.0 #", "", `1 A "1.0"`},
		{"production.env", "A=1.0", "", `1 A "1.0"`},
		{".env.local", bom + "A=1.0", "", `1 A "1.0"`},
		{"values", "A=1.0", "", `1 A "1.0"`},
		{"a.json", bom + `{"A":1.0}`, "", `1 A "1.0"`},
		{"a.JSON", `{"A":1.0}`, "", `1 A "1.0"`},
		{"a.yaml", bom + "A: 1.0", "", `1 A "1.0"`},
		{"a.yml", bom + `{"A": 1.0}`, "", `1 A "1.0"`},
		{".env", `{"A":1.0}`, JSON, `1 A "1.0"`},
		{"a.json", "A: 1.0", YAML, `1 A "1.0"`},
		{"a.yaml", "A=1.0", Dotenv, `1 A "1.0"`},
	} {
		s := parsed(t, in(t, c.name, c.text), Options{Format: c.format})
		entries, err := s.Read(context.Background())
		if diff := cmp.Diff([]string{c.want}, spelled(entries)); diff != "" || err != nil {
			t.Errorf("%s as %q: %v\n%s", c.name, c.format, err, diff)
		}
	}
}

func TestStandardInput(t *testing.T) {
	for format, text := range map[Format]string{"": "A=1", JSON: `{"A":1}`, YAML: "A: 1"} {
		s := parsed(t, "-", Options{Format: format, Stdin: strings.NewReader(text)})
		entries, err := s.Read(context.Background())
		if diff := cmp.Diff([]string{`1 A "1"`}, spelled(entries)); diff != "" || err != nil {
			t.Errorf("%q: %v\n%s", format, err, diff)
		}
	}
}

func TestMalformedListsLinesAndSaysWhatNext(t *testing.T) {
	for _, c := range []struct{ name, text, want, hint string }{
		{".env", "A=1\nB\n", ": line 2: this is no NAME=VALUE.", "Lines are NAME=VALUE; a value over several lines stands in quotes: NAME='…'."},
		{".env", "A\nB\n", ":\n  line 1: this is no NAME=VALUE\n  line 2: this is no NAME=VALUE.", "Lines are NAME"},
		{".env", `{"A":1}`, ": line 1: this is no NAME=VALUE.", "This looks like JSON: --format json reads it."},
		{".env", strings.Repeat("A\n", 22), "\n  line 20: this is no NAME=VALUE\n  and 2 more.", "Lines are NAME"},
		{".env", "\xff\xfeA\x00=\x001\x00", ": line 1: the text is UTF-16; write it as UTF-8.", "Lines are NAME"},
		{"a.json", "A=1", ": line 1: a JSON object begins with {.", "JSON is read as one flat object of names and plain values; --format names another."},
		{"a.yaml", "- 1", ": line 1: " + flatOnly + ".", "YAML is read as one flat"},
	} {
		path := in(t, c.name, c.text)
		_, err := parsed(t, path, Options{}).Read(context.Background())
		var f *fault.Fault
		if !errors.As(err, &f) || f.Code != fault.RequestInvalid {
			t.Errorf("%q: %v", c.text, err)
			continue
		}
		if got := f.Message; !strings.HasPrefix(got, path) || !strings.HasSuffix(got, c.want) {
			t.Errorf("%q: message %q, want …%q", c.text, got, c.want)
		}
		if !strings.HasPrefix(f.Hint, c.hint) {
			t.Errorf("%q: hint %q, want %q", c.text, f.Hint, c.hint)
		}
	}
}

func TestUnreadableFiles(t *testing.T) {
	t.Chdir(filepath.Dir(in(t, "locked", "A=1")))
	for from, want := range map[string]string{
		"absent": "No value to be had: there is no file absent.",
		".":      "No value to be had: . is a directory.",
		"locked": "No value to be had: this user may not read locked.",
	} {
		if from == "locked" {
			if os.Geteuid() == 0 || runtime.GOOS == "windows" {
				continue
			}
			if err := os.Chmod(from, 0); err != nil {
				t.Fatal(err)
			}
		}
		_, err := parsed(t, from, Options{}).Read(context.Background())
		if !fault.Is(err, fault.SourceUnavailable) || err.Error() != want {
			t.Errorf("%s: %v, want %s", from, err, want)
		}
	}
}

// endless gives values for ever.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("A"), len(p))), nil }

func TestSizeIsBounded(t *testing.T) {
	_, err := parsed(t, "-", Options{Stdin: endless{}}).Read(context.Background())
	if !fault.Is(err, fault.RequestInvalid) || err.Error() != "standard input is larger than the 16 MiB that are read." {
		t.Error(err)
	}
	whole := bytes.NewReader(bytes.Repeat([]byte("#"), maxSize))
	if entries, err := parsed(t, "-", Options{Stdin: whole}).Read(context.Background()); err != nil || len(entries) > 0 {
		t.Errorf("16 MiB to the byte: %v", err)
	}
}

func TestTimeIsBounded(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = r.Close(), w.Close() })
	_, err = parsed(t, "-", Options{Stdin: r, Timeout: 20 * time.Millisecond}).Read(context.Background())
	if !fault.Is(err, fault.SourceUnavailable) || !errors.Is(err, context.DeadlineExceeded) ||
		err.Error() != "No value to be had: standard input did not end within 20ms." {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = parsed(t, "-", Options{Stdin: r}).Read(ctx)
	if !fault.Is(err, fault.SourceUnavailable) || !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestIntakeClearsWhatItOutgrows(t *testing.T) {
	in := &intake{limit: maxSize}
	if _, err := in.Write(bytes.Repeat([]byte("s"), 64<<10)); err != nil {
		t.Fatal(err)
	}
	outgrown := in.text
	if _, err := in.Write(bytes.Repeat([]byte("s"), 64<<10)); err != nil {
		t.Fatal(err)
	}
	if bytes.ContainsRune(outgrown, 's') {
		t.Error("the smaller buffer still holds what was read")
	}
	if len(in.text) != 128<<10 {
		t.Errorf("%d bytes, want %d", len(in.text), 128<<10)
	}
}

// TestCostIsLinear reads texts made to be slow, were anything here to look twice at what it has read.
func TestCostIsLinear(t *testing.T) {
	const n = 256 << 10
	for format, texts := range map[Format][]string{
		Dotenv: {`A="` + strings.Repeat(`\q`, n) + `"`, strings.Repeat("A=\n", n), strings.Repeat("A='\n", n), strings.Repeat("A\n", n)},
		JSON:   {`{"A":"` + strings.Repeat(`\\`, n) + `"}`, "{" + strings.Repeat(`"A":1,`, n/2) + `"A":1}`},
		YAML: {"A: |\n" + strings.Repeat("\n", 2*n), "A: x\n" + strings.Repeat("  y\n", n), "A: '" + strings.Repeat("\n", 2*n) + " '",
			"A:\n" + strings.Repeat("#\n", n), strings.Repeat("A:\n", n), "A: >\n" + strings.Repeat(" x\n\n", n)},
	} {
		for _, text := range texts {
			began := time.Now()
			entries, _ := Source{}.decode(format, []byte(text))
			Check(entries, none)
			if took := time.Since(began); took > 10*time.Second {
				t.Errorf("%.10q… took %s", text, took)
			}
		}
	}
}
