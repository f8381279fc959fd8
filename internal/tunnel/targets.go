package tunnel

import (
	"net"
	"net/url"
	"sync"
	"time"

	"causeway/protocol"
)

// forget is how long a server that has fallen silent stays a target: longer
// than it takes a controller to be restarted, so that running streams' owners
// can come back.
const forget = 30 * time.Second

// targets are the addresses (host:port) of the system's own servers, each
// repeated by its owner.
type targets struct {
	mu    sync.Mutex
	heard map[string]time.Time
}

func newTargets() *targets { return &targets{heard: map[string]time.Time{}} }

// hear notes the server at base, an https or wss address.
func (t *targets) hear(base string, now time.Time) {
	address := hostPort(base)
	if address == "" {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.heard[address] = now
	for a, at := range t.heard {
		if now.Sub(at) > forget {
			delete(t.heard, a)
		}
	}
}

// allows reports whether address is one of the system's servers.
func (t *targets) allows(address string, now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	at, ok := t.heard[address]
	return ok && now.Sub(at) <= forget
}

// none reports whether there is no target.
func (t *targets) none(now time.Time) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, at := range t.heard {
		if now.Sub(at) <= forget {
			return false
		}
	}
	return true
}

// hostPort gives the address of a URL with its port; "" for a URL that is
// not one of TLS.
func hostPort(base string) string {
	u, err := url.Parse(base)
	if err != nil || u.Hostname() == "" || (u.Scheme != "https" && u.Scheme != "wss") {
		return ""
	}
	port := u.Port()
	if port == "" {
		port = "443"
	}
	return net.JoinHostPort(u.Hostname(), port)
}

func (t *targets) controller(_ string, s protocol.ControllerState) { t.hear(s.URL, time.Now()) }
func (t *targets) router(_ string, s protocol.MMRState)            { t.hear(s.ControlURL, time.Now()) }
