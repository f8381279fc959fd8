package bus

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"sync"
	"time"
)

const (
	// ticketSize is the length of the line with which a stream of the bus
	// begins: a word that only the servers at its two ends know, and that the
	// CONNECT which follows has to hold. So no other program of either machine
	// can speak in a server's name.
	ticketSize    = 26
	ticketTimeout = 10 * time.Second
	// stagger is how long an address is waited for until the next is tried
	// beside it.
	stagger     = 250 * time.Millisecond
	dialTimeout = 8 * time.Second
	// copyBuffer is the memory of each direction of a stream.
	copyBuffer = 8 << 10
)

func newTicket() string { return rand.Text() } // 26 characters, 130 bits

// dial opens a stream of the bus to one of several servers: one after the
// other, in a random order, without waiting long for any.
func (t *Trust) dial(ctx context.Context, by DialFunc, addresses []string, alpn, ticket string, whom admit) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	type result struct {
		link *link
		err  error
	}
	results := make(chan result, len(addresses))
	var attempts sync.WaitGroup
	defer attempts.Wait()
	defer cancel() // ends the attempts that are not needed
	next := time.NewTimer(0)
	defer next.Stop()
	order := mathrand.Perm(len(addresses))
	var failed error
	for waiting := len(order); waiting > 0; {
		select {
		case <-next.C:
			if len(order) == 0 {
				continue
			}
			address := addresses[order[0]]
			order = order[1:]
			attempts.Go(func() {
				l, err := t.dialOne(ctx, by, address, alpn, ticket, whom)
				results <- result{l, err}
			})
			next.Reset(stagger)
		case r := <-results:
			waiting--
			if r.err == nil {
				cancel()
				attempts.Wait()
				for len(results) > 0 { // a second one that was quick as well
					if r := <-results; r.err == nil {
						_ = r.link.Close()
					}
				}
				return r.link, nil
			}
			failed = errors.Join(failed, r.err)
			next.Reset(0)
		}
	}
	return nil, failed
}

func (t *Trust) dialOne(ctx context.Context, by DialFunc, address, alpn, ticket string, whom admit) (*link, error) {
	raw, err := by(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	c := tls.Client(raw, t.mutual([]string{alpn}, whom.check))
	err = c.HandshakeContext(ctx)
	var l *link
	if err == nil {
		l, err = t.follow(c, whom.check)
	}
	if err != nil {
		_ = raw.Close()
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	if _, err := io.WriteString(l, ticket); err != nil {
		_ = l.Close()
		return nil, fmt.Errorf("connect to %s: %w", address, err)
	}
	return l, nil
}

// readTicket reads the beginning of an accepted stream.
func readTicket(c net.Conn) (string, error) {
	var b [ticketSize]byte
	if err := c.SetReadDeadline(time.Now().Add(ticketTimeout)); err != nil {
		return "", err
	}
	if _, err := io.ReadFull(c, b[:]); err != nil {
		return "", err
	}
	return string(b[:]), c.SetReadDeadline(time.Time{})
}

// splice carries bytes both ways until either end is over or ctx ends, and
// closes both.
func splice(ctx context.Context, a, b net.Conn) {
	closeBoth := func() { _, _ = a.Close(), b.Close() }
	stop := context.AfterFunc(ctx, closeBoth)
	defer stop()
	var back sync.WaitGroup
	back.Go(func() {
		carry(a, b)
		closeBoth()
	})
	carry(b, a)
	closeBoth()
	back.Wait()
}

// carry copies with a small buffer: there may be thousands of streams.
func carry(to, from net.Conn) {
	_, _ = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{from}, make([]byte, copyBuffer))
}
