package github

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/octoseal/octoseal/internal/secret"
)

// A Mark is as much of a Listing as tells whether the list has changed since: a hundred bytes for a
// list of any length, so that ten thousand of them can be kept at hand. The zero Mark knows nothing.
type Mark struct {
	Digest uint64    // of names and times, in any order; zero for the zero Mark alone
	Newest time.Time // the latest updated_at in the list
	pages  []markedPage
}

type markedPage struct{ etag, next string }

// Mark returns the listing's mark.
func (l Listing) Mark() Mark {
	secrets := l.Secrets()
	slices.SortFunc(secrets, func(a, b Listed) int { return strings.Compare(a.Name, b.Name) })
	h := sha256.New()
	var m Mark
	for _, s := range secrets {
		// Names hold no line breaks, and each is followed by the eight bytes of its time.
		h.Write([]byte(s.Name + "\n"))
		h.Write(binary.BigEndian.AppendUint64(nil, uint64(s.UpdatedAt.Unix())))
		if s.UpdatedAt.After(m.Newest) {
			m.Newest = s.UpdatedAt
		}
	}
	m.Digest = max(1, binary.BigEndian.Uint64(h.Sum(nil)))
	m.pages = make([]markedPage, len(l.Pages))
	for i, p := range l.Pages {
		m.pages[i] = markedPage{p.ETag, p.Next}
	}
	return m
}

// Requests is how many requests the next look takes while nothing changes.
func (m Mark) Requests() int { return max(1, len(m.pages)) }

// known is what a conditional look needs of the list.
func (m Mark) known() *Listing {
	l := &Listing{Pages: make([]Page, len(m.pages))}
	for i, p := range m.pages {
		l.Pages[i] = Page{ETag: p.etag, Next: p.next}
	}
	return l
}

// Glance looks whether a list has changed since known, and returns its mark as of now. An unchanged
// list costs no quota and leaves nothing behind. Only digests are to be compared: the ETags of an
// unchanged list change with the token.
func (c *Client) Glance(ctx context.Context, repo Repository, scope secret.Scope, known Mark) (Mark, error) {
	r, err := secretsRequest(http.MethodGet, c.current(repo), scope, "?per_page=100", "")
	if err != nil {
		return Mark{}, err
	}
	l, err := c.readPages(ctx, r, known.known())
	switch {
	case err != nil:
		return Mark{}, err
	case l.Unchanged:
		return known, nil
	case len(l.Pages) > 1 || !l.whole(): // pages that stayed are missing here, and others may have moved
		if l, err = c.list(ctx, r, scope, nil); err != nil {
			return Mark{}, err
		}
	}
	return l.Mark(), nil
}
