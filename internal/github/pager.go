package github

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/octoseal/octoseal/internal/fault"
)

// A SeenPage is what is kept of one page of a list so that the next look can be conditional.
type SeenPage struct {
	ETag  string `json:"etag"`
	Next  string `json:"next,omitempty"` // path and query of the page after it, without the host
	Count int    `json:"count"`          // how many items stood on it
	Total *int   `json:"total,omitempty"`
}

// A page is one page of a list as it came.
type page[T any] struct {
	items []T
	total *int // how many the whole list has; nil where GitHub does not tell
}

// sheets are a list as it was read, page after page.
type sheets[T any] struct {
	items     []T
	pages     []SeenPage
	date      time.Time
	unchanged bool // every page answered 304
}

// A pager reads a list of GitHub's that is no store of secrets.
type pager[T any] struct {
	client  *Client
	first   request
	refused error // why there is no first request
	decode  func(answer) (page[T], error)
	id      func(T) int64
	enough  func([]T) bool // says of a page that none is needed after it; nil: all are
	most    int            // pages; zero means maxPages
}

// errListMoved: what was read does not fit together, so somebody changed it meanwhile.
const errListMoved sentinel = "the list changed while it was read"

// read reads the whole list, conditionally as far as it is known, until it is of one piece: an item
// that comes or goes between two pages moves others across the border.
func (p pager[T]) read(ctx context.Context, known *sheets[T]) (sheets[T], error) {
	if p.refused != nil {
		return sheets[T]{}, p.refused
	}
	for range 1 + rereads {
		list, err := p.readPages(ctx, known)
		if !errors.Is(err, errListMoved) {
			return list, err
		}
		known = nil // what is known may itself be what does not fit
	}
	return sheets[T]{}, fault.New(fault.IntegrationUnavailable, fault.Context{
		"reason": fmt.Sprintf("partial listing: %s changed between its pages each of %d times it was read", p.first.subject.what, 1+rereads),
	}).Hinting("Run again when nobody else is changing it.")
}

func (p pager[T]) readPages(ctx context.Context, known *sheets[T]) (sheets[T], error) {
	list, r := sheets[T]{unchanged: true}, p.first
	for {
		before, had := known.page(list)
		r.etag = before.ETag
		a, err := p.client.read(ctx, r)
		if err != nil {
			return sheets[T]{}, err
		}
		if a.status == http.StatusNotModified && had {
			list.items = append(list.items, known.items[len(list.items):len(list.items)+before.Count]...)
		} else {
			list.unchanged = false
			if before, err = p.pageOf(r, a, &list); err != nil {
				return sheets[T]{}, err
			}
		}
		list.pages, list.date = append(list.pages, before), a.date()
		switch next := before.Next; {
		case next == "" || p.enough != nil && p.enough(list.items):
			return list, p.whole(list)
		case len(list.pages) == p.limit():
			return sheets[T]{}, p.endless()
		default:
			r.path = next
		}
	}
}

// page returns what is known of the page that follows those read so far: where it stood, what it
// was called and how many items came before it must be the same.
func (s *sheets[T]) page(read sheets[T]) (SeenPage, bool) {
	i, before := len(read.pages), 0
	if s == nil || i >= len(s.pages) || i > 0 && s.pages[i-1].Next != read.pages[i-1].Next {
		return SeenPage{}, false
	}
	for _, p := range s.pages[:i] {
		before += p.Count
	}
	p := s.pages[i]
	if before != len(read.items) || p.Count < 0 || before+p.Count > len(s.items) || p.ETag == "" {
		return SeenPage{}, false
	}
	return p, true
}

// pageOf adds an answer's items to the list and returns what is kept of its page.
func (p pager[T]) pageOf(r request, a answer, list *sheets[T]) (SeenPage, error) {
	got, err := p.decode(a)
	if err != nil {
		return SeenPage{}, err
	}
	list.items = append(list.items, got.items...)
	seen := SeenPage{ETag: a.header.Get("Etag"), Count: len(got.items), Total: got.total}
	if next := nextLink(a.header); next != "" {
		seen.Next, err = p.client.within(r.path, next)
	}
	return seen, err
}

// whole answers errListMoved unless the list has each item once, and as many as every page counted.
func (p pager[T]) whole(list sheets[T]) error {
	if p.enough != nil {
		return nil // only its beginning was asked for
	}
	seen := map[int64]bool{}
	for _, item := range list.items {
		seen[p.id(item)] = true
	}
	if len(seen) != len(list.items) {
		return errListMoved
	}
	for _, page := range list.pages {
		if page.Total != nil && *page.Total != len(list.items) {
			return errListMoved
		}
	}
	return nil
}

func (p pager[T]) limit() int {
	if p.most > 0 {
		return p.most
	}
	return maxPages
}

func (p pager[T]) endless() error {
	return fault.New(fault.IntegrationUnavailable, fault.Context{
		"reason": fmt.Sprintf("partial listing: %s goes on after %d pages", p.first.subject.what, p.limit()),
	}).Hinting("So many are not looked through.")
}

func noList(of string) *fault.Fault {
	return fault.New(fault.IntegrationUnavailable, fault.Context{"reason": "the answer is no list of " + of}).
		Hinting("Check the API URL: it may lead to something else than GitHub.")
}
