package port443

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// pipes is a listener of connections within the process.
type pipes chan net.Conn

func (p pipes) Accept() (net.Conn, error) {
	c, ok := <-p
	if !ok {
		return nil, net.ErrClosed
	}
	return c, nil
}

func (p pipes) Close() error   { return nil }
func (p pipes) Addr() net.Addr { return &net.TCPAddr{} }

// TestSlowBody: a body that does not come ends, and a handler that waits longer
// after one that has come does not.
func TestSlowBody(t *testing.T) {
	for name, tc := range map[string]struct {
		request string
		want    error // of reading the body
	}{
		"whole":                {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbody", nil},
		"whole, in chunks":     {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n", nil},
		"none":                 {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", nil},
		"a part":               {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nbo", os.ErrDeadlineExceeded},
		"a part of the chunks": {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n", os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				read := make(chan error, 1)
				s := newServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					_, err := io.ReadAll(r.Body)
					read <- err
					if err != nil {
						w.WriteHeader(http.StatusBadRequest)
						return
					}
					time.Sleep(2 * bodyTimeout)
					if r.Context().Err() == nil {
						w.WriteHeader(http.StatusNoContent)
					}
				}), slog.New(slog.DiscardHandler))
				ln := make(pipes)
				var served sync.WaitGroup
				served.Go(func() { _ = s.Serve(ln) })
				ours, theirs := net.Pipe()
				ln <- theirs
				if _, err := io.WriteString(ours, tc.request); err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				err := <-read
				if !errors.Is(err, tc.want) {
					t.Errorf("the body: %v", err)
				}
				if took := time.Since(begun); err != nil && took != bodyTimeout {
					t.Errorf("it took %v", took)
				}
				want := http.StatusNoContent
				if tc.want != nil {
					want = http.StatusBadRequest
				}
				answer, err := http.ReadResponse(bufio.NewReader(ours), nil)
				if err != nil {
					t.Fatal(err)
				}
				if answer.StatusCode != want {
					t.Errorf("status %d, not %d", answer.StatusCode, want)
				}
				_ = ours.Close()
				close(ln)
				s.shutdown()
				served.Wait()
			})
		})
	}
}
