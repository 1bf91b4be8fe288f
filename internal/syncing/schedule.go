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
// The interval is a tenth longer or shorter from project to project, the same each time it is asked, so
// that projects made together do not run together, and every process and page tells the same time.
func (s *Service) NextFullRun(p store.Project, last []store.Run) (at time.Time, ok bool) {
	if s.settings.FullRun < 0 || !s.Kept(p) {
		return time.Time{}, false
	}
	every := s.settings.FullRun
	spread := float64(binary.BigEndian.Uint32(p.ID[:4])) / (1 << 32) // 0 to 1
	every += time.Duration((spread - 0.5) / 5 * float64(every))
	for _, r := range last {
		if r.OptionsHash == "" || r.OptionsHash == fullOrder {
			return r.StartedAt.Add(every), true
		}
	}
	return p.CreatedAt, true
}
