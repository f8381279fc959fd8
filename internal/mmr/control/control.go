// Package control is the router's end of the control channel: one WebSocket
// (RFC 6455) per client, JSON text messages of package protocol.
//
// It reads the client's hello, hands its messages on in order, answers pings
// itself and writes what a meeting queues. It knows no meeting: that is the
// Session which the hello leads to.
//
// Goroutines: a channel is read on the caller's, and owns one that writes
// while there is something to write; both have ended when the function that
// Server.Upgrade returns has.
//
// Limits: a client that says nothing for SilenceTimeout, takes longer than
// WriteTimeout to accept a message, sends more than MessageRate, or lets
// more than MaxQueued messages wait, is cut off with a reason.
package control

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"causeway/protocol"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"
)

// Limits of a channel.
const (
	HelloTimeout   = 20 * time.Second // from the upgrade to the hello, as for a TLS handshake
	SilenceTimeout = 10 * time.Second // clients ping at least every 5 s
	WriteTimeout   = 5 * time.Second
	MessageRate    = 20 // messages per second, in the long run
	MessageBurst   = 80
	MaxStrikes     = 50 // refused messages until the channel is closed
	MaxQueued      = 256
	MaxQueuedBytes = 1 << 20
)

// A Session is what the messages of a channel are for. Its methods are
// called by the channel's reader, one at a time.
type Session interface {
	// Receive takes a message of the client; hello and ping never come here.
	Receive(ctx context.Context, ch *Channel, m protocol.ControlMessage)
	// Detached is the last call: the channel is gone, for whatever reason.
	Detached(ch *Channel)
}

// Server serves control channels.
type Server struct {
	// Hello finds the session that a client names, and makes ch its channel.
	// Its error is told to the client and ends the channel.
	Hello func(ctx context.Context, ch *Channel, hello protocol.Hello) (Session, error)
	// NowMS reads the router's clock, for Pong.
	NowMS func() float64
	Log   *slog.Logger
}

// Upgrade makes a request a control channel. The function that it returns
// serves the channel until it has ended, or until ctx ends; it is to be called
// after the HTTP handler has returned, so that what net/http keeps of a
// request is let go of. It is nil, and the request answered, if the request
// was none for a channel.
func (s *Server) Upgrade(w http.ResponseWriter, r *http.Request) func(ctx context.Context) {
	// Any origin: the session and the token are the credentials, no cookie is.
	ws, err := websocket.Accept(frugal{w}, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
	if err != nil {
		s.Log.Debug("control channel refused", "remote", r.RemoteAddr, "err", err)
		return nil
	}
	remote := strings.Clone(r.RemoteAddr)
	return func(ctx context.Context) { s.serve(ctx, ws, remote) }
}

// serve serves a channel until it has ended, or until ctx ends.
func (s *Server) serve(ctx context.Context, ws *websocket.Conn, remote string) {
	ws.SetReadLimit(protocol.MaxControlMessage)
	// The reader outlives ctx for as long as the writer needs to say goodbye.
	reading, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	var writers sync.WaitGroup // one at a time
	ch := new(Channel)
	ch.start = func() {
		writers.Go(func() {
			if !ch.write(ws) {
				_ = ws.CloseNow() // ends the reader too
				cancel()
			}
		})
	}
	stop := context.AfterFunc(ctx, ch.stop)
	defer stop()
	err := s.read(reading, ws, ch)
	ch.finish(err) // no writer is started after that
	writers.Wait()
	ws.CloseNow()
	s.Log.Debug("control channel closed", "remote", remote, "err", err)
}

// errGone says that the channel ended without anyone's fault.
var errGone = errors.New("connection gone")

// read takes messages until the channel ends. An error other than errGone is
// the reason that the client is told.
func (s *Server) read(ctx context.Context, ws *websocket.Conn, ch *Channel) error {
	// The timer runs while the client is to say something, not while what it has
	// said is dealt with, which takes long when a crowd comes.
	silence := time.AfterFunc(HelloTimeout, func() { _ = ws.CloseNow() })
	defer silence.Stop()
	first, err := receive(ws)
	silence.Stop()
	if err != nil {
		return err
	}
	session, err := s.hello(ctx, first, ch)
	if err != nil {
		return err
	}
	defer session.Detached(ch)
	limiter := rate.NewLimiter(MessageRate, MessageBurst)
	strikes := 0
	for strikes < MaxStrikes {
		silence.Reset(SilenceTimeout)
		m, err := receive(ws)
		silence.Stop()
		if err != nil {
			var p *protocol.Problem
			if !errors.As(err, &p) {
				return err
			}
			strikes += 5
			ch.Send(protocol.Refusal{Problem: *p})
			continue
		}
		if !limiter.Allow() {
			strikes++
			ch.Send(protocol.Refusal{Problem: *protocol.NewProblem(protocol.ProblemRateLimited, "messages on the control channel")})
			continue
		}
		switch m := m.(type) {
		case *protocol.Ping:
			ch.Send(protocol.Pong{N: m.N, NowMS: s.NowMS()})
		case *protocol.Hello:
			strikes += 5
			ch.Send(protocol.Refusal{Problem: *protocol.NewProblem(protocol.ProblemBadRequest, "a second hello")})
		default:
			session.Receive(ctx, ch, m)
		}
	}
	return protocol.NewProblem(protocol.ProblemRateLimited, "too many refused messages")
}

// hello takes the first message, which must be a hello.
func (s *Server) hello(ctx context.Context, m protocol.ControlMessage, ch *Channel) (Session, error) {
	hello, ok := m.(*protocol.Hello)
	if !ok {
		return nil, protocol.NewProblem(protocol.ProblemBadRequest, "the first message is hello, not "+m.ControlType())
	}
	session, err := s.Hello(ctx, ch, *hello)
	if err != nil {
		return nil, protocol.ProblemOf(err)
	}
	return session, nil
}

// receive reads one message. A *protocol.Problem is the fault of the message
// alone; any other error is the end of the connection.
func receive(ws *websocket.Conn) (protocol.ControlMessage, error) {
	kind, data, err := ws.Read(context.Background())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errGone, err)
	}
	if kind != websocket.MessageText {
		return nil, protocol.NewProblem(protocol.ProblemBadRequest, "messages are text, not binary")
	}
	m, err := protocol.DecodeFromClient(data)
	if err != nil {
		return nil, protocol.Wrap(protocol.ProblemBadRequest, err)
	}
	return m, nil
}
