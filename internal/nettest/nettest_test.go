package nettest

import (
	"testing"
	"time"
)

const ms = time.Millisecond

func TestBottleneck(t *testing.T) {
	w := New(1)
	// 1000 bytes take 8 ms, from 20 ms on 16.
	l := &Link{World: w, Rates: []Step{{Rate: 1e6}, {At: 20 * ms, Rate: 0.5e6}}, Delay: 100 * ms, Queue: 50 * ms}
	var came []time.Duration
	arrive := func() { came = append(came, w.Elapsed()) }
	for range 4 {
		l.Send(1000, arrive)
	}
	if l.Backlog() != 44*ms { // 8, 16, then 4 at the old rate and 8 at half of it, and 16
		t.Errorf("backlog %v", l.Backlog())
	}
	w.Run(time.Second)
	for i, want := range []time.Duration{108 * ms, 116 * ms, 128 * ms, 144 * ms} {
		if len(came) != 4 || came[i] != want {
			t.Fatalf("came at %v", came)
		}
	}
	if w.Elapsed() != time.Second || !w.Now().Equal(Epoch.Add(time.Second)) || l.RateAt(10*ms) != 1e6 || l.RateAt(time.Second) != 0.5e6 {
		t.Errorf("%v", w.Elapsed())
	}
	for l.Send(1000, arrive) >= 0 {
	}
	if l.Dropped != 1 || l.Backlog() <= 50*ms {
		t.Errorf("%d dropped, backlog %v", l.Dropped, l.Backlog())
	}
}

func TestLossAndJitter(t *testing.T) {
	for _, burst := range []float64{0, 5} {
		w := New(2)
		l := &Link{World: w, Delay: 10 * ms, Jitter: 30 * ms, Loss: 0.1, Burst: burst}
		n, late := 0, time.Duration(0)
		for range 10000 {
			l.Send(100, func() { n++; late = max(late, w.Elapsed()) })
		}
		w.Run(time.Second)
		if n < 8700 || n > 9300 || n+l.Lost != 10000 || late < 65*ms || late > 70*ms {
			t.Errorf("burst %v: %d came, %d lost, the last after %v", burst, n, l.Lost, late)
		}
	}
}

func TestOrderAndEvery(t *testing.T) {
	w := New(3)
	said := ""
	w.After(2*ms, func() { said += "c" })
	w.After(ms, func() { said += "a"; w.After(0, func() { said += "b" }) })
	w.Every(10*ms, func() { said += "." })
	w.Run(35 * ms)
	if said != "abc..." {
		t.Errorf("%q", said)
	}
}
