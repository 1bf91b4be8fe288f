package store

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A querier runs statements: a transaction, or a whole database for a single read.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

// fields are the columns of a row type and where in it they go.
type fields struct {
	names []string
	index [][]int
}

var fieldsOf sync.Map // reflect.Type → fields

// fieldsFor reads the db tags of a row type, those of embedded structs included.
func fieldsFor(t reflect.Type) fields {
	if known, ok := fieldsOf.Load(t); ok {
		return known.(fields)
	}
	var f fields
	for i := range t.NumField() {
		field := t.Field(i)
		if name := field.Tag.Get("db"); name != "" {
			f.names, f.index = append(f.names, name), append(f.index, field.Index)
		} else if field.Anonymous {
			// Not reflect.VisibleFields: an embedded Limit hides its own field Limit from it.
			inner := fieldsFor(field.Type)
			f.names = append(f.names, inner.names...)
			for _, at := range inner.index {
				f.index = append(f.index, append([]int{i}, at...))
			}
		}
	}
	fieldsOf.Store(t, f)
	return f
}

// columns lists the columns of T for a SELECT, those of the table called alias.
func columns[T any](alias string) string {
	names := fieldsFor(reflect.TypeFor[T]()).names
	return alias + "." + strings.Join(names, ", "+alias+".")
}

// all returns the rows of a query. The columns must be those of T, in its order.
func all[T any](ctx context.Context, q querier, query string, args ...any) (out []T, err error) {
	rows, err := q.QueryContext(ctx, query, bind(args)...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	f := fieldsFor(reflect.TypeFor[T]())
	cells, into := make([]cell, len(f.index)), make([]any, len(f.index))
	for i := range cells {
		into[i] = &cells[i]
	}
	for rows.Next() {
		var row T
		v := reflect.ValueOf(&row).Elem()
		for i, at := range f.index {
			cells[i].to = v.FieldByIndex(at)
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// one returns the first row of a query, if there is one.
func one[T any](ctx context.Context, q querier, query string, args ...any) (row T, found bool, err error) {
	rows, err := all[T](ctx, q, query, args...)
	if err != nil || len(rows) == 0 {
		return row, false, err
	}
	return rows[0], true, nil
}

// number returns the one number a query answers; NULL and no row are 0.
func number(ctx context.Context, q querier, query string, args ...any) (int64, error) {
	row, _, err := one[struct {
		N int64 `db:"n"`
	}](ctx, q, query, args...)
	return row.N, err
}

// exec runs a statement and says how many rows it touched.
func exec(ctx context.Context, q querier, query string, args ...any) (int64, error) {
	done, err := q.ExecContext(ctx, query, bind(args)...)
	if err != nil {
		return 0, err
	}
	return done.RowsAffected()
}

// A where is the conditions of a query as they come together; ? stands for the next value.
type where struct {
	conditions []string
	args       []any
}

func (w *where) and(condition string, values ...any) {
	for _, v := range values {
		condition = strings.Replace(condition, "?", w.value(v), 1)
	}
	w.conditions = append(w.conditions, condition)
}

// value adds a value and returns its placeholder.
func (w *where) value(v any) string {
	w.args = append(w.args, v)
	return "$" + strconv.Itoa(len(w.args))
}

// clause is the WHERE clause; without conditions there is none.
func (w *where) clause() string {
	if len(w.conditions) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(w.conditions, " AND ")
}

// batch bounds the rows of one INSERT: SQLite takes 32,766 parameters, and our widest table has
// fewer than 30 columns.
const batch = 500

// insert adds rows to a table; then is what follows the values, such as ON CONFLICT.
func insert[T any](ctx context.Context, q querier, table, then string, rows ...T) error {
	f := fieldsFor(reflect.TypeFor[T]())
	for len(rows) > 0 {
		part := rows[:min(batch, len(rows))]
		rows = rows[len(part):]
		lines := make([]string, len(part))
		args := make([]any, 0, len(part)*len(f.index))
		for i := range part {
			v := reflect.ValueOf(&part[i]).Elem()
			marks := make([]string, len(f.index))
			for j, at := range f.index {
				args = append(args, v.FieldByIndex(at).Interface())
				marks[j] = "$" + strconv.Itoa(len(args))
			}
			lines[i] = "(" + strings.Join(marks, ", ") + ")"
		}
		query := "INSERT INTO " + table + " (" + strings.Join(f.names, ", ") + ") VALUES " + strings.Join(lines, ", ") + " " + then
		if _, err := exec(ctx, q, query, args...); err != nil {
			return err
		}
	}
	return nil
}

// bind turns our types into what both drivers take. A zero time or id is NULL; a time is cut to
// the microseconds that both databases keep; a duration is milliseconds. Text loses what
// PostgreSQL refuses to store: NUL, and bytes that are not UTF-8.
func bind(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		out[i] = bound(a)
	}
	return out
}

func bound(a any) any {
	v := reflect.ValueOf(a)
	if !v.IsValid() {
		return nil
	}
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return nil
		}
		return bound(v.Elem().Interface())
	}
	switch a := a.(type) {
	case time.Time:
		if a.IsZero() {
			return nil
		}
		return stamp(a)
	case time.Duration:
		return a.Milliseconds()
	case json.RawMessage:
		if a == nil {
			return nil
		}
		return string(a)
	case driver.Valuer: // ids and sets
		if v.IsZero() {
			return nil
		}
		return a
	case encoding.TextMarshaler: // names and scopes
		text, err := a.MarshalText()
		if err != nil || len(text) == 0 {
			return nil
		}
		return string(text)
	}
	if v.Kind() == reflect.String {
		return clean(v.String())
	}
	return a
}

// clean makes text that both databases store, and give back, as it is.
func clean(s string) string {
	return strings.ToValidUTF8(strings.ReplaceAll(s, "\x00", "\uFFFD"), "\uFFFD")
}

// stamp is a moment as it is stored.
func stamp(t time.Time) time.Time { return t.UTC().Truncate(time.Microsecond) }

// A cell scans one column into a field. NULL is the zero value, a time is UTC whatever the driver
// made of it.
type cell struct{ to reflect.Value }

func (c *cell) Scan(from any) error {
	c.to.SetZero()
	if from == nil {
		return nil
	}
	if c.to.Kind() == reflect.Pointer {
		to := reflect.New(c.to.Type().Elem())
		if err := (&cell{to.Elem()}).Scan(from); err != nil {
			return err
		}
		c.to.Set(to)
		return nil
	}
	switch to := c.to.Addr().Interface().(type) {
	case *time.Time:
		return scanTime(to, from)
	case *time.Duration:
		n, ok := from.(int64)
		*to = time.Duration(n) * time.Millisecond
		return scanned(ok, from, to)
	case sql.Scanner:
		return to.Scan(from)
	case encoding.TextUnmarshaler:
		return to.UnmarshalText([]byte(text(from)))
	}
	return c.scanKind(from)
}

func (c *cell) scanKind(from any) error {
	switch c.to.Kind() {
	case reflect.String:
		c.to.SetString(text(from))
		return nil
	case reflect.Slice: // of bytes; the driver may reuse its own
		c.to.SetBytes([]byte(text(from)))
		return nil
	case reflect.Int, reflect.Int64:
		n, ok := from.(int64)
		c.to.SetInt(n)
		return scanned(ok, from, c.to.Interface())
	case reflect.Bool:
		switch from := from.(type) {
		case bool:
			c.to.SetBool(from)
			return nil
		case int64:
			c.to.SetBool(from != 0)
			return nil
		}
	}
	return scanned(false, from, c.to.Interface())
}

// scanTime takes the integers of microseconds that SQLite answers for computed columns, which have
// no declared type, as well as times.
func scanTime(to *time.Time, from any) error {
	switch from := from.(type) {
	case time.Time:
		*to = from.UTC()
	case int64:
		*to = time.UnixMicro(from).UTC()
	default:
		return scanned(false, from, to)
	}
	return nil
}

func scanned(ok bool, from, to any) error {
	if ok {
		return nil
	}
	return fmt.Errorf("a column holds a %T where a %T is expected", from, to)
}

func text(from any) string {
	switch from := from.(type) {
	case string:
		return from
	case []byte:
		return string(from)
	}
	return fmt.Sprint(from)
}
