package githubsim

import (
	"fmt"
	"strconv"
	"strings"
)

// A page is one part of a list.
type page struct {
	number, size int
}

// The sizes of a page: unless asked, and at most.
const (
	pageSize    = 30
	maxPageSize = 100
)

// page reads per_page and page. Too large a per_page is clamped, nonsense is ignored.
func (c *call) page() page {
	query := c.r.URL.Query()
	number := func(name string, otherwise int) int {
		n, err := strconv.Atoi(query.Get(name))
		if err != nil || n < 1 {
			return otherwise
		}
		return n
	}
	return page{number: number("page", 1), size: min(number("per_page", pageSize), maxPageSize)}
}

// cut returns the page's part of all, never nil.
func cut[T any](p page, all []T) []T {
	from := min((p.number-1)*p.size, len(all))
	return append([]T{}, all[from:min(from+p.size, len(all))]...)
}

// link sets the Link header of a page of a list of total entries. Its URLs name the
// repository by its id, whatever name the request used.
func (c *call) link(a *answer, p page, total int) {
	last := max((total+p.size-1)/p.size, 1)
	var links []string
	add := func(number int, rel string) {
		query := c.r.URL.Query()
		query.Set("page", strconv.Itoa(number))
		links = append(links, fmt.Sprintf(`<%s?%s>; rel="%s"`, c.canonical(), query.Encode(), rel))
	}
	if p.number > 1 {
		add(min(p.number-1, last), "prev")
	}
	if p.number < last {
		add(p.number+1, "next")
		add(last, "last")
	}
	if p.number > 1 {
		add(1, "first")
	}
	if len(links) > 0 {
		a.set("Link", strings.Join(links, ", "))
	}
}

// canonical is the request's URL without its query, by repository id.
func (c *call) canonical() string {
	if c.repo == nil {
		return c.base + strings.TrimPrefix(c.r.URL.EscapedPath(), c.Prefix())
	}
	return c.base + fmt.Sprintf("/repositories/%d", c.repo.ID) + c.rest
}
