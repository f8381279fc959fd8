package bus

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
)

// A forwarder lets nats-server, which dials plain TCP by itself, reach other
// servers by whatever dialler there is, a proxy included, and by identity:
// nats-server dials the forwarder on this machine, which dials the others.
type forwarder struct {
	ln     net.Listener
	ticket string
	open   func(ctx context.Context, ticket string) (net.Conn, error)
	why    complaint

	cancel context.CancelFunc
	done   sync.WaitGroup
}

// forward starts a forwarder to one of several servers.
func (t *Trust) forward(by DialFunc, addresses []string, alpn string, whom admit, log *slog.Logger) (*forwarder, error) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("forward to %v: %w", addresses, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	f := &forwarder{
		ln: ln, ticket: newTicket(), cancel: cancel, why: complaint{log: log.With("to", addresses)},
		open: func(ctx context.Context, ticket string) (net.Conn, error) {
			return t.dial(ctx, by, addresses, alpn, ticket, whom)
		},
	}
	f.done.Go(func() { f.accept(ctx) })
	return f, nil
}

// url is where nats-server connects to. Whoever else does lacks the password,
// and is refused by the server at the other end.
func (f *forwarder) url() *url.URL {
	return &url.URL{Scheme: "nats", Host: f.ln.Addr().String(), User: url.UserPassword(user, f.ticket)}
}

func (f *forwarder) accept(ctx context.Context) {
	for {
		in, err := f.ln.Accept()
		if err != nil {
			return // closed
		}
		// One at a time: nats-server has one connection to each.
		out, err := f.open(ctx, f.ticket)
		if err != nil {
			_ = in.Close()
			f.why.tell(ctx, err)
			continue
		}
		f.done.Go(func() { splice(ctx, in, f.why.watch(ctx, out)) })
	}
}

// close ends the forwarder and waits for its goroutines.
func (f *forwarder) close() {
	f.cancel()
	_ = f.ln.Close()
	f.done.Wait()
}
