package drain

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"causeway/protocol"
)

func TestWait(t *testing.T) {
	const ms = time.Millisecond
	type step struct {
		at   time.Duration
		ask  *protocol.DrainRequest
		left int
	}
	for _, c := range []struct {
		name  string
		left  int
		steps []step
		want  time.Duration // when it has drained; 0 never
	}{
		{"nobody asks", 0, nil, 0},
		{"nobody is there", 0, []step{{at: time.Second, ask: &protocol.DrainRequest{}}}, 3 * time.Second},
		{"who is there goes", 5, []step{{at: 0, ask: &protocol.DrainRequest{}}, {at: 3950 * ms}}, 6 * time.Second},
		{"who is there stays: the usual time", 5, []step{{at: 0, ask: &protocol.DrainRequest{}}}, time.Minute},
		{"who is there stays: the time asked for", 5, []step{{at: 0, ask: &protocol.DrainRequest{DeadlineMS: 1500}}}, 1500 * ms},
		{"somebody comes back", 0, []step{
			{at: 0, ask: &protocol.DrainRequest{}},
			{at: 1950 * ms, left: 1},
			{at: 5050 * ms},
		}, 7100 * ms},
		{"cancelled", 5, []step{
			{at: 0, ask: &protocol.DrainRequest{DeadlineMS: 2000}},
			{at: time.Second, ask: &protocol.DrainRequest{Cancel: true}, left: 5},
		}, 0},
		{"asked anew", 5, []step{
			{at: 0, ask: &protocol.DrainRequest{}, left: 5},
			{at: time.Second, ask: &protocol.DrainRequest{DeadlineMS: 1000}, left: 5},
		}, 2 * time.Second},
		{"cancelled, then asked anew", 0, []step{
			{at: 0, ask: &protocol.DrainRequest{}},
			{at: 1500 * ms, ask: &protocol.DrainRequest{Cancel: true}},
			{at: 1700 * ms, ask: &protocol.DrainRequest{}},
		}, 3700 * ms},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := New(time.Minute, 2*time.Second)
				ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
				defer cancel()
				var left atomic.Int64
				left.Store(int64(c.left))
				began := time.Now()
				ended := make(chan error, 1)
				go func() { ended <- d.Wait(ctx, func() int { return int(left.Load()) }) }()
				for _, s := range c.steps {
					<-time.After(time.Until(began.Add(s.at)))
					if s.ask != nil {
						d.Ask(*s.ask, int(left.Load()), time.Now())
					} else {
						left.Store(int64(s.left))
					}
				}
				err := <-ended
				if c.want == 0 {
					if !errors.Is(err, context.DeadlineExceeded) {
						t.Errorf("ended after %v: %v", time.Since(began), err)
					}
					return
				}
				if took := time.Since(began); err != nil || took != c.want {
					t.Errorf("drained after %v (%v), want %v", took, err, c.want)
				}
			})
		})
	}
}

func TestState(t *testing.T) {
	d := New(time.Minute, 0)
	now := time.Unix(1000, 0)
	if d.On() || d.State(3, now) != nil {
		t.Error("it drains before it was asked")
	}
	if got, want := d.Ask(protocol.DrainRequest{}, 3, now), (protocol.DrainState{Draining: true, DeadlineMS: 60_000, Left: 3}); got != want {
		t.Errorf("asked: %+v, want %+v", got, want)
	}
	if got, want := *d.State(1, now.Add(time.Hour)), (protocol.DrainState{Draining: true, Left: 1}); got != want || !d.On() {
		t.Errorf("too late: %+v, want %+v", got, want)
	}
	if got := d.Ask(protocol.DrainRequest{DeadlineMS: 1 << 60}, 0, now); got.DeadlineMS != protocol.MaxDrainMS {
		t.Errorf("for ever: %+v", got)
	}
	if got := d.Ask(protocol.DrainRequest{Cancel: true}, 3, now); got != (protocol.DrainState{}) || d.On() {
		t.Errorf("cancelled: %+v", got)
	}
}
