package peer

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/pion/dtls/v3"
	"github.com/pion/logging"
)

const (
	// keepHandshake is how long DTLS state outlives the handshake, to repeat
	// the last flight if it was lost.
	keepHandshake = 10 * time.Second
	maxRecords    = 16 // queued datagrams; more are dropped, as by a network
)

// A handshake is a connection's DTLS state and the goroutine that drives it.
// Towards pion/dtls it is the net.PacketConn below the DTLS connection: an
// in-memory queue on the way in, the shard's outbox on the way out.
type handshake struct {
	conn   *Conn
	cancel context.CancelFunc // ends the handshake; any goroutine
	in     chan []byte
	over   chan struct{} // closed when nothing is to be read any more
	end    sync.Once
	quiet  atomic.Bool // nothing is to be sent any more
	pacer  pacer

	// The latest transmission, until anything is received; guarded by the shard.
	flight [][]byte
	bursts int // of the pacer, that it was
}

// startHandshake starts the handshake's goroutine; false if too many run, or
// the port closes. The shard is held.
func (c *Conn) startHandshake() bool {
	p := c.port
	select {
	case p.slots <- struct{}{}:
	default:
		p.counters.refused.Add(1)
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), readyWithin)
	h := &handshake{
		conn: c, cancel: cancel,
		in: make(chan []byte, maxRecords), over: make(chan struct{}),
	}
	c.handshake = h
	p.handshakes.Go(func() { h.run(ctx) })
	return true
}

// run performs the handshake and keeps its state as long as it is of use.
func (h *handshake) run(ctx context.Context) {
	c := h.conn
	defer h.cancel()
	d, err := h.perform(ctx)
	<-c.port.slots
	if err == nil {
		err = h.established(d)
	}
	if err == nil {
		err = h.linger(ctx, d)
	}
	if d != nil {
		_ = d.Close() // sends close_notify unless quiet
	}
	c.Shard().Run(func() {
		c.handshake = nil
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = nil // close_notify: an orderly end
			}
			c.shut(err, time.Now())
		}
		if c.phase == phaseClosed && c.dialled == nil {
			c.over()
		}
	})
}

// perform runs the handshake proper.
func (h *handshake) perform(ctx context.Context) (*dtls.Conn, error) {
	var d *dtls.Conn
	var err error
	if h.conn.active {
		d, err = dtls.ClientWithOptions(h, pipeAddr{}, h.clientOptions()...)
	} else {
		d, err = dtls.ServerWithOptions(h, pipeAddr{}, h.serverOptions()...)
	}
	if err != nil {
		return nil, fmt.Errorf("peer: set up DTLS: %w", err)
	}
	if err := d.HandshakeContext(ctx); err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			err = ErrTimeout
		}
		return d, fmt.Errorf("peer: DTLS handshake: %w", err)
	}
	return d, nil
}

// established sets the keys.
func (h *handshake) established(d *dtls.Conn) error {
	k, err := exportKeys(d, h.conn.active, h.conn.maxSources)
	if err != nil {
		return err
	}
	s := h.conn.Shard()
	s.Run(func() { h.conn.ready(k, time.Now()) })
	s.wake() // for AfterBatch
	return nil
}

// linger keeps the DTLS state for a while: its own goroutines repeat the last
// flight for a remote that repeats its own. The end of the while is silent,
// as the connection lives on without DTLS. io.EOF says that the remote sent
// close_notify.
func (h *handshake) linger(ctx context.Context, d *dtls.Conn) error {
	if err := d.SetReadDeadline(time.Now().Add(keepHandshake)); err != nil {
		return fmt.Errorf("peer: keep DTLS state: %w", err)
	}
	stop := context.AfterFunc(ctx, func() { _ = d.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	buf := make([]byte, maxDatagram)
	for {
		_, err := d.Read(buf) // application data has no meaning here
		switch {
		case err == nil:
		case ctx.Err() != nil && h.conn.closing.Load():
			return nil
		case isTimeout(err):
			h.quiet.Store(true)
			return nil
		case errors.Is(err, io.EOF):
			return io.EOF
		default: // nothing can be read any more; media needs no DTLS
			h.quiet.Store(true)
			return nil
		}
	}
}

func (h *handshake) commonOptions() []dtls.Option {
	return []dtls.Option{
		dtls.WithCertificates(h.conn.port.certificate.tls),
		dtls.WithCipherSuites(
			dtls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
			dtls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA),
		dtls.WithSRTPProtectionProfiles(
			dtls.SRTP_AEAD_AES_128_GCM,
			dtls.SRTP_AES128_CM_HMAC_SHA1_80),
		dtls.WithExtendedMasterSecret(dtls.RequireExtendedMasterSecret),
		dtls.WithFlightInterval(firstFlightInterval),
		dtls.WithDisableRetransmitBackoff(true), // the pacer backs off
		dtls.WithVerifyPeerCertificate(h.verify),
		dtls.WithLoggerFactory(&logging.DefaultLoggerFactory{
			Writer: io.Discard, DefaultLogLevel: logging.LogLevelDisabled,
		}),
	}
}

func (h *handshake) clientOptions() []dtls.ClientOption {
	options := []dtls.ClientOption{dtls.WithInsecureSkipVerify(true)} // see verify
	for _, o := range h.commonOptions() {
		options = append(options, o)
	}
	return options
}

func (h *handshake) serverOptions() []dtls.ServerOption {
	options := []dtls.ServerOption{
		dtls.WithClientAuth(dtls.RequireAnyClientCert), // see verify
		// The address was proved by an authenticated check already.
		dtls.WithInsecureSkipVerifyHello(true),
	}
	for _, o := range h.commonOptions() {
		options = append(options, o)
	}
	return options
}

// verify compares the remote's certificate with the fingerprint that came by
// signalling (RFC 5763 section 5); nothing else vouches for it.
func (h *handshake) verify(certificates [][]byte, _ [][]*x509.Certificate) error {
	if len(certificates) == 0 || !h.conn.fingerprint.matches(certificates[0]) {
		return ErrFingerprint
	}
	return nil
}

// put queues a datagram for the handshake.
func (h *handshake) put(p []byte) {
	h.flight = nil
	select {
	case h.in <- p:
	default:
	}
}

// ReadFrom implements net.PacketConn.
func (h *handshake) ReadFrom(b []byte) (int, net.Addr, error) {
	select {
	case p := <-h.in:
		h.pacer.heard.Store(true)
		return copy(b, p), pipeAddr{}, nil
	case <-h.over:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

// WriteTo implements net.PacketConn. It takes the shard.
func (h *handshake) WriteTo(p []byte, _ net.Addr) (int, error) {
	if !h.quiet.Load() && h.pacer.allow(time.Now()) {
		h.conn.Shard().Run(func() {
			if h.bursts != h.pacer.bursts {
				h.bursts, h.flight = h.pacer.bursts, nil
			}
			if len(h.flight) < maxRecords {
				h.flight = append(h.flight, slices.Clone(p))
			}
			h.conn.sendPlain(p)
		})
	}
	return len(p), nil
}

// repeat sends the latest flight again on a path that is new or now known to
// work, if nothing has come back: the flight may have been lost, or have
// overtaken the check that was to admit it. If not, the remote ignores the
// records, as their numbers are the same. The shard is held.
func (h *handshake) repeat(on path) {
	s := h.conn.Shard()
	for _, p := range h.flight {
		if len(p) <= slotSize {
			s.out.add(h.conn, on, copy(s.buffer(), p))
		}
	}
}

// Close implements net.PacketConn.
func (h *handshake) Close() error {
	h.end.Do(func() { close(h.over) })
	return nil
}

// SetReadDeadline implements net.PacketConn. pion/dtls sets deadlines only to
// end its reading for good.
func (h *handshake) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && !t.After(time.Now()) {
		return h.Close()
	}
	return nil
}

// SetDeadline implements net.PacketConn.
func (h *handshake) SetDeadline(t time.Time) error { return h.SetReadDeadline(t) }

// SetWriteDeadline implements net.PacketConn; writes never wait.
func (h *handshake) SetWriteDeadline(time.Time) error { return nil }

// LocalAddr implements net.PacketConn.
func (h *handshake) LocalAddr() net.Addr { return pipeAddr{} }

// pipeAddr stands for addresses that the DTLS layer need not know.
type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
