package redact

import (
	"context"
	"fmt"
	"log/slog"
	"reflect"
	"slices"

	"github.com/octoseal/octoseal/internal/secret"
)

// Mark is what stands where something was taken out.
const Mark = "[redacted]"

// A Handler redacts records on their way to the next handler. It may be used by many goroutines,
// also while it learns; what is derived from it by With and WithGroup learns with it.
//
// The next handler sees only text and plain numbers: whatever else an attribute holds is printed
// here, since nobody knows what the next would print of it.
type Handler struct {
	next slog.Handler
	book *book
	with []with
}

// with is one call of WithAttrs or WithGroup. They are kept until a record comes, for a value may
// be learned after it was attached.
type with struct {
	group string
	attrs []slog.Attr
}

// New returns a handler that redacts what it hands to next.
func New(next slog.Handler) *Handler { return &Handler{next: next, book: &book{}} }

// Learn makes value unspeakable from now on. It copies the value, which may be zeroed afterwards.
func (h *Handler) Learn(value secret.Plaintext) { h.book.learn(value.Expose()) }

// Unlearn takes back one Learn of value: of one that others have not learned too, nothing is kept.
func (h *Handler) Unlearn(value secret.Plaintext) { h.book.unlearn(value.Expose()) }

// Forget overwrites everything that was learned. What looks like a credential is still redacted.
func (h *Handler) Forget() { h.book.forget() }

// String redacts s.
func (h *Handler) String(s string) string { return h.book.redact(s) }

// Enabled asks the next handler.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// WithAttrs returns a handler that adds attrs to every record.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	return h.and(with{attrs: attrs})
}

// WithGroup returns a handler that puts what follows into a group.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	return h.and(with{group: name})
}

func (h *Handler) and(w with) *Handler {
	return &Handler{next: h.next, book: h.book, with: append(slices.Clip(h.with), w)}
}

// Handle hands the record on, redacted.
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, r.Level, h.book.redact(r.Message), r.PC)
	attrs := make([]slog.Attr, 0, 8)
	r.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, h.attr(a))
		return true
	})
	for _, w := range slices.Backward(h.with) {
		if w.group != "" {
			attrs = []slog.Attr{{Key: h.book.redact(w.group), Value: slog.GroupValue(attrs...)}}
			continue
		}
		attrs = append(h.attrs(w.attrs), attrs...)
	}
	out.AddAttrs(attrs...)
	return h.next.Handle(ctx, out)
}

func (h *Handler) attrs(attrs []slog.Attr) []slog.Attr {
	out := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		out[i] = h.attr(a)
	}
	return out
}

func (h *Handler) attr(a slog.Attr) slog.Attr {
	return slog.Attr{Key: h.book.redact(a.Key), Value: h.value(a.Value.Resolve())}
}

func (h *Handler) value(v slog.Value) slog.Value {
	switch v.Kind() {
	case slog.KindString:
		return slog.StringValue(h.book.redact(v.String()))
	case slog.KindGroup:
		return slog.GroupValue(h.attrs(v.Group())...)
	case slog.KindAny:
		if v.Any() == nil {
			return v
		}
		return slog.StringValue(h.book.redact(printed(v.Any())))
	}
	return v // numbers, times, booleans
}

// printed is v as text: bytes are taken for it, and everything else as fmt prints it.
func printed(v any) string {
	if _, speaks := v.(interface{ String() string }); !speaks {
		if r := reflect.ValueOf(v); r.Kind() == reflect.Slice && r.Type().Elem().Kind() == reflect.Uint8 {
			return string(r.Bytes())
		}
	}
	return fmt.Sprintf("%+v", v)
}
