package peer

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"
	"github.com/pion/srtp/v3"
)

// The profile that everybody has (RFC 8827 section 6.5), for who has no better.

// Sizes of replay windows in packets: RFC 3711 section 3.3.2 asks for 64 at
// least. Media arrives reordered by bursts, reports do not.
const (
	rtpReplayWindow  = 1024
	rtcpReplayWindow = 128
)

var errSources = errors.New("peer: one source too many")

func newOldKeys(profile srtp.ProtectionProfile, k srtp.SessionKeys, maxSources int) (keys, error) {
	in, err := srtp.CreateContext(k.RemoteMasterKey, k.RemoteMasterSalt, profile,
		srtp.SRTPReplayProtection(rtpReplayWindow), srtp.SRTCPReplayProtection(rtcpReplayWindow))
	if err != nil {
		return keys{}, fmt.Errorf("peer: set receiving keys: %w", err)
	}
	out, err := srtp.CreateContext(k.LocalMasterKey, k.LocalMasterSalt, profile)
	if err != nil {
		return keys{}, fmt.Errorf("peer: set sending keys: %w", err)
	}
	return keys{&oldOpener{context: in, most: maxSources}, &oldSealer{context: out}}, nil
}

type oldSealer struct {
	context *srtp.Context
	rtp     rtp.Header // scratch, so that packets cost no allocation
	rtcp    rtcp.Header
}

func (o *oldSealer) RTP(dst, packet []byte) ([]byte, error) {
	return o.context.EncryptRTP(dst, packet, &o.rtp)
}

func (o *oldSealer) RTCP(dst, packet []byte) ([]byte, error) {
	return o.context.EncryptRTCP(dst, packet, &o.rtcp)
}

type oldOpener struct {
	context        *srtp.Context
	most           int // sources of either
	media, reports int // sources
	rtp            rtp.Header
	rtcp           rtcp.Header
}

func (o *oldOpener) RTP(packet []byte) (plain []byte, fresh bool, err error) {
	_, known := o.context.ROC(binary.BigEndian.Uint32(packet[8:]))
	if !known && o.media >= o.most {
		return nil, false, errSources
	}
	if plain, err = o.context.DecryptRTP(packet, packet, &o.rtp); err == nil && !known {
		o.media++
	}
	return plain, !known, err
}

func (o *oldOpener) RTCP(packet []byte) (plain []byte, fresh bool, err error) {
	_, known := o.context.Index(binary.BigEndian.Uint32(packet[4:]))
	if !known && o.reports >= o.most {
		return nil, false, errSources
	}
	if plain, err = o.context.DecryptRTCP(packet, packet, &o.rtcp); err == nil && !known {
		o.reports++
	}
	return plain, !known, err
}
