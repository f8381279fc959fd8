package forward

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"causeway/internal/media/header"
	"causeway/internal/media/offer"
	"causeway/internal/media/red"
	"causeway/protocol"

	"github.com/pion/rtcp"
)

// Codecs of receivers: with redundant sound, under payload types other than the
// publisher's, and without.
var (
	redCodec   = offer.Codec{PayloadType: 111, Name: offer.Opus, ClockRate: 48000, Channels: 2, RED: 63}
	theirCodec = offer.Codec{PayloadType: 109, Name: offer.Opus, ClockRate: 48000, Channels: 2, RED: 120}
	plainCodec = offer.Codec{PayloadType: 101, Name: offer.Opus, ClockRate: 48000, Channels: 2}

	ears = []offer.Codec{theirCodec, plainCodec}
)

// spoken is a packet of 20 ms whose sound can be told (RFC 6716 section 3.1).
func spoken(what string) string { return "\x78" + what }

// speech publishes sound with redundancy.
type speech struct {
	*publisher
	before string // what the packet before carried
}

// next builds a packet, with what the one before carried if redundant.
func (s *speech) next(what string, redundant bool) []byte {
	what = spoken(what)
	s.sound(20)
	pt, payload := uint8(111), what
	if redundant {
		pt, payload = 63, "\x6f"+what
		if s.before != "" {
			n := 960<<10 | len(s.before)
			payload = string([]byte{0x80 | 111, byte(n >> 16), byte(n >> 8), byte(n)}) + "\x6f" + s.before + what
		}
	}
	s.before = what
	return rtpPacket(pt, false, s.seq[0], s.ts[0], ssrcOf(0), []ext{{levelID, "\x94"}, {twccID, "\x00\x01"}}, []byte(payload))
}

// say sends a packet, 20 ms after the one before.
func (s *speech) say(what string, redundant bool) {
	s.put(s.next(what, redundant))
	s.now = s.now.Add(20 * time.Millisecond)
}

// open speaks until the pause at the beginning is forgotten.
func (s *speech) open() {
	for range pauseMemory / (20 * time.Millisecond) {
		s.say("open", true)
	}
}

// heardBy makes a receiver for each codec, and speaks until the pause at the
// beginning is forgotten.
func (s *speech) heardBy(shard int, codecs ...offer.Codec) (takers []*taker) {
	for _, c := range codecs {
		t := s.taker(protocol.Mic, 1, shard, c)
		t.assign(0, s.source, 0)
		takers = append(takers, t)
	}
	s.open()
	for _, t := range takers {
		t.wire.take()
	}
	return takers
}

// heard is a packet as a receiver understands it.
type heard struct {
	seq     uint16
	ts      uint32
	pt      uint8
	newest  string
	older   string // "" for none
	olderTS uint32
}

// hear takes what a slot has sent apart, which must be what its receiver has
// codecs for.
func hear(t *testing.T, codec offer.Codec, packets [][]byte) (list []heard) {
	t.Helper()
	for i, h := range headers(t, packets) {
		payload := h.Payload(packets[i])
		got := heard{seq: h.Sequence, ts: h.Timestamp, pt: h.PayloadType, newest: string(payload)}
		switch {
		case h.PayloadType == codec.PayloadType:
		case h.PayloadType == codec.RED && codec.RED != 0:
			p, ok := red.Parse(payload)
			if !ok || p.Type != codec.PayloadType {
				t.Fatalf("packet %d: %x", i, payload)
			}
			got.newest = string(payload[p.NewestAt:])
			if offset, older, ok := p.Older.Next(); ok {
				got.older, got.olderTS = string(older), h.Timestamp-offset
			}
		default:
			t.Fatalf("packet %d has payload type %d", i, h.PayloadType)
		}
		if level := h.Extension(packets[i], 3); len(level) != 1 || level[0] != 0x94 {
			t.Errorf("packet %d has level %x", i, level)
		}
		list = append(list, got)
	}
	return list
}

// goesOn holds that packets follow each other 20 ms apart, and that what is in
// them twice is the same.
func goesOn(t *testing.T, list []heard) {
	t.Helper()
	for i := 1; i < len(list); i++ {
		a, b := list[i-1], list[i]
		if b.seq != a.seq+1 || b.ts != a.ts+960 {
			t.Errorf("%q is %d at %d, behind %d at %d", b.newest, b.seq, b.ts, a.seq, a.ts)
		}
		if b.older != "" && (b.older != a.newest || b.olderTS != a.ts) {
			t.Errorf("%q at %d has %q at %d before it, which is %q", b.newest, b.ts, b.older, b.olderTS, a.newest)
		}
	}
}

// askedAgain holds that what is asked for again is the same to the byte.
func (t *taker) askedAgain(test *testing.T, sent [][]byte) {
	test.Helper()
	for i, h := range headers(test, sent) {
		t.feedback(nackFor(h.Sequence))
		again := t.wire.take()
		if len(again) != 1 || string(again[0]) != string(sent[i]) {
			test.Errorf("packet %d was %x and is %x", i, sent[i], again)
		}
	}
}

func TestRedundantSound(t *testing.T) {
	for _, shards := range []int{1, 2} {
		t.Run(fmt.Sprint(shards, " shards"), func(t *testing.T) {
			r := newRig(t, shards)
			mic := &speech{publisher: r.publisher("ada", protocol.Mic, redCodec, 0, r.router.NewLoudest(func() {}))}
			takers := mic.heardBy(shards-1, ears...)
			// It may change with any packet.
			for i := range 10 {
				mic.say(fmt.Sprint("word ", i), i%5 > 1)
			}
			for i, bob := range takers {
				sent := bob.wire.take()
				got := hear(t, ears[i], sent)
				if len(got) != 10 {
					t.Fatalf("taker %d got %d", i, len(got))
				}
				goesOn(t, got)
				for n, h := range got {
					if h.newest != spoken(fmt.Sprint("word ", n)) {
						t.Errorf("taker %d: word %d is %q", i, n, h.newest)
					}
					if (h.pt == theirCodec.RED) != (n%5 > 1 && i == 0) || (h.older != "") != (h.pt == theirCodec.RED) {
						t.Errorf("taker %d: word %d: %+v", i, n, h)
					}
				}
				bob.askedAgain(t, sent)
			}
		})
	}
}

// TestLostSoundIsRecovered: what the publisher's network lost goes on from the
// packet behind it, unasked, to whoever takes redundancy or does not.
func TestLostSoundIsRecovered(t *testing.T) {
	for _, shards := range []int{1, 2} {
		t.Run(fmt.Sprint(shards, " shards"), func(t *testing.T) {
			r := newRig(t, shards)
			mic := &speech{publisher: r.publisher("ada", protocol.Mic, redCodec, 0, nil)}
			takers := mic.heardBy(shards-1, ears...)
			mic.say("zero", true)
			lost := mic.next("one", true)
			mic.say("two", true)
			mic.put(lost) // late, and not wanted any more
			mic.say("three", true)
			r.pass(200 * time.Millisecond)
			if n := len(sentRTCP[*rtcp.TransportLayerNack](mic.wire)); n != 0 {
				t.Errorf("asked for what was there, %d times", n)
			}
			if n := r.router.Traffic().Recovered; n != 1 {
				t.Errorf("%d recovered", n)
			}
			for i, bob := range takers {
				sent := bob.wire.take()
				got := hear(t, ears[i], sent)
				if len(got) != 4 {
					t.Fatalf("taker %d got %d", i, len(got))
				}
				goesOn(t, got)
				for n, what := range []string{"zero", "one", "two", "three"} {
					if got[n].newest != spoken(what) {
						t.Errorf("taker %d: %q, want %q", i, got[n].newest, what)
					}
				}
				bob.askedAgain(t, sent)
			}
		})
	}
}

// TestRecoversOnlyWhatIsCertain: a block tells when its sound was, not which
// packet it was in.
func TestRecoversOnlyWhatIsCertain(t *testing.T) {
	setup := func(t *testing.T) (*speech, *taker) {
		r := newRig(t, 1)
		mic := &speech{publisher: r.publisher("ada", protocol.Mic, redCodec, 0, nil)}
		return mic, mic.heardBy(0, plainCodec)[0]
	}
	t.Run("the last of three", func(t *testing.T) {
		mic, bob := setup(t)
		mic.next("one", true)
		mic.next("two", true)
		mic.next("three", true)
		mic.say("four", true)
		got := hear(t, plainCodec, bob.wire.take())
		if len(got) != 2 || got[0].newest != spoken("three") || got[0].seq != got[1].seq-1 || got[0].ts != got[1].ts-960 {
			t.Errorf("%+v", got)
		}
		mic.pass(100 * time.Millisecond)
		var asked []uint16
		for _, n := range sentRTCP[*rtcp.TransportLayerNack](mic.wire) {
			for _, p := range n.Nacks {
				asked = append(asked, p.PacketList()...)
			}
		}
		if last := mic.seq[0]; len(asked) < 2 || asked[0] != last-3 || asked[1] != last-2 {
			t.Errorf("asked for %v, the newest is %d", asked, last)
		}
		mic.pass(2 * time.Second)
		reports := sentRTCP[*rtcp.ReceiverReport](mic.wire)
		if n := reports[len(reports)-1].Reports[0].TotalLost; n != 3 {
			t.Errorf("the publisher is told of %d losses, by which it knows that redundancy is worth its while", n)
		}
	})
	t.Run("silence between", func(t *testing.T) {
		mic, bob := setup(t)
		mic.next("lost", true)
		p := mic.next("after a pause", true)
		h, _ := header.Parse(p)
		p[h.PayloadAt+1]++ // the block is of 64 samples earlier
		mic.put(p)
		if got := hear(t, plainCodec, bob.wire.take()); len(got) != 1 || got[0].newest != spoken("after a pause") {
			t.Errorf("%+v", got)
		}
	})
	t.Run("padding leaves no gap", func(t *testing.T) {
		mic, bob := setup(t)
		mic.say("one", true)
		for range 100 {
			mic.seq[0]++
			padding := rtpPacket(63, false, mic.seq[0], mic.ts[0], ssrcOf(0), nil, make([]byte, 200))
			padding[0], padding[len(padding)-1] = padding[0]|0x20, 200
			mic.put(padding)
		}
		mic.say("two", true)
		got := hear(t, plainCodec, bob.wire.take())
		if len(got) != 2 {
			t.Fatalf("%+v", got)
		}
		goesOn(t, got)
	})
	t.Run("what is no sound", func(t *testing.T) {
		mic, bob := setup(t)
		for _, payload := range []string{"\x6f", "\x6e" + spoken("x"), "\xef\x0f\x00\x20\x6f" + spoken("too short")} {
			mic.sound(0)
			mic.put(rtpPacket(63, false, mic.seq[0], mic.ts[0], ssrcOf(0), nil, []byte(payload)))
		}
		if n := len(bob.wire.take()); n != 0 {
			t.Errorf("%d sent of nothing", n)
		}
	})
}

// TestRedundancyOfAMutedTimeStays: with the first packets after a pause comes
// once more what was said in it.
func TestRedundancyOfAMutedTimeStays(t *testing.T) {
	r := newRig(t, 1)
	mic := &speech{publisher: r.publisher("ada", protocol.Mic, redCodec, 0, nil)}
	bob := r.taker(protocol.Mic, 1, 0, theirCodec)
	bob.assign(0, mic.source, 0)
	mic.open()
	mic.source.SetMuted(true)
	mic.say("secret", true)
	mic.next("secret lost", true)
	mic.source.SetMuted(false)
	mic.say("open again", true)
	mic.next("lost", true)
	mic.say("open again", true)
	sent := bob.wire.take()
	bob.askForAll(headers(t, sent)[0].Sequence)
	sent = append(sent, bob.wire.take()...)
	for _, p := range sent {
		if strings.Contains(string(p), "secret") {
			t.Fatalf("heard %q", p)
		}
	}
	if n := r.router.Traffic().Recovered; n != 1 {
		t.Errorf("%d recovered, want what was lost after the pause", n)
	}
	mic.open()
	bob.wire.take()
	mic.say("long open", true)
	if got := hear(t, theirCodec, bob.wire.take()); len(got) != 1 || got[0].older == "" {
		t.Errorf("no redundancy any more: %+v", got)
	}
}

// TestRedundantSoundBetweenRouters: routers pass redundancy on to each other,
// and repair it; the last makes of it what its people take.
func TestRedundantSoundBetweenRouters(t *testing.T) {
	w := newTwin(t, 1, protocol.Audio)
	mic := &speech{publisher: w.side[0].publisher("ada", protocol.Mic, redCodec, 0, w.loud[0])}
	w.own[0] = append(w.own[0], mic.source)
	w.know()
	var takers []*taker
	for _, c := range ears {
		takers = append(takers, w.side[1].taker(protocol.Mic, 1, 0, c))
		takers[len(takers)-1].assign(0, w.farOf(1, mic.source), 0)
	}
	n := 0
	talk := func(d time.Duration, lost ...int) {
		for end := w.now().Add(d); w.now().Before(end); n++ {
			p := mic.next(fmt.Sprint("word ", n), true)
			if len(lost) == 0 || n%lost[0] != 0 {
				mic.put(p)
			}
			w.plan()
			w.pass(20 * time.Millisecond)
		}
	}
	talk(2*pauseMemory + time.Second)
	for _, bob := range takers {
		bob.wire.take()
	}
	dropped := 0
	w.cables[0][protocol.Audio].lose = func(h header.Header) bool {
		if h.PayloadType == trunkRED && h.Sequence%20 == 0 {
			dropped++
			return true
		}
		return false
	}
	talk(2*time.Second, 7)
	w.cables[0][protocol.Audio].lose = nil
	talk(time.Second)
	if dropped == 0 || w.side[0].router.Traffic().Recovered == 0 {
		t.Fatalf("%d lost between routers, %d recovered", dropped, w.side[0].router.Traffic().Recovered)
	}
	for i, bob := range takers {
		words, redundant := map[string]bool{}, 0
		sent := bob.wire.take()
		for _, h := range hear(t, ears[i], sent) {
			words[h.newest] = true
			if h.older != "" {
				redundant++
			}
		}
		if len(words) < 148 || len(words) != len(sent) {
			t.Errorf("taker %d heard %d words in %d packets", i, len(words), len(sent))
		}
		if want := ears[i].RED != 0; (redundant > 100) != want || (redundant > 0) != want {
			t.Errorf("taker %d got %d packets with redundancy", i, redundant)
		}
		bob.askedAgain(t, sent[len(sent)-20:])
	}
}

// TestRedundantSoundTakesMore: what a receiver's network takes is shared out by
// what is sent.
func TestRedundantSoundTakesMore(t *testing.T) {
	r := newRig(t, 1)
	mic := &speech{publisher: r.publisher("ada", protocol.Mic, redCodec, 0, nil)}
	for codec, want := range map[*offer.Codec][2]int{&theirCodec: {soundRate, twiceRate}, &plainCodec: {soundRate, soundRate}} {
		b := r.router.NewBudget()
		l := r.router.NewLink(LinkConfig{Kind: protocol.Audio, Notify: func() {}, Budget: b, Slots: []SlotConfig{
			{ID: "a1", Kind: protocol.Mic, SSRC: slotSSRC, Codecs: []offer.Codec{*codec}, TransportCC: ccID},
		}})
		r.shards[0].Run(func() { l.Ready(0, &fakeWire{counting: true}, r.now) })
		(&taker{rig: r, link: l}).assign(0, mic.source, 0)
		for i, redundant := range []bool{false, true, false} {
			for range pauseMemory / (20 * time.Millisecond) {
				mic.say("word", redundant)
			}
			b.list(r.now)
			if got := b.streams[0].Rungs[0].Rate; got != want[i%2] {
				t.Errorf("with redundancy %v, to payload types %d and %d: %d bit/s", redundant, codec.PayloadType, codec.RED, got)
			}
		}
	}
}

func TestRedundantSoundAllocatesNothing(t *testing.T) {
	r := newRig(t, 1)
	mic := &speech{publisher: r.publisher("ada", protocol.Mic, redCodec, 0, nil)}
	mic.wire.counting = true
	for _, c := range []offer.Codec{theirCodec, plainCodec} {
		bob := r.taker(protocol.Mic, 1, 0, c)
		bob.wire.counting = true
		bob.assign(0, mic.source, 0)
	}
	mic.open()
	packet := mic.next("word", true)
	work := make([]byte, 0, maxPacket)
	put := func() { mic.link.RTP(work, r.now) }
	speak := func() {
		work = append(work[:0], packet...)
		mic.seq[0] += 2 // every other one is lost
		header.SetSequence(work, mic.seq[0])
		r.now = r.now.Add(40 * time.Millisecond)
		r.shards[0].Run(put)
	}
	for range 500 {
		speak()
	}
	before := r.router.Traffic()
	if n := testing.AllocsPerRun(500, speak); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if now := r.router.Traffic(); now.Recovered-before.Recovered != 501 || now.PacketsOut-before.PacketsOut != 2*2*501 {
		t.Errorf("%d recovered, %d sent", now.Recovered-before.Recovered, now.PacketsOut-before.PacketsOut)
	}
}
