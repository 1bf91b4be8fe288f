package github

import "time"

// windowLength is GitHub's minute, and a second because its clock and ours need not tick alike.
const windowLength = time.Minute + time.Second

// A window holds the requests whose answers came and which GitHub may still be counting.
type window struct {
	entries []entry // by time of leaving: answers come in that order
	points  int
}

type entry struct {
	leaves time.Time
	points int
}

func (w *window) add(now time.Time, points int) {
	w.entries = append(w.entries, entry{now.Add(windowLength), points})
	w.points += points
}

// forget drops what no longer counts.
func (w *window) forget(now time.Time) {
	n := 0
	for n < len(w.entries) && w.entries[n].leaves.Before(now) {
		w.points -= w.entries[n].points
		n++
	}
	if n > 0 {
		w.entries = append(w.entries[:0], w.entries[n:]...)
	}
}

// next is when the oldest entry leaves.
func (w *window) next() (time.Time, bool) {
	if len(w.entries) == 0 {
		return time.Time{}, false
	}
	return w.entries[0].leaves, true
}
