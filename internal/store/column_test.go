package store

import (
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/octoseal/octoseal/internal/secret"
	"pgregory.net/rapid"
)

func TestScopeSetComesBack(t *testing.T) {
	odd := rapid.StringMatching(`[a-z ,"'{}\\äß:.-]{1,20}`)
	rapid.Check(t, func(t *rapid.T) {
		set := scopeSet(rapid.SliceOf(rapid.SampledFrom(secret.Stores())).Draw(t, "stores"))
		for _, name := range rapid.SliceOf(odd).Draw(t, "environments") {
			if scope, err := secret.Environment(name); err == nil {
				set = append(set, scope)
			}
		}
		literal, err := set.Value()
		if err != nil {
			t.Fatal(err)
		}
		var back scopeSet
		if err := back.Scan(literal); err != nil || !slices.Equal(back, set) {
			t.Errorf("%v became %v by way of %q: %v", set, back, literal, err)
		}
	})
}

func TestScopeSetRefuses(t *testing.T) {
	for _, literal := range []string{"", "actions", "{actions", "actions}", `{"actions}`, `{"actions\`, "{nowhere}", "{,}", "{environment:}"} {
		var s scopeSet
		if err := s.Scan(literal); err == nil {
			t.Errorf("%q was read as %v", literal, s)
		}
	}
}

func TestClassify(t *testing.T) {
	postgres := func(code string) error { return fmt.Errorf("wrapped: %w", &pgconn.PgError{Code: code}) }
	for _, c := range []struct {
		err  error
		want trouble
	}{
		{nil, troubleNone},
		{errors.New("UNIQUE constraint failed: but only in words"), troubleOther},
		{postgres("23505"), troubleDuplicate},
		{postgres("23503"), troubleDangling},
		{postgres("23514"), troubleRefused},
		{postgres("23502"), troubleRefused},
		{postgres("23000"), troubleRefused},
		{postgres("40P01"), troubleAgain},
		{postgres("40001"), troubleAgain},
		{postgres("57P01"), troubleUnavailable},
		{postgres("08006"), troubleUnavailable},
		{postgres("53300"), troubleUnavailable},
		{postgres("25006"), troubleUnavailable},
		{postgres("28P01"), troubleUnavailable},
		{postgres("57014"), troubleOther},
		{postgres("42601"), troubleOther},
		{postgres("42P01"), troubleUnavailable},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, troubleUnavailable},
		{fmt.Errorf("read: %w", io.ErrUnexpectedEOF), troubleUnavailable},
		{ErrLeaseLost, troubleOther},
	} {
		if got := classify(c.err); got != c.want {
			t.Errorf("%v is %d, want %d", c.err, got, c.want)
		}
	}
}
