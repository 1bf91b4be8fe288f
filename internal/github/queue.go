package github

import (
	"slices"
	"time"
)

// A waiter is a request that has not been let in yet. The governor's lock guards it until called
// is closed; then either granted or err is set.
type waiter struct {
	repository int64
	points     int
	patient    bool
	called     chan struct{}
	granted    time.Time
	err        error
}

// A queue serves repositories in turn, and each repository's requests in order.
type queue struct {
	turns []int64
	lines map[int64][]*waiter
}

func (q *queue) push(w *waiter) {
	if q.lines == nil {
		q.lines = map[int64][]*waiter{}
	}
	if len(q.lines[w.repository]) == 0 {
		q.turns = append(q.turns, w.repository)
	}
	q.lines[w.repository] = append(q.lines[w.repository], w)
}

// front is whose turn it is; nil when nobody waits.
func (q *queue) front() *waiter {
	if len(q.turns) == 0 {
		return nil
	}
	return q.lines[q.turns[0]][0]
}

// pop lets the front go; its repository's next request waits for another turn.
func (q *queue) pop() {
	repository := q.turns[0]
	q.turns = q.turns[1:]
	q.lines[repository] = q.lines[repository][1:]
	if len(q.lines[repository]) > 0 {
		q.turns = append(q.turns, repository)
	} else {
		delete(q.lines, repository)
	}
}

func (q *queue) remove(w *waiter) {
	line := q.lines[w.repository]
	i := slices.Index(line, w)
	if i < 0 {
		return
	}
	if len(line) > 1 {
		q.lines[w.repository] = slices.Delete(line, i, i+1)
		return
	}
	delete(q.lines, w.repository)
	q.turns = slices.DeleteFunc(q.turns, func(r int64) bool { return r == w.repository })
}

// impatient returns those who will not sit out a quota reset.
func (q *queue) impatient() []*waiter {
	var all []*waiter
	for _, line := range q.lines {
		for _, w := range line {
			if !w.patient {
				all = append(all, w)
			}
		}
	}
	return all
}
