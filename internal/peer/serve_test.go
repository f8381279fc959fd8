package peer

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"causeway/protocol"
)

// framed puts packets into frames.
func framed(packets ...[]byte) []byte {
	var b []byte
	for _, p := range packets {
		b = binary.BigEndian.AppendUint16(b, uint16(len(p)))
		b = append(b, p...)
	}
	return b
}

// A stranger is a stream that a test speaks on by hand.
type stranger struct {
	net.Conn
	ended chan struct{} // ServeStream returned
}

func newStranger(p *Port, from string) stranger {
	client, server := newWire(time.Millisecond, 0, 64<<10)
	server.remote = from
	s := stranger{client, make(chan struct{})}
	go func() {
		defer close(s.ended)
		p.ServeStream(server, protocol.TCP)
	}()
	return s
}

// Streams of strangers that say nothing, or nonsense, or say it slowly, are
// closed in time, without an answer; the meeting beside them is not disturbed.
func TestStrangersAreClosed(t *testing.T) {
	dice := rand.New(rand.NewPCG(3, 4))
	garbage := make([]byte, 1000)
	for i := range garbage {
		garbage[i] = byte(dice.Uint32())
	}
	var w bindingWriter
	check := make([]byte, 200)
	check = check[:w.check(check, transaction{9}, []byte("none:none"), []byte("wrong"), 1, true)]
	for _, test := range []struct {
		name string
		say  []byte
		each time.Duration // a byte; 0: all at once
		at   time.Duration // it is closed
	}{
		{"silence", nil, 0, authenticateWithin},
		{"garbage in frames", framed(garbage, garbage[:1], nil, garbage), 0, authenticateWithin},
		{"empty frames", make([]byte, 10000), 0, authenticateWithin},
		{"wrong checks", framed(check, check, check), 0, authenticateWithin},
		{"a frame byte by byte", framed(garbage), 100 * time.Millisecond, authenticateWithin},
		{"a frame that is too long", []byte{0x08, 0x01, 0}, 0, 0},
		{"HTTP", []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"), 0, 0},
		{"a TLS hello", []byte{22, 3, 1, 2, 0, 1}, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			virtually(t, time.Millisecond, 0, 0, 1, func(t *testing.T, v *virtualNetwork, p *Port) {
				c, atServer, _ := connectReady(t, p, v.dialFrom(clientIP))
				start := time.Now()
				s := newStranger(p, "192.0.2.1:1")
				answered := make(chan int)
				go func() {
					n, _ := s.Read(make([]byte, 100))
					answered <- n
				}()
				if test.each == 0 {
					_, _ = s.Write(test.say)
				}
				for i := 0; test.each > 0 && i < len(test.say) && time.Since(start) < test.at; i++ {
					_, _ = s.Write(test.say[i : i+1])
					time.Sleep(test.each)
				}
				<-s.ended
				if took := time.Since(start); took < test.at || took > test.at+100*time.Millisecond {
					t.Errorf("closed after %v, want %v", took, test.at)
				}
				if n := <-answered; n > 0 {
					t.Error("the stranger was answered")
				}
				talk(t, c, 5)
				if rtp, _, _, _ := atServer.snapshot(); rtp != 5 || p.Stats().Strangers != 0 {
					t.Errorf("%d packets, %d strangers", rtp, p.Stats().Strangers)
				}
			})
		})
	}
}

func TestStrangersAreBounded(t *testing.T) {
	virtually(t, time.Millisecond, 0, 0, 1, func(t *testing.T, _ *virtualNetwork, p *Port) {
		for i := range maxStrangersPerAddr + 10 {
			newStranger(p, fmt.Sprintf("192.0.2.1:%d", 1000+i))
		}
		time.Sleep(time.Second)
		if s := p.Stats(); s.Strangers != maxStrangersPerAddr || s.StreamsRefused != 10 {
			t.Errorf("stats: %+v", s)
		}
		var later []stranger
		for i := range maxStrangers {
			later = append(later, newStranger(p, fmt.Sprintf("10.%d.%d.1:1000", i/250, i%250)))
			time.Sleep(time.Microsecond)
		}
		if s := p.Stats(); s.Strangers != maxStrangers || s.StreamsRefused != 10+maxStrangersPerAddr {
			t.Errorf("stats: %+v", s)
		}
		newStranger(p, "192.0.2.2:1")
		<-later[0].ended // the oldest
		select {
		case <-later[1].ended:
			t.Error("another one was closed, too")
		default:
		}
		time.Sleep(authenticateWithin + time.Second)
		if s := p.Stats(); s.Strangers != 0 || len(p.strangersAt) != 0 {
			t.Errorf("stats: %+v", s)
		}
		last := newStranger(p, "192.0.2.1:1")
		time.Sleep(time.Millisecond)
		must(t, p.Close())
		<-last.ended
		late := newStranger(p, "192.0.2.1:1")
		<-late.ended
	})
}

// A stream belongs to one connection for good, a connection has a few
// streams, and what an authenticated remote sends is bounded as well.
func TestBoundStreams(t *testing.T) {
	virtually(t, time.Millisecond, 0, 0, 1, func(t *testing.T, _ *virtualNetwork, p *Port) {
		accept := func() *Conn {
			c, err := p.Accept(AcceptConfig{Remote: NewCredentials(), RemoteFingerprint: p.Fingerprint(), Handler: newRecorder()})
			must(t, err)
			return c
		}
		first, second := accept(), accept()
		s := newStranger(p, "192.0.2.1:1")
		_, _ = s.Write(framed(checkFor(first)))
		b := make([]byte, 300)
		n, err := s.Read(b)
		must(t, err)
		var answer binding
		if !answer.decode(b[2:n]) || !answer.authentic(first.localPwd) {
			t.Error("no answer to the check")
		}
		_, _ = s.Write(framed(checkFor(second)))
		time.Sleep(10 * time.Millisecond)
		if second.Shard() != nil || p.Stats().BadChecks != 1 {
			t.Error("a second connection took the stream")
		}
		_, _ = s.Write([]byte{0xFF, 0xFF})
		<-s.ended
		first.Shard().Run(func() {
			if len(first.streams) != 0 || first.path.valid() {
				t.Error("the stream is still known")
			}
		})
		var all []stranger
		for i := range maxStreams + 3 {
			s := newStranger(p, fmt.Sprintf("192.0.2.1:%d", i+2))
			_, _ = s.Write(framed(checkFor(first)))
			time.Sleep(10 * time.Millisecond)
			all = append(all, s)
		}
		for _, s := range all[:3] {
			<-s.ended
		}
		first.Shard().Run(func() {
			if len(first.streams) != maxStreams || first.path.stream != first.streams[maxStreams-1] {
				t.Errorf("%d streams", len(first.streams))
			}
		})
		first.Close()
		for _, s := range all {
			<-s.ended
		}
	})
}

// An authenticated stream on which nothing comes any more ends.
func TestIdleStream(t *testing.T) {
	virtually(t, time.Millisecond, 0, 0, 1, func(t *testing.T, v *virtualNetwork, p *Port) {
		c, _, _ := connectReady(t, p, v.dialFrom(clientIP))
		s := newStranger(p, "192.0.2.1:1")
		start := time.Now()
		_, _ = s.Write(framed(checkFor(c.server)))
		<-s.ended
		if took := time.Since(start); took < streamIdle || took > streamIdle+time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

// All rungs fail for good: the connection says so in the end.
func TestNoRung(t *testing.T) {
	virtually(t, time.Millisecond, 0, 0, 1, func(t *testing.T, v *virtualNetwork, p *Port) {
		w := newWires(p, time.Millisecond)
		w.set(protocol.TCP, "refuse")
		w.set(protocol.TLS, "none")
		v.cutOff(serverIP)
		atServer, atClient := newRecorder(), newRecorder()
		c := connect(t, p, atServer, atClient, v.dialFrom(clientIP), w.option)
		atClient.untilClosed()
		<-c.client.Done()
		if n := w.count(protocol.TLS); n != 1 {
			t.Errorf("a rung that does not exist was tried %d times", n)
		}
		if n := w.count(protocol.TCP); n < 8 || n > 15 {
			t.Errorf("TCP tried %d times in 30 s", n)
		}
		_, err := Dial(context.Background(), DialConfig{
			Local: NewCredentials(), Remote: NewCredentials(), RemoteFingerprint: p.Fingerprint(), Handler: quiet{},
		})
		if err == nil || !strings.Contains(err.Error(), "no candidate") {
			t.Errorf("without any candidate: %v", err)
		}
	})
}
