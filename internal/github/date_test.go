package github

import (
	"net/http"
	"testing"
	"time"
)

// Without a Date the answer came at our time, or every write would look overtaken.
func TestAnswerWithoutDate(t *testing.T) {
	received := time.Date(2026, 11, 23, 12, 0, 0, 700_000_000, time.UTC)
	if got := (answer{header: http.Header{}, received: received}).date(); !got.Equal(received.Truncate(time.Second)) {
		t.Errorf("%s", got)
	}
	told := answer{header: http.Header{"Date": {"Mon, 23 Nov 2026 11:00:00 GMT"}}, received: received}
	if got := told.date(); !got.Equal(time.Date(2026, 11, 23, 11, 0, 0, 0, time.UTC)) {
		t.Errorf("%s", got)
	}
}
