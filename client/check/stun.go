package check

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"time"

	"github.com/pion/stun/v3"

	"causeway/internal/media/offer"
	"causeway/internal/peer"
)

// rungBudget bounds one connectivity check.
const rungBudget = 4 * time.Second

// resend is when a check over UDP is sent again.
var resend = []time.Duration{0, 250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second}

// maxFrame bounds a frame (RFC 4571) of an answer.
const maxFrame = 2048

// credentials are those of both sides of a connection (RFC 8445 §5.3).
type credentials struct {
	local  peer.Credentials
	remote peer.Credentials
}

// request is a connectivity check (RFC 8445 §7.2). It does not nominate: no
// media is to follow.
func (c credentials) request() (*stun.Message, error) {
	m, err := stun.Build(stun.TransactionID, stun.BindingRequest,
		stun.NewUsername(c.remote.Ufrag+":"+c.local.Ufrag),
		stun.RawAttribute{Type: stun.AttrPriority, Value: binary.BigEndian.AppendUint32(nil, 1)},
		stun.RawAttribute{Type: stun.AttrICEControlling, Value: binary.BigEndian.AppendUint64(nil, 1)},
		stun.NewShortTermIntegrity(c.remote.Pwd), stun.Fingerprint)
	if err != nil {
		return nil, fmt.Errorf("make check: %w", err)
	}
	return m, nil
}

// response reads the answer to a check: the address that the router saw it
// come from. ok is false for anything else.
func (c credentials) response(packet []byte, id [stun.TransactionIDSize]byte) (seen netip.AddrPort, ok bool) {
	if !stun.IsMessage(packet) {
		return seen, false
	}
	m := &stun.Message{Raw: bytes.Clone(packet)}
	if m.Decode() != nil || m.TransactionID != id || m.Type != stun.BindingSuccess ||
		stun.NewShortTermIntegrity(c.remote.Pwd).Check(m) != nil {
		return seen, false
	}
	var mapped stun.XORMappedAddress
	if mapped.GetFrom(m) != nil {
		return seen, false
	}
	a, ok := netip.AddrFromSlice(mapped.IP)
	return netip.AddrPortFrom(a.Unmap(), uint16(mapped.Port)), ok
}

// credentialsOf takes the router's from its answer.
func credentialsOf(local peer.Credentials, d offer.Description) credentials {
	return credentials{local: local, remote: peer.Credentials{Ufrag: d.Ufrag, Pwd: d.Pwd}}
}

// overUDP checks an address from a socket, and tells the address that the
// router saw and the round trip.
func (c credentials) overUDP(ctx context.Context, socket net.PacketConn, to netip.AddrPort) (seen netip.AddrPort, rtt time.Duration, err error) {
	m, err := c.request()
	if err != nil {
		return seen, 0, err
	}
	start := time.Now()
	deadline := start.Add(rungBudget)
	if d, ok := ctx.Deadline(); ok && d.Before(deadline) {
		deadline = d
	}
	stop := context.AfterFunc(ctx, func() { _ = socket.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	packet := make([]byte, maxFrame)
	for i := range resend {
		if _, err := socket.WriteTo(m.Raw, net.UDPAddrFromAddrPort(to)); err != nil {
			return seen, 0, err
		}
		until := deadline
		if i+1 < len(resend) {
			until = start.Add(resend[i+1])
		}
		if ctx.Err() == nil {
			_ = socket.SetReadDeadline(until)
		}
		for {
			n, _, err := socket.ReadFrom(packet)
			if err != nil {
				break
			}
			if seen, ok := c.response(packet[:n], m.TransactionID); ok {
				return seen, time.Since(start), nil
			}
		}
		if ctx.Err() != nil {
			return seen, 0, ctx.Err()
		}
	}
	return seen, 0, context.DeadlineExceeded
}

// errNoAnswer is a stream that opens, and on which nothing answers.
var errNoAnswer = errors.New("the connection opens, but no media server answers on it")

// overStream checks on a stream with the framing of RFC 4571.
func (c credentials) overStream(ctx context.Context, conn net.Conn) (time.Duration, error) {
	m, err := c.request()
	if err != nil {
		return 0, err
	}
	start := time.Now()
	_ = conn.SetDeadline(start.Add(rungBudget))
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(m.Raw))), m.Raw...)); err != nil {
		return 0, fmt.Errorf("%w: %w", errNoAnswer, err)
	}
	for {
		var length [2]byte
		if _, err := io.ReadFull(conn, length[:]); err != nil {
			return 0, fmt.Errorf("%w: %w", errNoAnswer, err)
		}
		n := int(binary.BigEndian.Uint16(length[:]))
		if n > maxFrame {
			return 0, errNoAnswer
		}
		packet := make([]byte, n)
		if _, err := io.ReadFull(conn, packet); err != nil {
			return 0, fmt.Errorf("%w: %w", errNoAnswer, err)
		}
		if _, ok := c.response(packet, m.TransactionID); ok {
			return time.Since(start), nil
		}
	}
}
