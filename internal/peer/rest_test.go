package peer

import (
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A trickle is a socket on which a datagram comes every so often, in virtual
// time. It notes how it was read.
type trickle struct {
	socket
	mu       sync.Mutex
	deadline time.Time
	every    time.Duration
	next     time.Time
	reads    int // that waited for a datagram
	rests    int
	most     int // datagrams that one rest brought
}

func (s *trickle) set(every time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.every, s.next = every, time.Now().Add(every)
	s.reads, s.rests, s.most = 0, 0, 0
}

func (s *trickle) counts() (reads, rests, most int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.reads, s.rests, s.most
}

func (s *trickle) setReadDeadline(t time.Time) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.deadline = t
	return nil
}

// came returns what has come until now.
func (s *trickle) came() (in []datagram) {
	for !s.next.After(time.Now()) {
		s.next = s.next.Add(s.every)
		in = append(in, datagram{data: []byte{0xff}, remote: netip.MustParseAddrPort("127.0.0.1:1")})
	}
	return in
}

// wait waits until a moment, without the lock.
func (s *trickle) wait(until time.Time) {
	s.mu.Unlock()
	time.Sleep(time.Until(until))
	s.mu.Lock()
}

func (s *trickle) read() ([]datagram, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.deadline.Before(s.next) {
		s.wait(s.deadline)
		return nil, os.ErrDeadlineExceeded
	}
	s.wait(s.next)
	s.reads++
	return s.came(), nil
}

func (s *trickle) rest() ([]datagram, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wait(s.deadline)
	s.rests++
	in := s.came()
	s.most = max(s.most, len(in))
	return in, true
}

func (s *trickle) full() bool           { return false }
func (s *trickle) addr() netip.AddrPort { return netip.AddrPort{} }
func (s *trickle) segments() int        { return 1 }
func (s *trickle) close() error         { return nil }

// A shard that is woken often rests, and no longer when it is not.
func TestBusyShardRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sock := &trickle{}
		sock.set(5 * time.Millisecond)
		p, err := newPort(PortConfig{Certificate: certificate(), Tick: func(s *Shard, _ time.Time) { s.working = true }})
		must(t, err)
		s := newShard(p, 0, sock)
		p.shards = []*Shard{s}
		p.loops.Go(s.loop)
		for _, test := range []struct {
			every time.Duration
			rests bool
		}{
			{5 * time.Millisecond, false},
			{tickInterval / (restAbove + 10), true},
			{restFor, true}, // less than it takes to begin
			{tickInterval / 2, false},
			{tickInterval / (restAbove + 10), true},
			{time.Hour, false},
		} {
			sock.set(test.every)
			time.Sleep(10 * tickInterval) // for it to change
			sock.set(test.every)
			time.Sleep(40 * tickInterval)
			reads, rests, most := sock.counts()
			if (rests > 0) != test.rests || test.rests && reads > 0 {
				t.Errorf("every %v: read %d times, rested %d times", test.every, reads, rests)
			}
			if bound := int(restFor/test.every) + 1; most > bound {
				t.Errorf("every %v: %d came in one rest, not %d", test.every, most, bound)
			}
		}
		must(t, p.Close())
	})
}

// A shard that rests takes a turn soon when it is wanted.
func TestRestingShardIsWoken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sock := &trickle{}
		sock.set(100 * time.Microsecond)
		var turns []time.Time
		p, err := newPort(PortConfig{
			Certificate: certificate(),
			Tick:        func(s *Shard, now time.Time) { s.working, turns = true, append(turns, now) },
		})
		must(t, err)
		s := newShard(p, 0, sock)
		p.shards = []*Shard{s}
		p.loops.Go(s.loop)
		time.Sleep(10 * tickInterval)
		c, err := p.Accept(AcceptConfig{Remote: NewCredentials(), RemoteFingerprint: p.Fingerprint(), Handler: newRecorder()})
		must(t, err)
		p.claim(c, s)
		asked := time.Now()
		c.Close()
		<-c.Done()
		if waited := time.Since(asked); waited > restFor {
			t.Errorf("closed after %v", waited)
		}
		must(t, p.Close())
		for i := range turns[1:] {
			if gap := turns[i+1].Sub(turns[i]); gap > tickInterval+restFor {
				t.Errorf("no tick for %v", gap)
			}
		}
	})
}
