// Package seal protects the RTP and RTCP packets of one connection with
// AES-128-GCM, as SRTP does (RFC 3711, RFC 7714). It does what package srtp of
// pion does and no more, but touches less memory for each packet: a router
// sends a packet to one receiver after the other, and when a receiver's next
// one comes, what is kept of them has left the processor's cache.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"unsafe"

	"causeway/internal/prefetch"
)

const (
	// KeySize and SaltSize are the lengths of a master key and its salt.
	KeySize  = 16
	SaltSize = 12

	tagSize   = 16
	nonceSize = 12
)

// The labels of keys (RFC 3711 section 4.3.1).
const (
	labelRTP      = 0
	labelRTPSalt  = 2
	labelRTCP     = 3
	labelRTCPSalt = 5
)

var errKey = errors.New("seal: master key or salt of a wrong length")

// key is a session key and its salt, as two numbers.
type key struct {
	cipher.AEAD
	high uint64
	low  uint32
	size uint32         // of what the cipher keeps
	kept unsafe.Pointer // to that
}

// newKey makes a session key.
func newKey(session, salt []byte) (key, error) {
	block, err := aes.NewCipher(session)
	if err != nil {
		return key{}, fmt.Errorf("seal: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return key{}, fmt.Errorf("seal: %w", err)
	}
	k := key{AEAD: aead, high: binary.BigEndian.Uint64(salt), low: binary.BigEndian.Uint32(salt[8:])}
	if v := reflect.ValueOf(aead); v.Kind() == reflect.Pointer {
		k.kept, k.size = v.UnsafePointer(), uint32(v.Type().Elem().Size())
	}
	return k, nil
}

// prefetch brings the key, expanded, into the processor's cache.
func (k *key) prefetch() { prefetch.Bytes(k.kept, uintptr(k.size)) }

// nonce writes that of a packet: two bytes of zeros, the source and the index in
// 48 bits, with the salt added (RFC 7714 sections 8.1 and 9.1).
func (k *key) nonce(n *[nonceSize]byte, ssrc uint32, index uint64) {
	binary.BigEndian.PutUint64(n[:], k.high^uint64(ssrc)<<16^index>>32)
	binary.BigEndian.PutUint32(n[8:], k.low^uint32(index))
}

// derive derives the session keys for RTP and RTCP from a master key (RFC 3711
// section 4.3.3): the rate of derivation is 0, and a block is enough for each.
func derive(masterKey, masterSalt []byte) (rtp, rtcp key, err error) {
	if len(masterKey) != KeySize || len(masterSalt) != SaltSize {
		return key{}, key{}, errKey
	}
	prf, err := aes.NewCipher(masterKey)
	if err != nil {
		return key{}, key{}, fmt.Errorf("seal: %w", err)
	}
	block := func(label byte) []byte {
		x := make([]byte, aes.BlockSize)
		copy(x, masterSalt)
		x[7] ^= label
		prf.Encrypt(x, x)
		return x
	}
	if rtp, err = newKey(block(labelRTP), block(labelRTPSalt)); err != nil {
		return key{}, key{}, err
	}
	rtcp, err = newKey(block(labelRTCP), block(labelRTCPSalt))
	return rtp, rtcp, err
}
