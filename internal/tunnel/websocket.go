package tunnel

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/coder/websocket"
	"golang.org/x/time/rate"

	"causeway/protocol"
)

// connect carries a stream in a WebSocket's binary messages.
func (s *Server) connect(w http.ResponseWriter, r *http.Request) {
	c, release, err := s.admit(r)
	if err != nil {
		s.refuse(w, err)
		return
	}
	defer release()
	target, err := s.dial(r.Context(), c.target)
	if err != nil {
		s.refuse(w, protocol.Wrap(protocol.ProblemTunnelRefused, fmt.Errorf("connect: %w", err)))
		return
	}
	defer target.Close()
	// The token is the credential, so any origin may come.
	ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true, CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		s.deps.Log.Debug("tunnel: accept", "err", err)
		return
	}
	defer ws.CloseNow()
	ws.SetReadLimit(protocol.MaxTunnelChunk)
	s.metrics.opened.WithLabelValues("ok").Inc()
	s.streams.Add(1)
	defer s.streams.Done()

	ctx, cancel := context.WithCancel(s.life)
	defer cancel()
	stop := context.AfterFunc(r.Context(), cancel)
	defer stop()
	s.pipe(ctx, cancel, ws, target, c.quota)
	_ = ws.Close(websocket.StatusNormalClosure, "")
}

// pipe carries both directions until one of them ends or nothing moved for
// the idle time.
func (s *Server) pipe(ctx context.Context, cancel context.CancelFunc, ws *websocket.Conn, target net.Conn, q *quota) {
	client := websocket.NetConn(ctx, ws, websocket.MessageBinary)
	idle := time.AfterFunc(s.cfg.Limits.Idle, cancel)
	defer idle.Stop()
	moved := func() { idle.Reset(s.cfg.Limits.Idle) }
	stop := context.AfterFunc(ctx, func() { _ = target.SetDeadline(time.Unix(1, 0)) })
	defer stop()

	var both sync.WaitGroup
	both.Go(func() {
		defer cancel()
		carry(ctx, target, client, q.up, s.count("up"), moved)
	})
	carry(ctx, client, target, q.down, s.count("down"), moved)
	cancel()
	both.Wait()
}

// carry copies until an end, keeping to the participant's rate.
func carry(ctx context.Context, to io.Writer, from io.Reader, limit *rate.Limiter, count func(int), moved func()) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			moved()
			count(n)
			if limit.WaitN(ctx, n) != nil {
				return
			}
			if _, werr := to.Write(buf[:n]); werr != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
