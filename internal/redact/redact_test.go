package redact_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/octoseal/octoseal/internal/redact"
	"github.com/octoseal/octoseal/internal/secret"
)

func plaintext(s string) secret.Plaintext { return secret.NewPlaintext([]byte(s)) }

func learned(values ...string) *redact.Handler {
	h := redact.New(slog.DiscardHandler)
	for _, v := range values {
		h.Learn(plaintext(v))
	}
	return h
}

// What looks like a credential goes, whoever it belongs to, and the text around it stays.
func TestCredentials(t *testing.T) {
	long := strings.Repeat("Ab9_-", 30)
	webToken := "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0." + long
	pem := "-----BEGIN RSA PRIVATE KEY-----\nMIIEow\nIBAAKC\n-----END RSA PRIVATE KEY-----"
	for what, c := range map[string]struct{ in, want string }{
		"classic":               {"token ghp_16C7e42F292c6912E7710c838347Ae178B4a, sent", "token [redacted], sent"},
		"OAuth":                 {"gho_16C7e42F292c6912E7710c838347Ae178B4a", "[redacted]"},
		"app user":              {"=ghu_16C7e42F292c6912E7710c838347Ae178B4a;", "=[redacted];"},
		"installation, short":   {"x ghs_16C7e42F292c6912E7710c838347Ae178B4a.", "x [redacted]."},
		"installation, long":    {"ghs_1234567_" + webToken + strings.Repeat("x", 300) + " ok", "[redacted] ok"},
		"refresh":               {"ghr_" + long, "[redacted]"},
		"fine-grained":          {"'github_pat_11ABCDEFG0abcdefghijkl_" + long + "'", "'[redacted]'"},
		"ours":                  {"Bearer osl_" + long, "Bearer [redacted]"},
		"a job's session":       {"Bearer osr_" + long, "Bearer [redacted]"},
		"glued to a word":       {"tokenghp_16C7e42F292c6912E7710c838347Ae178B4a", "token[redacted]"},
		"web token":             {"jwt=" + webToken + "&x", "jwt=[redacted]&x"},
		"unsigned web token":    {"eyJhbGciOiJub25lIn0.eyJzdWIiOiIxIn0. done", "[redacted] done"},
		"connection string":     {"postgres://app:s3cr3t@db:5432/app?x=y", "postgres://app:[redacted]@db:5432/app?x=y"},
		"no user":               {"redis://:s3cr3t@cache", "redis://:[redacted]@cache"},
		"@ in the password":     {"amqp://u:p@ss@host/v", "amqp://u:[redacted]@host/v"},
		"slash in the password": {"mysql://u:pa/ss?w#d@host/v", "mysql://u:[redacted]@host/v"},
		"private key":           {"key: " + pem + " end", "key: [redacted] end"},
		"private key, escaped":  {`{"key":"` + strings.ReplaceAll(pem, "\n", `\n`) + `"}`, `{"key":"[redacted]"}`},
		"private key, cut off":  {"-----BEGIN OPENSSH PRIVATE KEY-----\nb3Blbn", "[redacted]"},
		"two of them":           {"ghp_16C7e42F292c6912E7710c838347Ae178B4a eyJhbGci.eyJzdWIi.sig", "[redacted] [redacted]"},
		"behind a broken one":   {"eyJhbGci then eyJhbGci.eyJzdWIi.sig", "eyJhbGci then [redacted]"},
	} {
		if got := learned().String(c.in); got != c.want {
			t.Errorf("%s: %q, want %q", what, got, c.want)
		}
	}
}

// What is no credential stays: a log that says [redacted] everywhere helps nobody.
func TestOrdinaryTextStays(t *testing.T) {
	for _, s := range []string{
		"", "g", "gh", "ghp_", "ghp_short", "github_pat_", "osl_x", "eyJ", "eyJhbGci.eyJ", "a ghost, a goose and an eye",
		"https://api.github.com/repos/acme/widgets", "https://api.github.com:443/repos/a@b", "ssh://git@github.com/acme/widgets",
		"http://[::1]:8080/x", "mailto:somebody@example.com", "://", "://@", "://:@", "x://y:@z", "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----",
		"-----BEGIN PUBLIC KEY-----", "-----", "DEPLOY_KEY in codespaces: seal: the value is empty",
		"5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef",
	} {
		if got := learned("a value that is not there").String(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
}

// renderings are the ways in which a value gets into a text.
func renderings(value string) map[string]string {
	raw := []byte(value)
	j, _ := json.Marshal(value)
	return map[string]string{
		"raw": value, "quoted": strconv.Quote(value), "JSON": string(j),
		"URL query": url.QueryEscape(value), "URL path": url.PathEscape(value), "form": url.Values{"k": {value}}.Encode(),
		"base64": base64.StdEncoding.EncodeToString(raw), "base64, URL": base64.URLEncoding.EncodeToString(raw),
		"base64, raw": base64.RawURLEncoding.EncodeToString(raw), "hex": hex.EncodeToString(raw), "HEX": fmt.Sprintf("%X", raw),
		"bytes": fmt.Sprint(raw), "basic auth": base64.StdEncoding.EncodeToString([]byte("user:" + value)),
		"basic auth, another user": base64.StdEncoding.EncodeToString([]byte("admin:" + value + "\n")),
	}
}

var values = []string{
	"3000", "hunter2", "p\u00e4ss w\u00f6rd & more", "{\"k\": \"<v>\"}\n", "a\\b\"c", strings.Repeat("long ", 200), "\x00\xff\xfebinary\x80",
	strings.Repeat("a", 500),
}

// A learned value goes in every form it takes.
func TestLearnedValuesGoInEveryForm(t *testing.T) {
	for _, v := range values {
		h := learned(v)
		for how, text := range renderings(v) {
			got := h.String("before " + text + " after")
			if !strings.Contains(got, redact.Mark) || !strings.HasPrefix(got, "before ") || !strings.HasSuffix(got, " after") {
				t.Errorf("%q as %s: %q", v, how, got)
			}
			for other, leak := range renderings(v) {
				if strings.Contains(got, strings.Trim(leak, `"[]=`)) {
					t.Errorf("%q as %s still shows as %s: %q", v, how, other, got)
				}
			}
		}
	}
}

// All of a long value goes, and so does what is left of one that was cut off.
func TestLongValuesGoWhole(t *testing.T) {
	v := strings.Repeat("0123456789abcdef", 100)
	h := learned(v)
	if got := h.String("<" + v + ">"); got != "<[redacted]>" {
		t.Errorf("%q", got)
	}
	if got := h.String("<" + v[:300] + "…"); got != "<[redacted]…" {
		t.Errorf("%q", got)
	}
}

// Of two values that share their ends nothing is left; touching ones are one.
func TestOverlappingValues(t *testing.T) {
	h := learned("abcdef", "defghi", "abcdefgh", "xyzw")
	for in, want := range map[string]string{
		"-abcdefghi-": "-[redacted]-", "-abcdef-": "-[redacted]-", "xyzwxyzw": "[redacted]", "abc": "abc", "-xyzwabcdef": "-[redacted]",
	} {
		if got := h.String(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

// Values under four bytes are not learned, a value learned twice is one, and after Forget nothing
// of it is known.
func TestLearnAndForget(t *testing.T) {
	h := learned("abc", "", "abcd", "abcd")
	if got := h.String("abc abcd"); got != "abc [redacted]" {
		t.Errorf("%q", got)
	}
	v := plaintext("zeroed after sealing")
	h.Learn(v)
	v.Zero()
	if got := h.String("zeroed after sealing"); got != redact.Mark {
		t.Errorf("%q: what was learned went with the Plaintext", got)
	}
	long := strings.Repeat("zeroed ", 100)
	v = plaintext(long)
	h.Learn(v)
	v.Zero()
	if got := h.String(long); got != redact.Mark {
		t.Errorf("%q: the rest of a long value went with the Plaintext", got)
	}
	h.Forget()
	if got := h.String("abcd ghp_16C7e42F292c6912E7710c838347Ae178B4a"); got != "abcd [redacted]" {
		t.Errorf("%q", got)
	}
}

// What was learned twice is known until it was unlearned twice, and others stay known.
func TestUnlearn(t *testing.T) {
	h := learned("for long", "briefly", "briefly", "brief")
	said := func(want string) {
		t.Helper()
		if got := h.String("for long, briefly, brief"); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	h.Unlearn(plaintext("briefly"))
	h.Unlearn(plaintext("never learned"))
	said("[redacted], [redacted], [redacted]")
	h.Unlearn(plaintext("briefly"))
	said("[redacted], [redacted]ly, [redacted]")
	h.Unlearn(plaintext("brief"))
	said("[redacted], briefly, brief")
}

type stringer struct{ s string }

func (s stringer) String() string { return s.s }

type valuer struct{ v any }

func (v valuer) LogValue() slog.Value { return slog.AnyValue(v.v) }

// TestHandler plants a value wherever a record has a place for it.
func TestHandler(t *testing.T) {
	const value = "the planted value"
	for _, v := range []any{
		value, errors.New("on " + value), fmt.Errorf("wrapped: %w", errors.New(value)), stringer{value}, &stringer{value},
		[]byte(value), json.RawMessage(`"` + value + `"`), []string{value}, map[string]any{"k": []any{value}}, map[string]string{value: "v"},
		struct{ A, b any }{value, []byte(value)}, [][]byte{[]byte(value)}, valuer{value}, valuer{valuer{[]byte(value)}},
		slog.GroupValue(slog.String("k", value), slog.Group("g", value, value)), url.URL{Path: "/" + value}, &url.URL{RawQuery: "k=" + url.QueryEscape(value)},
	} {
		for name, handler := range map[string]func(io.Writer) slog.Handler{
			"text": func(w io.Writer) slog.Handler { return slog.NewTextHandler(w, nil) },
			"JSON": func(w io.Writer) slog.Handler { return slog.NewJSONHandler(w, nil) },
		} {
			var out bytes.Buffer
			h := redact.New(handler(&out))
			log := slog.New(h).With("bound", v).WithGroup("group").With("in the group", v)
			h.Learn(plaintext(value)) // after it was bound
			log.Info("about "+value, "attr", v, slog.Group("nested", "attr", v, slog.Group("deep", slog.Any("attr", v))))
			if strings.Contains(out.String(), "planted") || strings.Contains(out.String(), "112 108 97 110") || strings.Count(out.String(), redact.Mark) < 6 {
				t.Errorf("%T with %s: %s", v, name, out.String())
			}
		}
	}
}

// What holds no secret arrives as it would without the redactor, numbers as numbers, groups where
// they belong.
func TestHandlerIsTransparent(t *testing.T) {
	write := func(wrap func(slog.Handler) slog.Handler) string {
		var out bytes.Buffer
		options := &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true, ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		}}
		log := slog.New(wrap(slog.NewJSONHandler(&out, options)))
		for range 2 { // the second time on the same line
			log.With("a", 1).WithGroup("g").With("b", 2.5).WithGroup("h").WithGroup("").Debug("message", "c", true, "d", "text", slog.Group("", "inlined", 3), slog.Group("empty"))
		}
		log.WithGroup("unused").Info("no attributes")
		return out.String()
	}
	bare := write(func(h slog.Handler) slog.Handler { return h })
	if got := write(func(h slog.Handler) slog.Handler { return redact.New(h) }); got != bare {
		t.Errorf("\n%swant\n%s", got, bare)
	}
	quiet := redact.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if quiet.Enabled(context.Background(), slog.LevelInfo) || !quiet.Enabled(context.Background(), slog.LevelError) {
		t.Error("the next handler's level is not asked")
	}
}

// Bytes are shown as the text they mostly are.
func TestBytesAreText(t *testing.T) {
	var out bytes.Buffer
	slog.New(redact.New(slog.NewTextHandler(&out, nil))).Info("m", "b", []byte("plain"), "r", json.RawMessage("1"), "nil", nil)
	if !strings.Contains(out.String(), "b=plain r=1 nil=<nil>") {
		t.Error(out.String())
	}
}

// Many goroutines log while values are learned and forgotten.
func TestConcurrency(t *testing.T) {
	h := redact.New(slog.NewTextHandler(io.Discard, nil))
	h.Learn(plaintext("always known"))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			log := slog.New(h).With("i", i)
			for j := range 200 {
				v := fmt.Sprintf("value %d of %d", j, i)
				h.Learn(plaintext(v))
				log.Info("said "+v, "v", v)
				if got := h.String("<" + v + ">"); got != "<[redacted]>" {
					t.Errorf("%q", got)
					return
				}
			}
		})
	}
	wg.Wait()
}
