package peer

import (
	"errors"
	"fmt"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v3"
)

// Sizes of replay windows in packets: RFC 3711 section 3.3.2 asks for 64 at
// least. Media arrives reordered by bursts, reports do not.
const (
	rtpReplayWindow  = 1024
	rtcpReplayWindow = 128
)

// keys are the SRTP contexts of a connection, one per direction.
type keys struct {
	in, out *srtp.Context
}

var errNoProfile = errors.New("peer: no SRTP profile in common")

// exportKeys derives the SRTP keys from a finished handshake (RFC 5764
// section 4.2).
func exportKeys(d *dtls.Conn, isClient bool) (keys, error) {
	profile, ok := d.SelectedSRTPProtectionProfile()
	if !ok {
		return keys{}, errNoProfile
	}
	state, ok := d.ConnectionState()
	if !ok {
		return keys{}, errors.New("peer: DTLS state not available")
	}
	config := srtp.Config{Profile: srtp.ProtectionProfile(profile)}
	if err := config.ExtractSessionKeysFromDTLS(&state, isClient); err != nil {
		return keys{}, fmt.Errorf("peer: export SRTP keys: %w", err)
	}
	return newKeys(config.Profile, config.Keys)
}

func newKeys(profile srtp.ProtectionProfile, k srtp.SessionKeys) (keys, error) {
	in, err := srtp.CreateContext(k.RemoteMasterKey, k.RemoteMasterSalt, profile,
		srtp.SRTPReplayProtection(rtpReplayWindow), srtp.SRTCPReplayProtection(rtcpReplayWindow))
	if err != nil {
		return keys{}, fmt.Errorf("peer: set receiving keys: %w", err)
	}
	out, err := srtp.CreateContext(k.LocalMasterKey, k.LocalMasterSalt, profile)
	if err != nil {
		return keys{}, fmt.Errorf("peer: set sending keys: %w", err)
	}
	return keys{in: in, out: out}, nil
}
