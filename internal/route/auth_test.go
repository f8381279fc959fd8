package route

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/Azure/go-ntlmssp"
)

// challengeOf builds a challenge of NTLM (MS-NLMP 2.2.1.2). An offset of 0
// puts a field behind those before it.
func challengeOf(flags uint32, length int, name string, nameAt uint32, info []byte, infoAt uint32) []byte {
	m := make([]byte, max(length, 40))
	copy(m, "NTLMSSP\x00")
	binary.LittleEndian.PutUint32(m[8:], 2)
	put := func(at int, value []byte, offset uint32) {
		if len(m) < at+8 {
			return
		}
		if offset == 0 {
			offset = uint32(len(m))
			m = append(m, value...)
		}
		binary.LittleEndian.PutUint16(m[at:], uint16(len(value)))
		binary.LittleEndian.PutUint16(m[at+2:], uint16(len(value)))
		binary.LittleEndian.PutUint32(m[at+4:], offset)
	}
	binary.LittleEndian.PutUint32(m[20:], flags)
	copy(m[24:], "12345678")
	put(12, []byte(name), nameAt)
	put(40, info, infoAt)
	return m
}

// Challenges of all kinds of servers are answered.
func TestNTLMChallenges(t *testing.T) {
	const unicode, target, extended = 0x1, 0x0080_0000, 0x0008_0000
	end := []byte{0, 0, 0, 0}
	for _, test := range []struct {
		name      string
		challenge []byte
	}{
		{"whole", challengeOf(unicode|target|extended, 56, "C\x00O\x00", 0, end, 0)},
		{"without information", challengeOf(unicode|extended, 48, "C\x00O\x00", 0, nil, 0)},
		{"short", challengeOf(unicode|extended, 40, "C\x00O\x00", 0, nil, 0)},
		{"information beyond the end", challengeOf(unicode|target|extended, 48, "C\x00O\x00", 0, end, 1<<30)},
		{"name beyond the end", challengeOf(unicode|target|extended, 48, "C\x00O\x00", 0xaaaa_aaae, end, 0)},
		{"both beyond the end", challengeOf(unicode|target|extended, 48, "C\x00O\x00", 0xaaaa_aaae, end, 0xaaaa_aaae)},
		// As squid's ntlm_fake_auth sends it: it echoes the flags, and knows no information.
		{"flags echoed", append(challengeOf(unicode|target|extended, 40, "WORKGROUP", 0xaaaa_aaae, nil, 0), "WORKGROUP"...)},
	} {
		t.Run(test.name, func(t *testing.T) {
			answer, err := ntlmssp.NewAuthenticateMessage(withTargetInfo(test.challenge), "ann", "secret", nil)
			if err != nil || !bytes.HasPrefix(answer, []byte("NTLMSSP\x00\x03")) {
				t.Errorf("%x: %v", answer, err)
			}
		})
	}
}

// No challenge, however broken, does more harm than failing.
func FuzzNTLMChallenge(f *testing.F) {
	f.Add([]byte(nil))
	f.Add(challengeOf(0x0088_0001, 56, "CO", 0, []byte{0, 0, 0, 0}, 0))
	f.Add(challengeOf(0x0088_0001, 40, "CO", 0xaaaa_aaae, nil, 0))
	f.Fuzz(func(t *testing.T, challenge []byte) {
		out := withTargetInfo(challenge)
		if len(out) > 2*len(challenge)+56 {
			t.Errorf("%d bytes of %d", len(out), len(challenge))
		}
		_, _ = ntlmssp.NewAuthenticateMessage(out, "ann", "secret", nil)
	})
}
