package peer

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"sync"
	"testing"
	"testing/iotest"
	"time"
)

// unframe reads a whole stream through frames.
func unframe(r io.Reader, size int) (packets [][]byte, err error) {
	f := frames{buf: make([]byte, size)}
	for {
		for {
			p, err := f.next()
			if err != nil {
				return packets, err
			}
			if p == nil {
				break
			}
			if cap(p) != len(p) {
				return nil, errors.New("a packet reaches into the next")
			}
			packets = append(packets, bytes.Clone(p))
		}
		if f.end-f.start == len(f.buf) {
			return nil, errors.New("buffer full without a frame")
		}
		if err := f.fill(r); err != nil {
			return packets, err
		}
	}
}

func TestFrames(t *testing.T) {
	packet := func(n int) []byte { return bytes.Repeat([]byte{byte(n)}, n) }
	for _, test := range []struct {
		name string
		in   []byte
		want []int // lengths
		err  error
	}{
		{"nothing", nil, nil, io.EOF},
		{"one", framed(packet(5)), []int{5}, io.EOF},
		{"several", framed(packet(1), packet(1200), packet(2)), []int{1, 1200, 2}, io.EOF},
		{"empty ones", framed(nil, packet(3), nil, nil, packet(4), nil), []int{3, 4}, io.EOF},
		{"the longest", framed(packet(maxDatagram), packet(1)), []int{maxDatagram, 1}, io.EOF},
		{"too long", framed(packet(7), packet(maxDatagram+1)), []int{7}, errFrame},
		{"much too long", []byte{0xFF, 0xFF}, nil, errFrame},
		{"cut in the header", append(framed(packet(7)), 0), []int{7}, io.EOF},
		{"cut in the packet", framed(packet(7), packet(9))[:14], []int{7}, io.EOF},
	} {
		for _, size := range []int{smallBuffer, largeBuffer} {
			for way, r := range map[string]io.Reader{
				"at once":      bytes.NewReader(test.in),
				"byte by byte": iotest.OneByteReader(bytes.NewReader(test.in)),
				"with its end": iotest.DataErrReader(bytes.NewReader(test.in)),
			} {
				packets, err := unframe(r, size)
				var got []int
				for _, p := range packets {
					got = append(got, len(p))
				}
				if !slices.Equal(got, test.want) || !errors.Is(err, test.err) {
					t.Errorf("%s, %s: %v, %v", test.name, way, got, err)
				}
			}
		}
	}
}

func TestFramesGrow(t *testing.T) {
	f := frames{buf: make([]byte, smallBuffer)}
	in := bytes.NewReader(framed([]byte("one"), []byte("two"), []byte("three")))
	must(t, f.fill(in))
	one, _ := f.next()
	f.grow(largeBuffer)
	f.grow(smallBuffer) // never back
	two, _ := f.next()
	if string(one)+string(two) != "onetwo" || len(f.buf) != largeBuffer {
		t.Errorf("%q, %q, %d", one, two, len(f.buf))
	}
}

// Whatever comes, in whatever pieces, frames come out the same and bounded.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{}, uint8(1))
	f.Add(framed([]byte("hello"), nil, make([]byte, 2048)), uint8(3))
	f.Add([]byte{8, 1, 0}, uint8(200))
	f.Fuzz(func(t *testing.T, in []byte, piece uint8) {
		whole, err := unframe(bytes.NewReader(in), largeBuffer)
		parts, err2 := unframe(&pieces{in, int(piece) + 1}, smallBuffer)
		if !errors.Is(err, err2) || !slices.EqualFunc(whole, parts, bytes.Equal) {
			t.Fatalf("%d packets and %v, %d packets and %v", len(whole), err, len(parts), err2)
		}
		total := 0
		for _, p := range whole {
			if len(p) == 0 || len(p) > maxDatagram {
				t.Fatalf("a packet of %d bytes", len(p))
			}
			total += len(p)
		}
		if total > len(in) {
			t.Fatal("more came out than went in")
		}
	})
}

// pieces is read so many bytes at a time.
type pieces struct {
	rest []byte
	n    int
}

func (p *pieces) Read(b []byte) (int, error) {
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(len(b), p.n)], p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

func newTestQueue(backlog time.Duration, sound bool) *queue {
	q := &queue{
		pool: &sync.Pool{New: func() any { return new(frame) }}, wake: make(chan struct{}, 1),
	}
	q.begin(backlog, sound)
	return q
}

// drainQueue takes everything and returns the packets.
func drainQueue(t *testing.T, q *queue, now time.Time) [][]byte {
	t.Helper()
	var all []byte
	for {
		b, _ := q.take(nil, maxWrite, now)
		if len(b) == 0 {
			break
		}
		if len(b) > maxWrite {
			t.Errorf("%d bytes at once", len(b))
		}
		all = append(all, b...)
	}
	packets, err := unframe(bytes.NewReader(all), largeBuffer)
	if !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	return packets
}

func TestQueueOrder(t *testing.T) {
	q := newTestQueue(time.Second, false)
	q.put(rtpPacket(1, 7, 10), at(0))
	q.put(rtcpPacket(7), at(1))
	q.put(rtpPacket(2, 7, 10), at(2))
	q.put([]byte{22, 254, 253}, at(3))
	got := drainQueue(t, q, at(4))
	want := [][]byte{rtcpPacket(7), {22, 254, 253}, rtpPacket(1, 7, 10), rtpPacket(2, 7, 10)}
	if !slices.EqualFunc(got, want, bytes.Equal) {
		t.Errorf("%x", got)
	}
}

func TestQueueSheds(t *testing.T) {
	for _, test := range []struct {
		name  string
		sound bool
		want  int // first sequence number left of 30, 20 ms apart, backlog 400 ms, at 600 ms
	}{
		{"sound loses what is too old", true, 10},
		{"pictures lose half of it", false, 11},
	} {
		q := newTestQueue(400*time.Millisecond, test.sound)
		for i := range 30 {
			q.put(rtpPacket(uint16(i), 7, 10), at(20*i))
		}
		q.put(rtcpPacket(7), at(0)) // never too old
		got := drainQueue(t, q, at(600))
		if first := int(got[1][3]); first != test.want || len(got) != 1+30-test.want {
			t.Errorf("%s: %d packets from %d", test.name, len(got), first)
		}
		if shed := q.takeShed(); shed != test.want {
			t.Errorf("%s: %d shed", test.name, shed)
		}
		if q.takeShed() != 0 {
			t.Errorf("%s: told twice", test.name)
		}
	}
}

func TestQueueIsBounded(t *testing.T) {
	q := newTestQueue(time.Hour, false)
	for i := range 5 * maxMedia {
		q.put(rtpPacket(uint16(i), 7, 10), at(0))
		q.put(rtcpPacket(uint32(i)), at(0))
	}
	if n := q.waiting(); n > maxMedia+maxUrgent {
		t.Errorf("%d packets wait", n)
	}
	got := drainQueue(t, q, at(0))
	last := rtpPacket(5*maxMedia-1, 7, 10)
	if !bytes.Equal(got[len(got)-1], last) || !bytes.Equal(got[maxUrgent-1], rtcpPacket(5*maxMedia-1)) {
		t.Error("the latest is not there")
	}
	if q.takeShed() != 5*maxMedia-(len(got)-maxUrgent) {
		t.Error("not all that was shed is told")
	}
	if !q.end() || q.end() {
		t.Error("not ended once")
	}
	q.put(rtcpPacket(1), at(0))
	if b, ending := q.take(nil, maxWrite, at(0)); len(b) != 0 || !ending {
		t.Error("something was added after the end")
	}
}

func TestNextWrite(t *testing.T) {
	limit := maxWrite
	for range 10 {
		limit = nextWrite(limit, time.Second)
	}
	if limit != minWrite {
		t.Errorf("slow: %d", limit)
	}
	for range 10 {
		limit = nextWrite(limit, time.Millisecond)
	}
	if limit != maxWrite {
		t.Errorf("fast: %d", limit)
	}
}
