package peer

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"github.com/pion/srtp/v3"
)

const (
	gcm = srtp.ProtectionProfileAeadAes128Gcm
	cm  = srtp.ProtectionProfileAes128CmHmacSha1_80
)

// testKeys are the same for both directions, so that a connection can
// decrypt what another encrypted.
func testKeys(tb testing.TB, profile srtp.ProtectionProfile) keys {
	tb.Helper()
	keyLen, _ := profile.KeyLen()
	saltLen, _ := profile.SaltLen()
	key, salt := bytes.Repeat([]byte{1}, keyLen), bytes.Repeat([]byte{2}, saltLen)
	k, err := newKeys(profile, srtp.SessionKeys{
		LocalMasterKey: key, LocalMasterSalt: salt, RemoteMasterKey: key, RemoteMasterSalt: salt,
	}, maxSources)
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

func gcmContexts(tb testing.TB) keys { return testKeys(tb, gcm) }

// establishedWith returns an accepted connection to a remote address, ready
// without checks or handshake.
func establishedWith(tb testing.TB, p *Port, to netip.AddrPort, h Handler, profile srtp.ProtectionProfile) *Conn {
	tb.Helper()
	c, err := p.Accept(AcceptConfig{
		Remote: NewCredentials(), RemoteFingerprint: certificate().Fingerprint(), Handler: h,
	})
	if err != nil {
		tb.Fatal(err)
	}
	s := p.Shards()[0]
	s.Run(func() {
		p.claim(c, s)
		c.learn(to)
		c.move(path{remote: to}, time.Now())
		c.ready(testKeys(tb, profile), time.Now())
	})
	return c
}

// sealedPackets are n encrypted packets of one source.
func sealedPackets(tb testing.TB, profile srtp.ProtectionProfile, n int) [][]byte {
	tb.Helper()
	k := testKeys(tb, profile)
	sealed := make([][]byte, n)
	for i := range sealed {
		var err error
		if sealed[i], err = k.out.RTP(nil, rtpPacket(uint16(i), 7, 1180)); err != nil {
			tb.Fatal(err)
		}
	}
	return sealed
}

// checkFor is a nominating check as the connection's remote would send it.
func checkFor(c *Conn) []byte {
	var w bindingWriter
	buf := make([]byte, slotSize)
	n := w.check(buf, transaction{1, 2, 3}, []byte(checkName(c)), c.localPwd, 1, true)
	return buf[:n]
}
