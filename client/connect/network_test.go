package connect

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptrace"
	"testing"
	"testing/synctest"
	"time"

	"causeway/protocol"
)

// The hooks of net/http come in an order that depends on the version of HTTP
// and on luck; no order makes a round trip of centuries.
func TestTimingInAnyOrder(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []string
		want  time.Duration
	}{
		{"written, then answered", []string{"conn", "wrote", "first"}, time.Second},
		{"answered before it was said to be written", []string{"conn", "first", "wrote"}, time.Second},
		{"large body", []string{"conn", "-", "-", "wrote", "first"}, time.Second},
		{"refused before it was written", []string{"conn", "wrote"}, 0},
		{"never connected", nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var tm timing
				trace := httptrace.ContextClientTrace(tm.watch(t.Context()))
				for _, s := range c.steps {
					wait(context.Background(), time.Second)
					switch s {
					case "conn":
						trace.GotConn(httptrace.GotConnInfo{})
					case "wrote":
						trace.WroteRequest(httptrace.WroteRequestInfo{})
					case "first":
						trace.GotFirstResponseByte()
					}
				}
				if got := tm.waited(); got != c.want {
					t.Errorf("waited %v, want %v", got, c.want)
				}
			})
		})
	}
}

func TestTimingOfNames(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tm timing
		tm.conn = &connTimes{}
		ctx := tm.watch(t.Context())
		trace := httptrace.ContextClientTrace(ctx)
		trace.DNSStart(httptrace.DNSStartInfo{})
		wait(ctx, 30*ms)
		trace.DNSDone(httptrace.DNSDoneInfo{})
		tm.conn.dialled.Store(int64(50 * ms))
		trace.TLSHandshakeStart()
		wait(ctx, 70*ms)
		trace.TLSHandshakeDone(tls.ConnectionState{}, nil)
		want := protocol.Attempt{Target: "http://localhost:8080", Transport: "http", Via: "http://proxy.test:3128", DNSMS: 30, ConnectMS: 20, TLSMS: 70}
		if got := tm.attempt("http://localhost:8080", "http://proxy.test:3128"); got != want {
			t.Errorf("got %+v, want %+v", got, want)
		}
	})
}

// FuzzDecode checks that whatever answers is taken for an answer, a problem
// or a stranger, and nothing is made up.
func FuzzDecode(f *testing.F) {
	for _, body := range []string{`{"zone":"a"}`, `{"code":"zone_full","title":"Full."}`, "", "{", "null", "[]", `{"code":7}`, "<html>"} {
		f.Add(200, "application/json", body)
		f.Add(503, "application/problem+json; charset=utf-8", body)
		f.Add(302, "text/html;;=", body)
	}
	f.Fuzz(func(t *testing.T, status int, kind, body string) {
		resp := &http.Response{StatusCode: status, Status: "?", Header: http.Header{"Content-Type": {kind}}}
		var answer protocol.ProbeAnswer
		err := decode(resp, []byte(body), &answer)
		var p *protocol.Problem
		switch {
		case err == nil && status/100 != 2:
			t.Fatalf("status %d taken for an answer", status)
		case errors.As(err, &p) && p.Code == "":
			t.Fatal("a problem without a code")
		case err != nil && p == nil && !errors.Is(err, errForeign):
			t.Fatalf("unclear error %v", err)
		}
	})
}
