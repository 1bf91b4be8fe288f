package syncing

import (
	"encoding/binary"
	"time"

	"github.com/octoseal/octoseal/internal/store"
)

// DefaultFullRun is how often every project has a full run, whether anything was seen to change or
// not: it finds what no list shows, such as a changed value behind a command.
const DefaultFullRun = 6 * time.Hour

// Kept says whether a project is kept in step without anybody asking: it wants to be, and there is
// somewhere to take its values from.
func (s *Service) Kept(p store.Project) bool {
	return p.AutoSync && p.ArchivedAt == nil && (s.relay || !fromRelay(p))
}

// NextFullRun returns when a project is due for its next full run, given its last runs, newest first.
func (s *Service) NextFullRun(p store.Project, last []store.Run) (at time.Time, ok bool) {
	for _, r := range last {
		if r.OptionsHash == "" || r.OptionsHash == fullOrder {
			return s.fullRunAfter(p, &r.StartedAt)
		}
	}
	return s.fullRunAfter(p, nil)
}

// fullRunAfter returns when a project is due for the full run that follows the one begun at last; nil
// is none, and it is due since it was made. The interval is a tenth longer or shorter from project to
// project, the same each time it is asked, so that projects made together do not run together, and
// every process and page tells the same time.
func (s *Service) fullRunAfter(p store.Project, last *time.Time) (at time.Time, ok bool) {
	if s.settings.FullRun < 0 || !s.Kept(p) {
		return time.Time{}, false
	}
	if last == nil {
		return p.CreatedAt, true
	}
	every := s.settings.FullRun
	spread := float64(binary.BigEndian.Uint32(p.ID[:4])) / (1 << 32) // 0 to 1
	return last.Add(every + time.Duration((spread-0.5)/5*float64(every))), true
}
