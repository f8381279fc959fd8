package protocol_test

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"testing"

	"causeway/protocol"
)

// Both ends of a connection see one mark, and each connection has its own.
func TestTLSMark(t *testing.T) {
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(protocol.HeaderTLSMark, protocol.TLSMark(r.TLS))
		}))
		server.TLS = &tls.Config{MaxVersion: version}
		server.StartTLS()
		seen := map[string]bool{}
		for range 2 {
			resp, err := server.Client().Get(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			_ = resp.Body.Close()
			mark := protocol.TLSMark(resp.TLS)
			if mark == "" || mark != resp.Header.Get(protocol.HeaderTLSMark) || seen[mark] {
				t.Errorf("%q here, %q there", mark, resp.Header.Get(protocol.HeaderTLSMark))
			}
			seen[mark] = true
			server.Client().CloseIdleConnections()
		}
		server.Close()
	}
	if protocol.TLSMark(nil) != "" || protocol.TLSMark(new(tls.ConnectionState)) != "" {
		t.Error("a connection that is none has a mark")
	}
}
