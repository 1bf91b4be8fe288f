package redact_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/octoseal/octoseal/internal/redact"
)

// FuzzNoPlantedValueSurvives plants a value, in one of its forms, somewhere in a text, in a message,
// an attribute and an error. Whatever surrounds it, it does not come out.
func FuzzNoPlantedValueSurvives(f *testing.F) {
	for _, v := range values {
		f.Add("before ", v, " after", uint8(len(v)))
	}
	f.Add("ghp_", "eyJhbGciOi", ".eyJ.", uint8(1))
	f.Add("a://b:", "-----BEGIN RSA PRIVATE KEY-----", "@host", uint8(0))
	f.Fuzz(func(t *testing.T, before, value, after string, form uint8) {
		if len(value) < 4 || strings.Contains(redact.Mark, value) {
			return
		}
		texts := renderings(value)
		names := []string{"raw", "quoted", "JSON", "URL query", "URL path", "base64", "base64, URL", "hex", "bytes"}
		name := names[int(form)%len(names)]
		planted := texts[name]
		h := learned(value)
		got := h.String(before + planted + after)
		// The mark itself may end or begin what the value begins or ends.
		for _, piece := range strings.Split(got, redact.Mark) {
			if strings.Contains(piece, planted) || strings.Contains(piece, value) {
				t.Fatalf("%q as %s survives in %q", value, name, got)
			}
		}
		var out bytes.Buffer
		log := redact.New(slog.NewJSONHandler(&out, nil))
		log.Learn(plaintext(value))
		slog.New(log).Info(before+planted, "attr", planted+after, "error", fmt.Errorf("%s", before+planted+after))
		var record struct{ Msg, Attr, Error string }
		if err := json.Unmarshal(out.Bytes(), &record); err != nil {
			t.Fatal(err)
		}
		for _, piece := range strings.Split(record.Msg+redact.Mark+record.Attr+redact.Mark+record.Error, redact.Mark) {
			if strings.Contains(piece, planted) {
				t.Fatalf("%q as %s survives in %s", value, name, out.Bytes())
			}
		}
	})
}

// Long texts made to have many beginnings and no end are looked through in no time.
func TestNoTextIsSlow(t *testing.T) {
	h := learned(strings.Repeat("a", 48_000), strings.Repeat("ab", 24_000))
	for _, piece := range []string{"a", "ab", "eyJ", "eyJa.", "://", "a://b:c", "-----BEGIN ", "-----BEGIN PRIVATE KEY-----", "ghp_", "github_pat_", ".", "@:"} {
		text := strings.Repeat(piece, 1<<20/len(piece))
		began := time.Now()
		h.String(text)
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("a megabyte of %q takes %v", piece, took)
		}
	}
}

// BenchmarkRecord is an ordinary record: a line per effect, six attributes, nothing to take out.
func BenchmarkRecord(b *testing.B) {
	for _, known := range []int{0, 50, 1000} {
		for name, wrap := range map[string]func(slog.Handler) slog.Handler{
			"bare": func(h slog.Handler) slog.Handler { return h },
			"redacted": func(h slog.Handler) slog.Handler {
				r := redact.New(h)
				for i := range known {
					r.Learn(plaintext(fmt.Sprintf("%d: a value of some sixty-four bytes, as they mostly are, %06d", i*7919, i)))
				}
				return r
			},
		} {
			if name == "bare" && known > 0 {
				continue
			}
			log := slog.New(wrap(slog.NewJSONHandler(io.Discard, nil)))
			b.Run(fmt.Sprintf("%s/%d", name, known), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					log.Info("secret written", "scope", "codespaces", "name", "DEPLOY_KEY", "key_id", "568250167242549743",
						"repository", "acme/widgets", "attempt", 1, "took", 83*time.Millisecond)
				}
			})
		}
	}
}

// BenchmarkString is an error text of 200 bytes, with 50 values known.
func BenchmarkString(b *testing.B) {
	h := redact.New(slog.DiscardHandler)
	for i := range 50 {
		h.Learn(plaintext(fmt.Sprintf("%d: a value of some bytes", i*7919)))
	}
	text := strings.Repeat("codespaces DEPLOY_KEY: seal: the public key is 31 ", 4)
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		h.String(text)
	}
}
