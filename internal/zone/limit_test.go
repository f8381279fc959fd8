package zone

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

func TestLimiter(t *testing.T) {
	l := newLimiter(60, 3)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	step := func(addr netip.Addr, at time.Duration, want bool) {
		t.Helper()
		if got := l.allow(addr, noon.Add(at)); got != want {
			t.Errorf("%v at %v: %v, want %v", addr, at, got, want)
		}
	}
	for range 3 {
		step(a, 0, true)
	}
	step(a, 0, false)
	step(b, 0, true)
	step(netip.MustParseAddr("::ffff:192.0.2.1"), 0, false) // the same address
	step(a, 999*time.Millisecond, false)
	step(a, time.Second, true)
	step(a, time.Second, false)
	step(a, 0, false) // a clock that goes back gives nothing
	for range 3 {
		step(a, time.Hour, true)
	}
	step(a, time.Hour, false)
}

func TestLimiterTakesA64ForOne(t *testing.T) {
	l := newLimiter(60, 1)
	if !l.allow(netip.MustParseAddr("2001:db8::1"), noon) || l.allow(netip.MustParseAddr("2001:db8::ffff:2"), noon) {
		t.Error("two addresses of one /64 are not one")
	}
	if !l.allow(netip.MustParseAddr("2001:db8:0:1::1"), noon) {
		t.Error("another /64 is the same")
	}
	if l.allow(netip.MustParseAddr("2001:db8::1%eth0"), noon) {
		t.Error("a scope makes another address")
	}
}

func TestLimiterOff(t *testing.T) {
	l := newLimiter(0, 0)
	for range 1000 {
		if !l.allow(netip.Addr{}, noon) {
			t.Fatal("refused")
		}
	}
}

func TestLimiterIsBounded(t *testing.T) {
	l := newLimiter(60, 1)
	addr := func(i int) netip.Addr {
		var b [4]byte
		binary.BigEndian.PutUint32(b[:], uint32(i))
		return netip.AddrFrom4(b)
	}
	for i := range maxAddresses {
		l.allow(addr(i), noon)
	}
	l.allow(addr(1), noon.Add(500*time.Millisecond))
	l.allow(addr(maxAddresses), noon.Add(1200*time.Millisecond)) // most are full again
	if n := len(l.buckets); n > maxAddresses {
		t.Errorf("%d addresses", n)
	}
	for i := range 2 * maxAddresses {
		l.allow(addr(i), noon.Add(2*time.Hour))
		if len(l.buckets) > maxAddresses {
			t.Fatalf("%d addresses", len(l.buckets))
		}
	}
}
