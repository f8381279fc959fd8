package peer

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"causeway/protocol"
)

// The rung that each network leaves, and how long it may take until both
// sides are ready: UDP alone takes 2 or 3 round trips.
func TestFirstRung(t *testing.T) {
	const drop, refuse, none = "drop", "refuse", "none"
	for _, test := range []struct {
		udp, tcp, tls string
		prefer        protocol.Transport
		want          protocol.Transport
		delay, extra  time.Duration // extra: beyond two round trips and ticks
	}{
		{"", "", "", "", protocol.UDP, 20, 0},
		{"", "", "", protocol.TLS, protocol.UDP, 20, 0},
		{drop, "", "", "", protocol.TCP, 20, 250 + 40},
		{drop, "", "", "", protocol.TCP, 100, 250 + 200},
		{drop, drop, "", "", protocol.TLS, 20, 500 + 120},
		{drop, refuse, "", "", protocol.TLS, 20, 250 + 40 + 120},
		{none, "", "", "", protocol.TCP, 20, 40},
		{none, none, "", "", protocol.TLS, 20, 120},
		{drop, "", "", protocol.TCP, protocol.TCP, 20, 40},
		{drop, drop, "", protocol.TLS, protocol.TLS, 20, 120},
		{drop, drop, "", protocol.TCP, protocol.TLS, 20, 250 + 120},
	} {
		name := fmt.Sprintf("udp=%s,tcp=%s,tls=%s,prefer=%s,delay=%d", test.udp, test.tcp, test.tls, test.prefer, test.delay)
		t.Run(name, func(t *testing.T) {
			laddered(t, test.delay*time.Millisecond, func(v *virtualNetwork, w *wires, d *DialConfig) {
				w.set(protocol.TCP, test.tcp)
				w.set(protocol.TLS, test.tls)
				d.Prefer = test.prefer
				switch test.udp {
				case drop:
					v.cutOff(serverIP)
				case none:
					d.Candidates = nil
				}
			}, func(l *ladderWorld) {
				took := l.ready()
				within := (2*2*test.delay + test.extra + 3*25 + 5) * time.Millisecond
				t.Logf("ready after %v of at most %v", took, within)
				if took > within {
					t.Errorf("ready after %v, not %v", took, within)
				}
				l.speak(time.Second, nil)
				time.Sleep(time.Second)
				if s, c := l.heard(); s != l.seq || c != l.seq {
					t.Errorf("of %d packets %d and %d arrived", l.seq, s, c)
				}
				if !l.on(test.want) {
					t.Errorf("client uses %v, server %v", l.client.Stats().Transport, l.server.Stats().Transport)
				}
				for _, r := range []*climbing{l.atServer, l.atClient} {
					if got := r.told(); got[len(got)-1] != test.want {
						t.Errorf("told of %v", got)
					}
				}
			})
		})
	}
}

// What is not needed is not opened, and what was opened for nothing ends.
func TestStreamsAreNotOpenedForNothing(t *testing.T) {
	laddered(t, 10*time.Millisecond, func(*virtualNetwork, *wires, *DialConfig) {}, func(l *ladderWorld) {
		l.ready()
		l.speak(time.Minute, nil)
		if n := l.w.count(protocol.TCP) + l.w.count(protocol.TLS); n != 0 {
			t.Errorf("%d streams opened beside UDP that works", n)
		}
	})
}

// UDP is cut while people speak: sound comes again within 2 s. When it heals
// the connection climbs back and loses nothing.
func TestFallAndClimb(t *testing.T) {
	for _, test := range []struct {
		tcp   string
		delay time.Duration
		to    protocol.Transport
	}{
		{"", 20, protocol.TCP},
		{"", 75, protocol.TCP},
		{"", 150, protocol.TCP},
		{"drop", 20, protocol.TLS},
		{"drop", 75, protocol.TLS},
		{"refuse", 20, protocol.TLS},
		{"none", 20, protocol.TLS},
	} {
		t.Run(fmt.Sprintf("%s,%d", test.tcp, test.delay), func(t *testing.T) {
			laddered(t, test.delay*time.Millisecond, func(_ *virtualNetwork, w *wires, _ *DialConfig) {
				w.set(protocol.TCP, test.tcp)
			}, func(l *ladderWorld) {
				l.ready()
				l.speak(5*time.Second, nil)
				l.v.cutOff(serverIP)
				l.speak(2*test.delay*time.Millisecond, nil) // what is on its way
				s, c := l.heard()
				took := l.speak(5*time.Second, func() bool { s2, c2 := l.heard(); return s2 > s && c2 > c })
				took += 2 * test.delay * time.Millisecond
				t.Logf("sound after %v", took)
				if took > 2*time.Second || !l.on(test.to) {
					t.Errorf("sound after %v, client on %v", took, l.client.Stats().Transport)
				}
				l.speak(3*time.Second, nil)
				time.Sleep(time.Second)
				s, c = l.heard()
				sent := l.seq
				l.v.cutOff("none")
				took = l.speak(20*time.Second, func() bool { return l.on(protocol.UDP) })
				t.Logf("climbed after %v", took)
				if took > 8*time.Second {
					t.Errorf("climbed after %v", took)
				}
				l.speak(3*time.Second, nil)
				time.Sleep(time.Second)
				s2, c2 := l.heard()
				if sent = l.seq - sent; s2-s != sent || c2-c != sent {
					t.Errorf("of %d packets around the climb %d and %d arrived", sent, s2-s, c2-c)
				}
				want := []protocol.Transport{protocol.UDP, test.to, protocol.UDP}
				if !slices.Equal(l.atClient.told(), want) || !slices.Equal(l.atServer.told(), want) {
					t.Errorf("told %v and %v", l.atClient.told(), l.atServer.told())
				}
				time.Sleep(10 * time.Second)
				l.client.Shard().Run(func() {
					if len(l.client.streams) != 0 || len(l.client.dialled.ways) != 1 {
						t.Errorf("%d streams are left", len(l.client.streams))
					}
				})
			})
		})
	}
}

// An idle connection falls as well, within the longest interval of checks.
func TestFallWithoutMedia(t *testing.T) {
	laddered(t, 20*time.Millisecond, func(*virtualNetwork, *wires, *DialConfig) {}, func(l *ladderWorld) {
		l.ready()
		time.Sleep(20 * time.Second)
		l.v.cutOff(serverIP)
		cut := time.Now()
		for !l.on(protocol.TCP) {
			time.Sleep(10 * time.Millisecond)
		}
		if took := time.Since(cut); took > idleConsent+time.Second {
			t.Errorf("fell after %v", took)
		}
	})
}

// One direction is cut, whenever within the interval of checks, while the
// other goes on: both are heard again within 2 s.
func TestFallOneWay(t *testing.T) {
	for _, delay := range []time.Duration{5, 20, 75} {
		for _, from := range []string{clientIP, serverIP} {
			for phase := time.Duration(0); phase < busyConsent; phase += 100 * time.Millisecond {
				t.Run(fmt.Sprint(delay*time.Millisecond, from, phase), func(t *testing.T) {
					laddered(t, delay*time.Millisecond, func(*virtualNetwork, *wires, *DialConfig) {}, func(l *ladderWorld) {
						l.ready()
						l.speak(3*time.Second+phase, nil)
						l.v.deafen(from)
						l.speak(2*delay*time.Millisecond, nil) // what is on its way
						s, c := l.heard()
						took := l.speak(10*time.Second, func() bool { s2, c2 := l.heard(); return s2 > s && c2 > c })
						took += 2 * delay * time.Millisecond
						t.Logf("heard after %v", took)
						if took > 2*time.Second || !l.on(protocol.TCP) {
							t.Errorf("heard after %v", took)
						}
					})
				})
			}
		}
	}
}

// UDP lets checks and small packets pass but loses the media, from some time
// on: the connection falls and does not come back soon, unless the network
// has changed.
func TestFallWhenMediaIsLost(t *testing.T) {
	for _, test := range []struct {
		name   string
		start  func(*virtualNetwork)
		size   int
		within time.Duration
	}{
		{"policed to nothing", func(v *virtualNetwork) { v.policed.Store(1 << 40) }, 100, 4 * time.Second},
		{"policed to a quarter", func(v *virtualNetwork) { v.policed.Store(4) }, 100, 6 * time.Second},
		{"large packets fall into a hole", func(v *virtualNetwork) { v.hole.Store(1000) }, 1100, 4 * time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			laddered(t, 40*time.Millisecond, func(*virtualNetwork, *wires, *DialConfig) {}, func(l *ladderWorld) {
				l.ready()
				l.size = test.size
				l.speak(3*time.Second, nil)
				test.start(l.v)
				took := l.speak(20*time.Second, func() bool { return l.on(protocol.TCP) })
				t.Logf("fell after %v", took)
				if took > test.within {
					t.Errorf("fell after %v", took)
				}
				l.speak(5*time.Minute, nil)
				if !l.on(protocol.TCP) || len(l.atClient.told()) != 2 {
					t.Errorf("then used %v", l.atClient.told())
				}
				l.v.hole.Store(0)
				l.v.policed.Store(0)
				l.client.Nudge()
				if took := l.speak(10*time.Second, func() bool { return l.on(protocol.UDP) }); took > time.Second {
					t.Errorf("climbed after %v", took)
				}
			})
		})
	}
}

// Media that is lost where there is no other rung stays, and so does media
// that an overload loses for a while.
func TestLostMediaStays(t *testing.T) {
	for _, only := range []bool{true, false} {
		laddered(t, 20*time.Millisecond, func(_ *virtualNetwork, w *wires, d *DialConfig) {
			if only {
				d.Stream = nil
			}
		}, func(l *ladderWorld) {
			l.ready()
			l.speak(3*time.Second, nil)
			l.v.policed.Store(3)
			l.speak(2*time.Second, nil)
			l.v.policed.Store(0)
			l.speak(10*time.Second, nil)
			if told := l.atClient.told(); len(told) != 1 {
				t.Errorf("only UDP %v: %v", only, told)
			}
		})
	}
}

// A network that loses much is not a network that has died: sound stays on
// UDP, where a loss costs one packet; nor is one where packets are late and
// out of order, or where people fall silent now and then.
func TestLossIsNoFall(t *testing.T) {
	for _, test := range []struct {
		loss          int64
		jitter        time.Duration
		times         int
		speak, silent time.Duration
	}{
		{10, 0, 1, 100 * time.Second, 0},
		{5, 0, 30, 5 * time.Second, 5 * time.Second},
		{5, 60 * time.Millisecond, 30, 5 * time.Second, 5 * time.Second},
		{0, 200 * time.Millisecond, 30, 5 * time.Second, 5 * time.Second},
	} {
		t.Run(fmt.Sprintf("%d percent, jitter %v", test.loss, test.jitter), func(t *testing.T) {
			ladderedOver(t, 40*time.Millisecond, test.jitter, func(v *virtualNetwork, _ *wires, _ *DialConfig) { v.loss.Store(test.loss) }, func(l *ladderWorld) {
				l.ready()
				for range test.times {
					l.speak(test.speak, nil)
					time.Sleep(test.silent)
				}
				told := l.atClient.told() // TCP may have been the first to answer
				if i := slices.Index(told, protocol.UDP); i != len(told)-1 || !l.on(protocol.UDP) {
					t.Errorf("used %v", told)
				}
			})
		})
	}
}

// While the control channel is dead too, it is the network.
func TestHold(t *testing.T) {
	laddered(t, 20*time.Millisecond, func(*virtualNetwork, *wires, *DialConfig) {}, func(l *ladderWorld) {
		l.ready()
		l.speak(3*time.Second, nil)
		l.client.Hold(true)
		l.v.cutOff(serverIP)
		l.speak(15*time.Second, nil)
		if n := len(l.w.dialled); n != 0 || !l.on(protocol.UDP) {
			t.Errorf("%d streams dialled, on %v", n, l.client.Stats().Transport)
		}
		l.v.cutOff("none")
		s, c := l.heard()
		took := l.speak(5*time.Second, func() bool { s2, c2 := l.heard(); return s2 > s && c2 > c })
		if took > 700*time.Millisecond || !l.on(protocol.UDP) {
			t.Errorf("sound after %v", took)
		}
		l.v.cutOff(serverIP)
		l.speak(5*time.Second, nil)
		l.client.Hold(false)
		if took := l.speak(5*time.Second, func() bool { return l.on(protocol.TCP) }); took > time.Second {
			t.Errorf("fell %v after the hold", took)
		}
	})
}

// In the background attempts become rare; a nudge makes one at once.
func TestNudge(t *testing.T) {
	laddered(t, 20*time.Millisecond, func(v *virtualNetwork, w *wires, _ *DialConfig) {
		v.cutOff(serverIP)
		w.set(protocol.TCP, "drop")
	}, func(l *ladderWorld) {
		l.ready()
		l.speak(5*time.Minute, nil)
		if n := l.w.count(protocol.TCP); n < 5 || n > 10 {
			t.Errorf("TCP tried %d times in 5 minutes", n)
		}
		l.v.cutOff("none")
		l.client.Nudge()
		if took := l.speak(10*time.Second, func() bool { return l.on(protocol.UDP) }); took > 200*time.Millisecond {
			t.Errorf("climbed after %v", took)
		}
	})
}

// A stream that ends is left at once.
func TestStreamReset(t *testing.T) {
	laddered(t, 20*time.Millisecond, func(v *virtualNetwork, _ *wires, _ *DialConfig) { v.cutOff(serverIP) }, func(l *ladderWorld) {
		l.ready()
		l.speak(3*time.Second, nil)
		if !l.on(protocol.TCP) {
			t.Fatal("not on TCP")
		}
		l.w.reset(protocol.TCP)
		s, c := l.heard()
		took := l.speak(5*time.Second, func() bool { s2, c2 := l.heard(); return s2 > s+1 && c2 > c+1 })
		t.Logf("sound after %v", took)
		if took > 300*time.Millisecond {
			t.Errorf("sound after %v", took)
		}
		l.w.set(protocol.TCP, "refuse")
		l.w.reset(protocol.TCP)
		s, c = l.heard()
		took = l.speak(5*time.Second, func() bool { s2, c2 := l.heard(); return s2 > s+1 && c2 > c+1 })
		t.Logf("sound over TLS after %v", took)
		if took > 500*time.Millisecond || !l.on(protocol.TLS) {
			t.Errorf("sound after %v, on %v", took, l.client.Stats().Transport)
		}
	})
}

// TCP is cut silently, and TLS carries on; TCP heals.
func TestFallFromTCP(t *testing.T) {
	laddered(t, 20*time.Millisecond, func(v *virtualNetwork, _ *wires, _ *DialConfig) { v.cutOff(serverIP) }, func(l *ladderWorld) {
		l.ready()
		l.speak(3*time.Second, nil)
		l.w.cut(protocol.TCP)
		l.speak(40*time.Millisecond, nil)
		s, c := l.heard()
		took := l.speak(5*time.Second, func() bool { s2, c2 := l.heard(); return s2 > s && c2 > c })
		t.Logf("sound after %v", took)
		if took > 2*time.Second || !l.on(protocol.TLS) {
			t.Errorf("sound after %v on %v", took, l.client.Stats().Transport)
		}
		l.w.set(protocol.TCP, "")
		sent := l.seq
		s, c = l.heard()
		if took := l.speak(30*time.Second, func() bool { return l.on(protocol.TCP) }); took > 20*time.Second {
			t.Errorf("climbed after %v", took)
		}
		l.speak(time.Second, nil)
		time.Sleep(time.Second)
		s2, c2 := l.heard()
		if sent = l.seq - sent; s2-s < sent || c2-c < sent {
			t.Errorf("of %d packets %d and %d arrived", sent, s2-s, c2-c)
		}
	})
}

// UDP carries checks and nothing else, or dies while the handshake runs.
func TestHandshakeFalls(t *testing.T) {
	t.Run("only checks pass", func(t *testing.T) {
		laddered(t, 20*time.Millisecond, func(v *virtualNetwork, _ *wires, _ *DialConfig) { v.onlyChecks.Store(true) }, func(l *ladderWorld) {
			if took := l.ready(); took > handshakeWithin+500*time.Millisecond {
				t.Errorf("ready after %v", took)
			}
			l.speak(2*time.Minute, nil)
			time.Sleep(time.Second)
			if s, c := l.heard(); s != l.seq || c != l.seq || !l.on(protocol.TCP) {
				t.Errorf("of %d packets %d and %d arrived, on %v", l.seq, s, c, l.client.Stats().Transport)
			}
		})
	})
	for after := 10 * time.Millisecond; after < 130*time.Millisecond; after += 10 * time.Millisecond {
		t.Run(after.String(), func(t *testing.T) {
			laddered(t, 20*time.Millisecond, func(*virtualNetwork, *wires, *DialConfig) {}, func(l *ladderWorld) {
				time.Sleep(after)
				l.v.cutOff(serverIP)
				took := l.ready()
				t.Logf("ready after %v", took)
				if took > 2500*time.Millisecond {
					t.Errorf("ready after %v", took)
				}
			})
		})
	}
}

// An end of both sides is orderly over streams, too.
func TestCloseNotifyOverStream(t *testing.T) {
	laddered(t, 20*time.Millisecond, func(v *virtualNetwork, _ *wires, _ *DialConfig) { v.cutOff(serverIP) }, func(l *ladderWorld) {
		l.ready()
		start := time.Now()
		l.client.Close()
		<-l.client.Done()
		l.atServer.untilClosed()
		<-l.server.Done()
		if took := time.Since(start); l.atServer.err != nil || took > 200*time.Millisecond {
			t.Errorf("server closed with %v after %v", l.atServer.err, took)
		}
	})
}
