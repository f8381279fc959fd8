//go:build linux

package e2e

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"causeway/internal/base/pki"
	"causeway/protocol"
)

const (
	siege     = 8 * time.Second // how long the attacks go on at most
	maxGrowth = 150 << 20       // of a process's memory by them
)

// An attacker throws garbage at a system until its context ends.
type attacker struct {
	ctx   context.Context
	tls   *tls.Config
	tasks sync.WaitGroup

	mu   sync.Mutex
	done map[string]int
}

// TestGarbage throws garbage at every port while a meeting goes on: nobody in
// it notices, and every process goes on.
func TestGarbage(t *testing.T) {
	s := newSystem(t)
	m := s.create("--topic", "Siege")
	ada := join(t, s.ca, m.JoinURL, "Ada", true, false)
	watcher := join(t, s.ca, m.JoinURL, "Watcher", false, true)
	watcher.watch(25, protocol.Mic, protocol.Camera)
	before := map[string]int64{}
	for _, name := range servers {
		before[name] = s.processes[name].memory("VmRSS")
	}

	pool, err := pki.Pool(s.ca)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), siege)
	defer cancel()
	a := &attacker{ctx: ctx, tls: &tls.Config{RootCAs: pool, ServerName: "localhost"}, done: map[string]int{}}
	for _, port := range []string{"web", "zc1", "zc2", "mmr"} {
		a.tcp(s.address(port))
	}
	for _, name := range servers {
		a.plain(s.address(name + "-admin"))
		a.https(s.address(name))
	}
	a.control(s.address("mmr"))
	a.udp(s.address("media"))
	watcher.watch(50, protocol.Mic, protocol.Camera) // in the midst of it
	a.tasks.Wait()
	t.Logf("attacks: %v", a.done)

	watcher.watch(50, protocol.Mic, protocol.Camera)
	for _, p := range []*person{ada, watcher} {
		r := p.meeting.Report()
		for kind, media := range r.Media {
			if media.PacketsLost > 0 {
				t.Errorf("%s: %d packets lost", kind, media.PacketsLost)
			}
		}
		if len(r.Phases) != 4 { // a resumption would have added more
			t.Errorf("phases %+v, events %+v", r.Phases, r.Events)
		}
		t.Logf("media: %+v", r.Media)
	}
	for _, name := range servers {
		p := s.processes[name]
		after, most := p.memory("VmRSS"), p.memory("VmHWM")
		t.Logf("%s: memory %d MiB before, %d MiB after, %d MiB at most", name, before[name]>>20, after>>20, most>>20)
		if most-before[name] > maxGrowth {
			t.Errorf("%s grew by %d MiB", name, (most-before[name])>>20)
		}
		if status, body := s.get("http://" + s.address(name+"-admin") + "/readyz"); status != http.StatusOK {
			t.Errorf("%s is not ready: %d %s", name, status, body)
		}
	}
	join(t, s.ca, m.JoinURL, "Late", false, true).watch(10, protocol.Mic, protocol.Camera)
}

// attack does something several times, at the same time.
func (a *attacker) attack(what string, times int, f func(i int)) {
	for i := range times {
		a.tasks.Go(func() {
			f(i)
			a.mu.Lock()
			a.done[what]++
			a.mu.Unlock()
		})
	}
}

// dial connects; the connection ends with the siege. nil: refused, as is
// anybody's right under attack.
func (a *attacker) dial(address string) net.Conn {
	var d net.Dialer
	c, err := d.DialContext(a.ctx, "tcp", address)
	if err != nil {
		return nil
	}
	until, _ := a.ctx.Deadline()
	_ = c.SetDeadline(until)
	return c
}

// dialTLS connects with a complete handshake.
func (a *attacker) dialTLS(address string, protos ...string) net.Conn {
	c := a.dial(address)
	if c == nil {
		return nil
	}
	cfg := a.tls.Clone()
	cfg.NextProtos = protos
	secure := tls.Client(c, cfg)
	if secure.Handshake() != nil {
		_ = c.Close()
		return nil
	}
	return secure
}

// say writes something and waits until the other side hangs up or the siege
// is over.
func say(c net.Conn, data []byte) {
	if c == nil {
		return
	}
	_, _ = c.Write(data)
	_, _ = io.Copy(io.Discard, c)
	_ = c.Close()
}

func noise(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return b
}

// tcp attacks a port that speaks TLS, or NATS and then TLS.
func (a *attacker) tcp(address string) {
	a.attack("random bytes", 5, func(i int) { say(a.dial(address), noise(1<<(4*i))) })
	a.attack("connections that say nothing", 10, func(int) { say(a.dial(address), nil) })
	a.attack("half handshakes", 20, func(i int) {
		hello := clientHello()
		say(a.dial(address), hello[:len(hello)*(i+1)/21])
	})
	a.attack("huge TLS records", 3, func(int) { say(a.dial(address), append([]byte{22, 3, 1, 0xFF, 0xFF}, noise(1<<17)...)) })
	a.attack("plain HTTP", 3, func(int) { say(a.dial(address), []byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n")) })
	a.attack("NATS", 3, func(i int) {
		say(a.dial(address), []byte("CONNECT {\"user\":\"x\",\"pass\":\""+strings.Repeat("x", i<<16)+"\"}\r\nPING\r\nSUB > 1\r\n"))
	})
}

// clientHello is the first message of a real handshake.
func clientHello() []byte {
	ours, theirs := net.Pipe()
	go func() {
		_ = tls.Client(ours, &tls.Config{ServerName: "localhost"}).Handshake() // ends when the pipe does
	}()
	b := make([]byte, 4096)
	n, _ := theirs.Read(b)
	_ = theirs.Close()
	return b[:n]
}

// plain attacks an operator's port.
func (a *attacker) plain(address string) {
	a.attack("random bytes", 3, func(i int) { say(a.dial(address), noise(16<<(4*i))) })
	a.attack("slow requests", 5, func(int) { a.drip(a.dial(address)) })
	a.attack("large headers", 2, func(int) {
		say(a.dial(address), []byte("GET /healthz HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 4<<20)+"\r\n\r\n"))
	})
}

// drip sends a header line now and then, and never ends the header.
func (a *attacker) drip(c net.Conn) {
	if c == nil {
		return
	}
	defer func() { _ = c.Close() }()
	_, err := io.WriteString(c, "GET / HTTP/1.1\r\nHost: localhost\r\n")
	every := time.NewTicker(100 * time.Millisecond)
	defer every.Stop()
	for i := 0; err == nil; i++ {
		select {
		case <-every.C:
			_, err = fmt.Fprintf(c, "X-%d: y\r\n", i)
		case <-a.ctx.Done():
			return
		}
	}
}

// https attacks what is behind the TLS handshake.
func (a *attacker) https(address string) {
	a.attack("random bytes in TLS", 3, func(i int) { say(a.dialTLS(address), noise(16<<(4*i))) })
	a.attack("HTTP/2 garbage", 3, func(i int) {
		say(a.dialTLS(address, "h2"), append([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), noise(16<<(4*i))...))
	})
	a.attack("slow requests", 10, func(int) { a.drip(a.dialTLS(address, "http/1.1")) })
	a.attack("large headers", 2, func(int) {
		say(a.dialTLS(address, "http/1.1"), []byte("GET / HTTP/1.1\r\nHost: x\r\nX: "+strings.Repeat("x", 4<<20)+"\r\n\r\n"))
	})
	for _, path := range []string{protocol.PathMeetings, protocol.PathMeetings + "/123456789/lookup", protocol.PathReports, protocol.PathJoin, protocol.PathControl} {
		a.attack("large bodies", 1, func(int) {
			say(a.dialTLS(address, "http/1.1"), withBody(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer x\r\nContent-Length: %d\r\n\r\n", path, 16<<20)))
		})
		a.attack("bodies that never come", 2, func(int) {
			say(a.dialTLS(address, "http/1.1"), []byte("POST "+path+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{"))
		})
	}
}

// withBody is a request with a body of 16 MiB.
func withBody(head string) []byte {
	return append([]byte(head), bytes.Repeat([]byte("["), 16<<20)...)
}

// control says nonsense on control channels.
func (a *attacker) control(address string) {
	messages := [][]byte{
		[]byte("{"), []byte(`{"type":"hello"}`), []byte(`{"type":"leave"}`), []byte(`[[[[`), noise(1000),
		bytes.Repeat([]byte("["), protocol.MaxControlMessage-1), bytes.Repeat([]byte("x"), 4<<20),
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: a.tls}}
	a.attack("control channels", 3*len(messages), func(i int) {
		c, resp, err := websocket.Dial(a.ctx, "wss://"+address+protocol.PathControl, &websocket.DialOptions{HTTPClient: client})
		if err != nil {
			if resp != nil && resp.Body != nil {
				_ = resp.Body.Close()
			}
			return
		}
		_ = c.Write(a.ctx, websocket.MessageType(1+i%2), messages[i%len(messages)])
		for err == nil {
			_, _, err = c.Read(a.ctx)
		}
		_ = c.CloseNow()
	})
}

// udp sends the media port what looks like STUN, DTLS, RTP and RTCP, and what
// looks like nothing, some 4,000 packets a second.
func (a *attacker) udp(address string) {
	const rounds, each = 150, 80
	a.attack("rounds of datagrams", 1, func(int) {
		c, err := net.Dial("udp", address)
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		every := time.NewTicker(20 * time.Millisecond)
		defer every.Stop()
		for range rounds {
			for i := range each {
				_, _ = c.Write(datagram(i))
			}
			select {
			case <-every.C:
			case <-a.ctx.Done():
				return
			}
		}
	})
}

// datagram makes a packet of the i-th kind.
func datagram(i int) []byte {
	b := noise(1 + mathrand.IntN(1400))
	kind := i % 8
	if kind == 0 || len(b) < 24 {
		return b
	}
	switch kind {
	case 1, 2, 3: // STUN (RFC 8489 §5): binding request, its answer, of another class
		binary.BigEndian.PutUint16(b, []uint16{0x0001, 0x0101, uint16(mathrand.IntN(1 << 14))}[kind-1])
		size := (len(b) - 20) &^ 3
		b = b[:20+size]
		binary.BigEndian.PutUint16(b[2:], uint16(size))
		binary.BigEndian.PutUint32(b[4:], 0x2112A442)
		if size >= 12 {
			binary.BigEndian.PutUint16(b[20:], 0x0006) // USERNAME
			binary.BigEndian.PutUint16(b[22:], uint16(mathrand.IntN(2*size)))
		}
	case 4, 5: // DTLS (RFC 6347 §4.1): handshake, application data
		copy(b, []byte{[]byte{22, 23}[kind-4], 0xFE, 0xFD, 0, 0})
		binary.BigEndian.PutUint16(b[11:], uint16(len(b)-13))
		b[13] = 1 // ClientHello
	case 6: // RTP
		b[0], b[1] = 0x80|b[0]&0x1F, 96
	case 7: // RTCP
		b[0], b[1] = 0x81, 200
	}
	return b
}
