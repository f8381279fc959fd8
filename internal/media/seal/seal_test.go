package seal

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/pion/srtp/v3"
)

// The vectors of RFC 7714 sections 16.1.1 and 17.1.
const (
	vectorKey  = "00010203 04050607 08090a0b 0c0d0e0f"
	vectorSalt = "51756964 2070726f 2071756f"

	plainRTP  = "8040f17b 8041f8d3 5501a0b2 47616c6c 69612065 7374206f 6d6e6973 20646976 69736120 696e2070 61727465 73207472 6573"
	sealedRTP = "8040f17b 8041f8d3 5501a0b2 f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf 765ee439 0cce"

	plainRTCP  = "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef deadbeef deadbeef deadbeef"
	sealedRTCP = "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda 4ce09b46 86303ded 0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4"
	beforeRTCP = 0x5d3 // index
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestVectors(t *testing.T) {
	k, err := newKey(unhex(t, vectorKey), unhex(t, vectorSalt))
	if err != nil {
		t.Fatal(err)
	}
	s := &Sender{rtp: k, rtcp: k}
	s.of(0x4d617273).reports = beforeRTCP
	r := &Receiver{rtp: incoming{key: k, most: 1, window: rtpWindow}, rtcp: incoming{key: k, most: 1, window: rtcpWindow}}
	for _, test := range []struct {
		name          string
		plain, sealed string
		seal          func(dst, packet []byte) ([]byte, error)
		open          func(packet []byte) ([]byte, bool, error)
	}{
		{"RTP", plainRTP, sealedRTP, s.RTP, r.RTP},
		{"RTCP", plainRTCP, sealedRTCP, s.RTCP, r.RTCP},
	} {
		plain, sealed := unhex(t, test.plain), unhex(t, test.sealed)
		if got, err := test.seal(nil, plain); err != nil || !bytes.Equal(got, sealed) {
			t.Errorf("%s sealed: %x, %v", test.name, got, err)
		}
		if got, fresh, err := test.open(sealed); err != nil || !fresh || !bytes.Equal(got, plain) {
			t.Errorf("%s opened: %x, %v", test.name, got, err)
		}
	}
}

var masterKey, masterSalt = []byte("0123456789abcdef"), []byte("abcdefghijkl")

func newSender(t *testing.T) *Sender {
	t.Helper()
	s, err := NewSender(masterKey, masterSalt)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newReceiver(t *testing.T, sources int) *Receiver {
	t.Helper()
	r, err := NewReceiver(masterKey, masterSalt, sources)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func newPion(t *testing.T) *srtp.Context {
	t.Helper()
	c, err := srtp.CreateContext(masterKey, masterSalt, srtp.ProtectionProfileAeadAes128Gcm,
		srtp.SRTPReplayProtection(rtpWindow), srtp.SRTCPReplayProtection(rtcpWindow))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// packet is an RTP packet, with an extension of so many words if there are any.
func packet(ssrc uint32, seq uint16, words, payload int) []byte {
	p := []byte{0x80, 96, byte(seq >> 8), byte(seq), 1, 2, 3, 4, byte(ssrc >> 24), byte(ssrc >> 16), byte(ssrc >> 8), byte(ssrc)}
	if words > 0 {
		p[0] |= 0x10
		p = append(p, 0xbe, 0xde, 0, byte(words))
		p = append(p, make([]byte, 4*words)...)
	}
	return append(p, bytes.Repeat([]byte{byte(seq)}, payload)...)
}

func report(ssrc uint32, words int) []byte {
	p := []byte{0x80, 201, 0, byte(1 + words), byte(ssrc >> 24), byte(ssrc >> 16), byte(ssrc >> 8), byte(ssrc)}
	return append(p, make([]byte, 4*words)...)
}

// Whatever order sequence numbers go in, pion's implementation makes the same of
// the packets, takes what this one makes, and drops the same ones: those that
// were there before, and those that are too old.
func TestAsPion(t *testing.T) {
	chance := rand.New(rand.NewPCG(1, 2))
	theirs, ours := newPion(t), newSender(t)
	theirIn, ourIn := newPion(t), newReceiver(t, 10)
	ssrcs := []uint32{1, 7, 1 << 31, 1<<32 - 1}
	seqs := make([]uint16, len(ssrcs))
	for i := range seqs {
		seqs[i] = uint16(chance.IntN(1 << 15))
	}
	var seen outcomes
	for range 60_000 {
		i := chance.IntN(len(ssrcs))
		switch n := chance.IntN(100); {
		case n == 0:
			seqs[i] += uint16(chance.IntN(3000))
		default:
			seqs[i]++
		}
		seq := seqs[i]
		if chance.IntN(10) == 0 {
			seq -= uint16(chance.IntN(1100))
		}
		plain := packet(ssrcs[i], seq, chance.IntN(3), chance.IntN(40))
		sealed, err := ours.RTP([]byte{}, plain)
		want, wantErr := theirs.EncryptRTP(nil, plain, nil)
		if err != nil || wantErr != nil || !bytes.Equal(sealed, want) {
			t.Fatalf("sealed %x: %x (%v), not %x (%v)", plain, sealed, err, want, wantErr)
		}
		theirPlain, theirErr := theirIn.DecryptRTP(nil, slices.Clone(sealed), nil)
		ourPlain, _, ourErr := ourIn.RTP(sealed)
		if ourErr == nil && !bytes.Equal(ourPlain, plain) {
			t.Fatalf("opened %x, not %x", ourPlain, plain)
		}
		seen.note(t, ourPlain, ourErr, theirPlain, theirErr)
	}
	seen.enough(t, 40_000, 1000)
}

// outcomes counts what was opened and what was dropped, by both alike.
type outcomes struct{ opened, dropped int }

func (o *outcomes) note(t *testing.T, ours []byte, ourErr error, theirs []byte, theirErr error) {
	t.Helper()
	switch {
	case (ourErr == nil) != (theirErr == nil):
		t.Fatalf("%v, not %v", ourErr, theirErr)
	case ourErr != nil:
		o.dropped++
	case !bytes.Equal(ours, theirs):
		t.Fatalf("opened %x, not %x", ours, theirs)
	default:
		o.opened++
	}
}

func (o *outcomes) enough(t *testing.T, opened, dropped int) {
	t.Helper()
	if o.opened < opened || o.dropped < dropped {
		t.Errorf("%d opened, %d dropped: not much of a test", o.opened, o.dropped)
	}
}

func TestReportsAsPion(t *testing.T) {
	chance := rand.New(rand.NewPCG(3, 4))
	theirs, ours := newPion(t), newSender(t)
	theirIn, ourIn := newPion(t), newReceiver(t, 10)
	var earlier [][]byte
	var seen outcomes
	for range 10_000 {
		plain := report(uint32(chance.IntN(3)), chance.IntN(5))
		sealed, err := ours.RTCP(nil, plain)
		want, wantErr := theirs.EncryptRTCP(nil, plain, nil)
		if err != nil || wantErr != nil || !bytes.Equal(sealed, want) {
			t.Fatalf("sealed %x: %x (%v), not %x (%v)", plain, sealed, err, want, wantErr)
		}
		earlier = append(earlier, sealed)
		sealed = slices.Clone(earlier[max(0, len(earlier)-1-chance.IntN(4)*chance.IntN(200))])
		theirPlain, theirErr := theirIn.DecryptRTCP(nil, slices.Clone(sealed), nil)
		ourPlain, _, ourErr := ourIn.RTCP(sealed)
		seen.note(t, ourPlain, ourErr, theirPlain, theirErr)
	}
	seen.enough(t, 3000, 1000)
}

// What is not authentic leaves nothing behind.
func TestForged(t *testing.T) {
	s, r := newSender(t), newReceiver(t, 1)
	sealed, _ := s.RTP(nil, packet(7, 1, 1, 20))
	words, _ := s.RTCP(nil, report(7, 3))
	for name, genuine := range map[string][]byte{"RTP": sealed, "RTCP": words} {
		open := r.RTP
		if name == "RTCP" {
			open = r.RTCP
		}
		for i := range 8 * len(genuine) {
			forged := slices.Clone(genuine)
			forged[i/8] ^= 1 << (i % 8)
			if _, _, err := open(forged); err == nil {
				t.Errorf("%s with bit %d of byte %d changed", name, i%8, i/8)
			}
		}
		for n := range genuine {
			if _, _, err := open(slices.Clone(genuine[:n])); err == nil {
				t.Errorf("%s, %d bytes of it", name, n)
			}
		}
		if _, fresh, err := open(slices.Clone(genuine)); err != nil || !fresh {
			t.Errorf("%s afterwards: %v", name, err)
		}
		if _, _, err := open(genuine); !errors.Is(err, ErrReplay) {
			t.Errorf("%s again: %v", name, err)
		}
	}
	other, _ := s.RTP(nil, packet(8, 1, 0, 20))
	if _, _, err := r.RTP(other); !errors.Is(err, ErrSources) {
		t.Errorf("a second source: %v", err)
	}
}

// A key is used for as many packets as the standard allows, and no more.
func TestSpent(t *testing.T) {
	s := newSender(t)
	st := s.of(7)
	st.highest, st.reports = maxIndex-1, maxRTCPIndex-1
	for _, want := range []error{nil, ErrSpent} {
		seq := uint16(maxIndex & 0xffff)
		if want != nil {
			seq++
		}
		if _, err := s.RTP(nil, packet(7, seq, 0, 1)); !errors.Is(err, want) {
			t.Errorf("RTP: %v, not %v", err, want)
		}
		if _, err := s.RTCP(nil, report(7, 0)); !errors.Is(err, want) {
			t.Errorf("RTCP: %v, not %v", err, want)
		}
	}
}

func TestShort(t *testing.T) {
	s := newSender(t)
	long := packet(1, 1, 1, 0)
	long[15] = 2
	for _, p := range [][]byte{nil, long[:11], long[:14], long} {
		if _, err := s.RTP(nil, p); !errors.Is(err, ErrShort) {
			t.Errorf("%x: %v", p, err)
		}
	}
	if _, err := s.RTCP(nil, make([]byte, 7)); !errors.Is(err, ErrShort) {
		t.Error(err)
	}
	if _, err := NewSender(masterKey[1:], masterSalt); err == nil {
		t.Error("a short key")
	}
	if _, err := NewReceiver(masterKey, masterSalt[1:], 1); err == nil {
		t.Error("a short salt")
	}
}

func TestAllocations(t *testing.T) {
	s, r := newSender(t), newReceiver(t, 4)
	buf := make([]byte, 0, 1500)
	plain, words := packet(7, 0, 2, 1000), report(7, 10)
	seq := uint16(0)
	if n := testing.AllocsPerRun(1000, func() {
		seq++
		plain[2], plain[3] = byte(seq>>8), byte(seq)
		sealed, _ := s.RTP(buf, plain)
		if _, _, err := r.RTP(sealed); err != nil {
			t.Error(err)
		}
		sealed, _ = s.RTCP(buf, words)
		if _, _, err := r.RTCP(sealed); err != nil {
			t.Error(err)
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
