package secret

import (
	"bytes"
	"encoding/base64"
	"encoding/gob"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"html/template"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"testing"
	text "text/template"
)

const canary = "canary+value/that=must&never sing"

// forms are the spellings in which a leaked canary would be recognised.
func forms() []string {
	raw := []byte(canary)
	numbers := strings.Trim(fmt.Sprint(raw), "[]")
	return []string{
		canary, canary[:12], hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)), numbers,
		base64.StdEncoding.EncodeToString(raw), base64.URLEncoding.EncodeToString(raw),
		base64.RawStdEncoding.EncodeToString(raw), url.QueryEscape(canary), url.PathEscape(canary),
		strings.TrimSuffix(fmt.Sprintf("%#v", raw), "}")[len("[]byte{"):],
	}
}

// silent fails when out holds the canary in any form.
func silent(t *testing.T, how, out string) {
	t.Helper()
	for _, form := range forms() {
		if strings.Contains(out, form) {
			t.Errorf("%s prints the value: %s", how, out)
			return
		}
	}
}

// A holder keeps a Plaintext in every way a struct can.
type holder struct {
	Exported   Plaintext
	unexported Plaintext
	Pointer    *Plaintext
	pointer    *Plaintext
	Slice      []Plaintext
	slice      []Plaintext
	Map        map[string]Plaintext
	byPointer  map[*Plaintext]Plaintext
	Any        any
	any        any
	Nested     struct{ deep struct{ Plaintext } }
}

func hold() holder {
	p := NewPlaintext([]byte(canary))
	h := holder{
		Exported: p, unexported: p, Pointer: &p, pointer: &p, Slice: []Plaintext{p}, slice: []Plaintext{p},
		Map: map[string]Plaintext{"k": p}, byPointer: map[*Plaintext]Plaintext{&p: p}, Any: p, any: &p,
	}
	h.Nested.deep.Plaintext = p
	return h
}

// shapes are the values that a careless line of code might print.
func shapes() map[string]any {
	p := NewPlaintext([]byte(canary))
	h := hold()
	return map[string]any{
		"alone": p, "pointer": &p, "slice": []Plaintext{p}, "array": [1]Plaintext{p}, "map value": map[string]Plaintext{"k": p},
		"map key": map[*Plaintext]int{&p: 1}, "any": []any{p, &p}, "struct": h, "struct pointer": &h, "structs": []holder{h},
		"error": fmt.Errorf("wrapped: %w, %v", errors.New("cause"), p), "function": func() Plaintext { return p },
		"channel": func() any { c := make(chan Plaintext, 1); c <- p; return c }(),
	}
}

// TestNoVerbPrintsTheValue tries every letter as a verb, with every flag, on every shape.
func TestNoVerbPrintsTheValue(t *testing.T) {
	for what, v := range shapes() {
		for letter := 'A'; letter <= 'z'; letter++ {
			for _, flags := range []string{"", "+", "#", " ", "0", "-", "# ", "60", ".5", "+#060.40"} {
				verb := "%" + flags + string(letter)
				silent(t, what+" under "+verb, fmt.Sprintf(verb, v))
			}
		}
		silent(t, what, fmt.Sprint(v)+fmt.Sprintln(v, v))
		forgotten := "" // a verb: fmt then shows what is left over
		silent(t, what+" as an extra argument", fmt.Sprintf(forgotten, v))
	}
}

// Alone and as a field that is exported it says so instead.
func TestPrintsRedacted(t *testing.T) {
	p := NewPlaintext([]byte(canary))
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%g", "%10s"} {
		if got := fmt.Sprintf(verb, p); got != "[redacted]" {
			t.Errorf("%s prints %s", verb, got)
		}
	}
	if got := fmt.Sprintf("%v %+v", struct{ P Plaintext }{p}, []Plaintext{p}); got != "{[redacted]} [[redacted]]" {
		t.Error(got)
	}
	if p.String() != "[redacted]" || (Plaintext{}).String() != "[redacted]" {
		t.Errorf("%s", p)
	}
}

// TestNoEncodingHoldsTheValue tries what turns values into bytes.
func TestNoEncodingHoldsTheValue(t *testing.T) {
	p := NewPlaintext([]byte(canary))
	h := hold()
	h.byPointer = nil
	for what, v := range map[string]any{"alone": p, "pointer": &p, "struct": h, "map": map[string]any{"k": p, "l": &p}} {
		raw, err := json.Marshal(v)
		silent(t, what+" in JSON", fmt.Sprintf("%s %v", raw, err))
		if err != nil || !strings.Contains(string(raw), `"[redacted]"`) {
			t.Errorf("%s in JSON: %s, %v", what, raw, err)
		}
	}
	raw, err := xml.Marshal(struct{ P Plaintext }{p})
	silent(t, "XML", fmt.Sprintf("%s %v", raw, err))
	var b bytes.Buffer
	err = gob.NewEncoder(&b).Encode(struct{ P Plaintext }{p})
	silent(t, "gob", fmt.Sprintf("%s %v", b.String(), err))
	for _, tmpl := range []string{"{{.P}}", "{{printf \"%s %d\" .P .P}}", "{{.}}"} {
		b.Reset()
		err = text.Must(text.New("").Parse(tmpl)).Execute(&b, struct{ P Plaintext }{p})
		silent(t, "text template "+tmpl, fmt.Sprintf("%s %v", b.String(), err))
		b.Reset()
		err = template.Must(template.New("").Parse("<script>x = {{.P}}</script><a href=\"?{{.P}}\">{{.P}}</a>")).Execute(&b, struct{ P Plaintext }{p})
		silent(t, "HTML template", fmt.Sprintf("%s %v", b.String(), err))
	}
}

// TestNoLogHoldsTheValue logs every shape with both handlers.
func TestNoLogHoldsTheValue(t *testing.T) {
	var b bytes.Buffer
	for handler, log := range map[string]*slog.Logger{
		"text": slog.New(slog.NewTextHandler(&b, nil)),
		"JSON": slog.New(slog.NewJSONHandler(&b, nil)),
	} {
		for what, v := range shapes() {
			b.Reset()
			log.With("with", v).WithGroup("group").Info("message", "value", v, slog.Group("nested", "value", v), slog.Any("any", v))
			silent(t, what+" in a "+handler+" log", b.String())
		}
		b.Reset()
		log.Info("message", "value", NewPlaintext([]byte(canary)))
		if !strings.Contains(b.String(), "[redacted]") {
			t.Errorf("%s: %s", handler, b.String())
		}
	}
}

// crashes are the ways a process can die with a value in its hands.
var crashes = map[string]func(){
	"value":   func() { panic(NewPlaintext([]byte(canary))) },
	"pointer": func() { p := NewPlaintext([]byte(canary)); panic(&p) },
	"struct":  func() { panic(hold()) },
	"error":   func() { panic(fmt.Errorf("on %v and %+v", NewPlaintext([]byte(canary)), hold())) },
	"map key": func() { _ = map[any]int{NewPlaintext([]byte(canary)): 1} },
	"bad box": func() { _, err := Seal(NewPlaintext([]byte(canary)), PublicKey{}); panic(err) },
	"too big": func() {
		_, err := Seal(NewPlaintext([]byte(strings.Repeat(canary, 2000))), PublicKey{bytes: new([32]byte)})
		panic(err)
	},
}

// TestNoPanicPrintsTheValue lets a process crash in each way and reads what it leaves behind.
func TestNoPanicPrintsTheValue(t *testing.T) {
	const variable = "OCTOSEAL_TEST_CRASH"
	if how := os.Getenv(variable); how != "" {
		crashes[how]()
		return
	}
	for how := range crashes {
		cmd := exec.Command(os.Args[0], "-test.run=^TestNoPanicPrintsTheValue$")
		cmd.Env = append(os.Environ(), variable+"="+how, "GOTRACEBACK=all")
		out, err := cmd.CombinedOutput()
		if err == nil || !bytes.Contains(out, []byte("panic")) {
			t.Errorf("%s does not crash: %v\n%s", how, err, out)
		}
		silent(t, "a panic with "+how, string(out))
	}
}

// The bytes are to be had by their one method, and are gone once zeroed, wherever they are shared.
func TestExposeAndZero(t *testing.T) {
	p := NewPlaintext([]byte(canary))
	shared := p
	if string(p.Expose()) != canary || p.Len() != len(canary) {
		t.Errorf("%d bytes come back", p.Len())
	}
	p.Zero()
	if !bytes.Equal(shared.Expose(), make([]byte, len(canary))) {
		t.Error("a Plaintext that shares the bytes is not zeroed")
	}
	var none Plaintext
	none.Zero()
	if none.Len() != 0 || none.Expose() != nil {
		t.Errorf("the zero Plaintext holds %d bytes", none.Len())
	}
}

// A way to read JSON into a Plaintext would make it easy to forget what was read; there is none.
func TestJSONIsNotReadIntoAPlaintext(t *testing.T) {
	var p Plaintext
	if err := json.Unmarshal([]byte(`"`+canary+`"`), &p); err == nil || p.Len() != 0 {
		t.Errorf("%d bytes were read: %v", p.Len(), err)
	}
}
