package tunnel

import (
	"sync"

	"golang.org/x/time/rate"

	"causeway/protocol"
)

// quotas bound the streams, in all and per participant.
type quotas struct {
	limits Limits

	mu           sync.Mutex
	streams      int
	participants map[string]*quota
}

// quota is one participant's share; its limiters are shared by its streams.
type quota struct {
	streams  int
	up, down *rate.Limiter
}

func newQuotas(l Limits) *quotas {
	return &quotas{limits: l, participants: map[string]*quota{}}
}

// take claims a stream for a participant; release gives it back.
func (q *quotas) take(participant string) (*quota, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.streams >= q.limits.Streams {
		return nil, protocol.NewProblem(protocol.ProblemTunnelFull, "in all")
	}
	p := q.participants[participant]
	if p == nil {
		limit := rate.Limit(q.limits.BytesPerSecond)
		burst := max(q.limits.BytesPerSecond, protocol.MaxTunnelChunk)
		p = &quota{up: rate.NewLimiter(limit, burst), down: rate.NewLimiter(limit, burst)}
		q.participants[participant] = p
	}
	if p.streams >= q.limits.StreamsPerParticipant {
		return nil, protocol.NewProblem(protocol.ProblemTunnelFull, "for this participant")
	}
	p.streams++
	q.streams++
	return p, nil
}

func (q *quotas) release(participant string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.streams--
	p := q.participants[participant]
	p.streams--
	if p.streams == 0 {
		delete(q.participants, participant)
	}
}

func (q *quotas) count() (streams, participants int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.streams, len(q.participants)
}
