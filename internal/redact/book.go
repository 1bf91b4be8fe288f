package redact

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const (
	shortest = 4  // a value under so many bytes is not learned
	needle   = 64 // so much of each form is kept to search for
)

// A book holds the values that may not be spoken, indexed by the first four bytes of each form.
type book struct {
	mu     sync.RWMutex
	values []*learned
	forms  map[uint32][]*spelling
	filter [1 << 10]uint64 // a bit for each hash of four bytes that begin a form
}

// A learned value is there until it was unlearned as often as it was learned.
type learned struct {
	value []byte
	times int
}

// A spelling is one form of one value: its beginning, and how to have all of it.
type spelling struct {
	head  []byte
	of    *learned
	write func([]byte) string
}

// writings are the forms in which a value gets into a text.
var writings = []func([]byte) string{
	func(v []byte) string { return string(v) },
	func(v []byte) string { q := strconv.Quote(string(v)); return q[1 : len(q)-1] },
	func(v []byte) string { return inJSON(v, true) },
	func(v []byte) string { return inJSON(v, false) },
	func(v []byte) string { return url.QueryEscape(string(v)) },
	func(v []byte) string { return url.PathEscape(string(v)) },
	func(v []byte) string { return inBase64(base64.RawStdEncoding, v, 0) },
	func(v []byte) string { return inBase64(base64.RawStdEncoding, v, 1) },
	func(v []byte) string { return inBase64(base64.RawStdEncoding, v, 2) },
	func(v []byte) string { return inBase64(base64.RawURLEncoding, v, 0) },
	func(v []byte) string { return inBase64(base64.RawURLEncoding, v, 1) },
	func(v []byte) string { return inBase64(base64.RawURLEncoding, v, 2) },
	hex.EncodeToString,
	func(v []byte) string { return strings.ToUpper(hex.EncodeToString(v)) },
	func(v []byte) string { return strings.Trim(fmt.Sprint(v), "[]") },
}

func inJSON(v []byte, escapeHTML bool) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(escapeHTML)
	if err := enc.Encode(string(v)); err != nil { // a string always encodes
		return ""
	}
	return strings.TrimSuffix(b.String(), "\n")[1 : b.Len()-2]
}

// inBase64 is what v alone decides of a base64 text in which it begins after a number of bytes that
// leaves the remainder skew.
func inBase64(enc *base64.Encoding, v []byte, skew int) string {
	full := enc.EncodeToString(append(make([]byte, skew), v...))
	return full[(skew*8+5)/6 : (skew+len(v))*8/6]
}

func (b *book) learn(value []byte) {
	if len(value) < shortest {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if i := b.find(value); i >= 0 {
		b.values[i].times++
		return
	}
	of := &learned{bytes.Clone(value), 1}
	b.values = append(b.values, of)
	if b.forms == nil {
		b.forms = map[uint32][]*spelling{}
	}
	seen := map[string]bool{}
	for _, write := range writings {
		head := write(of.value)
		head = head[:min(len(head), needle)]
		if len(head) < shortest || seen[head] {
			continue
		}
		seen[head] = true
		first := binary.LittleEndian.Uint32([]byte(head))
		b.forms[first] = append(b.forms[first], &spelling{[]byte(head), of, write})
		b.sieve(first)
	}
}

func (b *book) find(value []byte) int {
	return slices.IndexFunc(b.values, func(l *learned) bool { return bytes.Equal(l.value, value) })
}

// sieve lets forms that begin with these four bytes through the filter.
func (b *book) sieve(first uint32) {
	h := hashed(first)
	b.filter[h>>6] |= 1 << (h & 63)
}

// unlearn takes back one learning of value.
func (b *book) unlearn(value []byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	i := b.find(value)
	if i < 0 {
		return
	}
	of := b.values[i]
	if of.times--; of.times > 0 {
		return
	}
	b.values = slices.Delete(b.values, i, i+1)
	clear(b.filter[:])
	for first, forms := range b.forms {
		forms = slices.DeleteFunc(forms, func(f *spelling) bool {
			if f.of == of {
				clear(f.head)
			}
			return f.of == of
		})
		if len(forms) == 0 {
			delete(b.forms, first)
			continue
		}
		b.forms[first] = forms
		b.sieve(first)
	}
	clear(of.value)
}

func (b *book) forget() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, v := range b.values {
		clear(v.value)
	}
	for _, forms := range b.forms {
		for _, f := range forms {
			clear(f.head)
		}
	}
	b.values, b.forms = nil, nil
	clear(b.filter[:])
}

// hashed spreads four bytes over the bits of the filter.
func hashed(four uint32) uint32 { return four * 2654435761 >> 16 }

// A span is a piece of a text that is taken out.
type span struct{ from, to int }

// redact replaces every learned value and every credential in s. Spans that touch or overlap are
// one, so that of two values that share their ends nothing is left.
func (b *book) redact(s string) string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	found := credentials(s)
	if b.forms != nil {
		found = b.spoken(s, found)
	}
	if len(found) == 0 {
		return s
	}
	slices.SortFunc(found, func(x, y span) int { return x.from - y.from })
	var out strings.Builder
	done := 0
	for i := 0; i < len(found); {
		at := found[i]
		for i++; i < len(found) && found[i].from <= at.to; i++ {
			at.to = max(at.to, found[i].to)
		}
		out.WriteString(s[done:at.from])
		out.WriteString(Mark)
		done = at.to
	}
	out.WriteString(s[done:])
	return out.String()
}

// spoken adds where learned values stand in s. Within a form that was found, the same form is not
// looked for again: a value that repeats itself would make a long text of it endless.
func (b *book) spoken(s string, found []span) []span {
	var busy map[*spelling]int
	for i := 0; i+shortest <= len(s); i++ {
		first := uint32(s[i]) | uint32(s[i+1])<<8 | uint32(s[i+2])<<16 | uint32(s[i+3])<<24
		h := hashed(first)
		if b.filter[h>>6]&(1<<(h&63)) == 0 {
			continue
		}
		for _, f := range b.forms[first] {
			if busy[f] > i {
				continue
			}
			if n := f.length(s[i:]); n > 0 {
				if busy == nil {
					busy = map[*spelling]int{}
				}
				busy[f] = i + n
				found = append(found, span{i, i + n})
			}
		}
	}
	return found
}

// length returns how much of f stands at the beginning of s: nothing, its head, or more, as far as
// s goes along with it.
func (f *spelling) length(s string) int {
	n := len(f.head)
	if len(s) < n || s[:n] != string(f.head) {
		return 0
	}
	if n < needle {
		return n
	}
	for whole := f.write(f.of.value); n < len(whole) && n < len(s) && whole[n] == s[n]; {
		n++
	}
	return n
}
