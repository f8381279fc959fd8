package gateway

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"causeway/protocol"

	"github.com/coder/websocket"
)

const (
	helloTimeout = 10 * time.Second
	writeTimeout = 10 * time.Second
	// silence closes a channel on whose either side nothing was said: clients
	// ping every few seconds, and routers answer.
	silence = 30 * time.Second
	// maxDown bounds a router's message; a welcome to a large meeting is long.
	maxDown = 1 << 20
	// returnGrace is for how long after its end a token still opens the control
	// channel of a session (the router's rule).
	returnGrace = 24 * time.Hour
)

// control passes a control channel on to a router. It begins, as any control
// channel, with a hello, whose token is verified before the router is called.
func (s *Server) control(w http.ResponseWriter, r *http.Request) error {
	to := r.URL.Query().Get("to")
	if !s.targets.routers.knows(to, time.Now()) {
		return protocol.NewProblem(protocol.ProblemTunnelRefused, "to")
	}
	ctx, done := s.begin(r.Context())
	if ctx == nil {
		return protocol.NewProblem(protocol.ProblemMMRUnavailable, "the gateway is not running")
	}
	defer done()
	client := s.deps.Client(r.Context())
	if !s.addresses.take(client) {
		return protocol.NewProblem(protocol.ProblemTunnelFull, "")
	}
	defer s.addresses.release(client)
	// The token in the hello is the credential, so any origin may come.
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		s.deps.Log.Debug("gateway: no WebSocket", "err", err)
		return nil // it is answered
	}
	defer func() { _ = ws.CloseNow() }()
	ws.SetReadLimit(protocol.MaxControlMessage)
	s.channel(ctx, ws, to)
	return nil
}

// begin notes a channel that Run waits for. Its context ends with Run and with
// the request; it is nil when there is no Run.
func (s *Server) begin(request context.Context) (context.Context, func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.life == nil {
		return nil, nil
	}
	s.channels.Add(1)
	ctx, cancel := context.WithCancel(s.life)
	stop := context.AfterFunc(request, cancel)
	return ctx, func() {
		stop()
		cancel()
		s.channels.Done()
	}
}

// channel serves a client's end of a channel until it has ended.
func (s *Server) channel(ctx context.Context, client *websocket.Conn, to string) {
	hello, participant, err := s.hello(ctx, client)
	if err == nil && !s.persons.take(participant) {
		err = protocol.NewProblem(protocol.ProblemTunnelFull, "for this participant")
	}
	if err != nil {
		refuse(ctx, client, err)
		return
	}
	defer s.persons.release(participant)
	dialing, cancel := context.WithTimeout(ctx, dialTimeout)
	router, _, err := websocket.Dial(dialing, to, &websocket.DialOptions{HTTPClient: s.ws, CompressionMode: websocket.CompressionDisabled})
	cancel()
	if err != nil {
		s.deps.Log.Warn("gateway: router not reached", "router", to, "err", err)
		_ = client.Close(websocket.StatusTryAgainLater, "the router was not reached")
		return
	}
	defer func() { _ = router.CloseNow() }()
	router.SetReadLimit(maxDown)
	if write(ctx, router, websocket.MessageText, hello) != nil {
		_ = client.Close(websocket.StatusTryAgainLater, "the router was lost")
		return
	}
	s.pipe(ctx, client, router)
}

// hello waits for the first message and finds out whose it is.
func (s *Server) hello(ctx context.Context, client *websocket.Conn) (raw []byte, participant string, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.helloTimeout)
	defer cancel()
	kind, raw, err := client.Read(ctx)
	if err != nil {
		return nil, "", err
	}
	if kind != websocket.MessageText {
		return nil, "", protocol.NewProblem(protocol.ProblemBadRequest, "messages are text, not binary")
	}
	participant, err = s.who(raw, time.Now())
	return raw, participant, err
}

// who finds out from a hello who it is that says it.
func (s *Server) who(raw []byte, now time.Time) (string, error) {
	m, err := protocol.DecodeFromClient(raw)
	if err != nil {
		return "", protocol.Wrap(protocol.ProblemBadRequest, err)
	}
	hello, ok := m.(*protocol.Hello)
	if !ok {
		return "", protocol.NewProblem(protocol.ProblemBadRequest, "the first message is hello, not "+m.ControlType())
	}
	claims, err := s.deps.Keys.VerifyExpired(hello.Token, now, returnGrace)
	return claims.Subject, err
}

// refuse tells a client why its channel is not opened, as a router would.
func refuse(ctx context.Context, client *websocket.Conn, err error) {
	var p *protocol.Problem
	if !errors.As(err, &p) {
		return // the connection broke
	}
	if data, err := protocol.EncodeControl(protocol.Refusal{Problem: *p, Fatal: true}); err == nil {
		_ = write(ctx, client, websocket.MessageText, data)
	}
	_ = client.Close(websocket.StatusPolicyViolation, string(p.Code))
}

// pipe carries messages both ways until either side ends, and passes that end
// on.
func (s *Server) pipe(ctx context.Context, client, router *websocket.Conn) {
	var both sync.WaitGroup
	both.Go(func() { s.carry(ctx, router, client) })
	s.carry(ctx, client, router)
	both.Wait()
}

// carry carries messages one way. When from ends, to is closed in the same
// way, which ends the other direction.
func (s *Server) carry(ctx context.Context, to, from *websocket.Conn) {
	for {
		reading, cancel := context.WithTimeout(ctx, s.silence)
		kind, data, err := from.Read(reading)
		cancel()
		if err == nil {
			err = write(ctx, to, kind, data)
		}
		if err != nil {
			end(to, err)
			return
		}
	}
}

func write(ctx context.Context, to *websocket.Conn, kind websocket.MessageType, data []byte) error {
	ctx, cancel := context.WithTimeout(ctx, writeTimeout)
	defer cancel()
	return to.Write(ctx, kind, data)
}

// end closes a connection with the status and reason of the other side's
// close, or as one that broke.
func end(c *websocket.Conn, err error) {
	var closed websocket.CloseError
	switch {
	case !errors.As(err, &closed):
		_ = c.CloseNow() // it broke there, so it breaks here: the client comes back
	case closed.Code == websocket.StatusNoStatusRcvd:
		_ = c.Close(websocket.StatusNormalClosure, "")
	default:
		_ = c.Close(closed.Code, closed.Reason)
	}
}

// quota counts what is carried, in all and for each K.
type quota[K comparable] struct {
	most, each int

	mu    sync.Mutex
	count int
	by    map[K]int
}

func newQuota[K comparable](most, each int) *quota[K] {
	return &quota[K]{most: most, each: each, by: map[K]int{}}
}

// take claims one more for k; release gives it back.
func (q *quota[K]) take(k K) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.count >= q.most || q.by[k] >= q.each {
		return false
	}
	q.count++
	q.by[k]++
	return true
}

func (q *quota[K]) release(k K) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.count--
	if q.by[k]--; q.by[k] == 0 {
		delete(q.by, k)
	}
}

func (q *quota[K]) taken() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.count
}
