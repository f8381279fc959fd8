package loadtest

import (
	"sync"

	"causeway/client"
)

// A participant is in the meeting.
type participant struct {
	meeting *client.Meeting
	voices  *ear
}

// An ear knows whom a participant hears.
type ear struct {
	mu    sync.Mutex
	heard map[string]struct{} // by id
}

func newEar() *ear { return &ear{heard: map[string]struct{}{}} }

func (e *ear) hear(id string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.heard[id] = struct{}{}
}

func (e *ear) count() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.heard)
}

func (e *ear) forget() {
	e.mu.Lock()
	defer e.mu.Unlock()
	clear(e.heard)
}

// A look is what participants have at a moment: how many are on each router,
// list so many people, and have heard so many.
type look struct {
	routers       map[string]int
	listed, heard map[int]int
}

func (t *test) look() look {
	t.mu.Lock()
	people := t.people
	t.mu.Unlock()
	l := look{map[string]int{}, map[int]int{}, map[int]int{}}
	for _, p := range people {
		select {
		case <-p.meeting.Done():
			continue // told as ended too early
		default:
		}
		l.routers[p.meeting.Report().MMR]++
		l.listed[len(p.meeting.Participants())]++
		l.heard[p.voices.count()]++
	}
	return l
}

// begin begins to count what there is when all are there.
func (t *test) begin() totals {
	t.mu.Lock()
	people := t.people
	t.mu.Unlock()
	for _, p := range people {
		p.voices.forget()
	}
	return t.totals()
}
