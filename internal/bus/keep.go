package bus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"causeway/internal/base/pki"
	"causeway/protocol"
)

const (
	// askEvery is how often revocations are asked for until they are heard.
	askEvery = 500 * time.Millisecond
	// renewTick is how often it is looked whether the certificate is to be
	// renewed, and how long after a failure it is tried again.
	renewTick = time.Minute
)

// Follow learns the revocations that web repeats on the bus, until ctx ends;
// keep, if not nil, is called with all that are known when some are new.
func (t *Trust) Follow(ctx context.Context, conn *Conn, keep func(protocol.RevocationSet)) error {
	heard := make(chan struct{}, 1)
	sub, err := Subscribe(conn, protocol.SubjectRevoked, func(_ string, set protocol.RevocationSet) {
		if t.Learn(set) && keep != nil {
			keep(t.Revoked())
		}
		select {
		case heard <- struct{}{}:
		default:
		}
	})
	if err != nil {
		return fmt.Errorf("follow revocations: %w", err)
	}
	defer sub.Stop()
	tick := time.NewTicker(askEvery)
	defer tick.Stop()
	for {
		_ = Publish(conn, protocol.SubjectRevokedAsk, protocol.Empty{}) // fails while the bus is away
		select {
		case <-heard:
			<-ctx.Done()
			return nil
		case <-tick.C:
		case <-ctx.Done():
			return nil
		}
	}
}

// Renew renews the server's certificate over the bus whenever half of its life
// is over, until ctx ends. While web cannot be reached it tries again.
func (t *Trust) Renew(ctx context.Context, conn *Conn, log *slog.Logger) error {
	tick := time.NewTicker(renewTick)
	defer tick.Stop()
	for {
		if !time.Now().Before(t.creds.RenewAt()) {
			if err := t.renewOnce(ctx, conn); err != nil && ctx.Err() == nil {
				log.Warn("the server's certificate is not renewed yet", "expires", t.creds.Expires(), "err", err)
			} else if err == nil {
				log.Info("the server's certificate is renewed", "expires", t.creds.Expires())
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (t *Trust) renewOnce(ctx context.Context, conn *Conn) error {
	key, err := pki.NewKey()
	if err != nil {
		return err
	}
	csr, err := key.Request()
	if err != nil {
		return err
	}
	signature, err := t.creds.Sign(csr)
	if err != nil {
		return err
	}
	request := protocol.RenewRequest{Certificate: t.creds.Certificate(), CSR: csr, Signature: signature}
	answer, err := Request[protocol.Certificate](ctx, conn, protocol.SubjectRenew, request)
	if err != nil {
		return err
	}
	if len(answer.Certificate) == 0 {
		return errors.New("renew the server's certificate: the answer is empty")
	}
	return t.creds.Renew(key, answer.Certificate)
}
