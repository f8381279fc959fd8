package peer

import (
	"errors"
	"fmt"

	"causeway/internal/media/seal"

	"github.com/pion/dtls/v3"
	"github.com/pion/srtp/v3"
)

// keys protect the packets of a connection, one per direction.
type keys struct {
	in  opener
	out sealer
}

// A sealer protects the packets that leave, and appends them to dst.
type sealer interface {
	RTP(dst, packet []byte) ([]byte, error)
	RTCP(dst, packet []byte) ([]byte, error)
}

// An opener opens the packets that come, in place, if they are authentic, were
// not seen before, and are not of one source too many. fresh tells that one is
// the first of its source.
type opener interface {
	RTP(packet []byte) (plain []byte, fresh bool, err error)
	RTCP(packet []byte) (plain []byte, fresh bool, err error)
}

var errNoProfile = errors.New("peer: no SRTP profile in common")

// exportKeys derives the SRTP keys from a finished handshake (RFC 5764
// section 4.2).
func exportKeys(d *dtls.Conn, isClient bool, maxSources int) (keys, error) {
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
	return newKeys(config.Profile, config.Keys, maxSources)
}

func newKeys(profile srtp.ProtectionProfile, k srtp.SessionKeys, maxSources int) (keys, error) {
	if profile != srtp.ProtectionProfileAeadAes128Gcm {
		return newOldKeys(profile, k, maxSources)
	}
	in, err := seal.NewReceiver(k.RemoteMasterKey, k.RemoteMasterSalt, maxSources)
	if err != nil {
		return keys{}, fmt.Errorf("peer: set receiving keys: %w", err)
	}
	out, err := seal.NewSender(k.LocalMasterKey, k.LocalMasterSalt)
	if err != nil {
		return keys{}, fmt.Errorf("peer: set sending keys: %w", err)
	}
	return keys{in, out}, nil
}
