package port443

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strconv"
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
				ours, end := serveOne(t, func(w http.ResponseWriter, r *http.Request) {
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
				})
				defer end()
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
			})
		})
	}
}

// TestSlowReader: whoever does not take an answer holds its handler for
// writeTimeout, and whoever takes it slowly gets it.
func TestSlowReader(t *testing.T) {
	for name, tc := range map[string]struct {
		wait time.Duration // of the reader before each writeChunk, after the first
		want error
	}{
		"slow":   {writeTimeout - time.Second, nil},
		"silent": {10 * writeTimeout, os.ErrDeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				wrote := make(chan error, 1)
				ours, end := serveOne(t, func(w http.ResponseWriter, _ *http.Request) {
					w.Header().Set("Content-Length", strconv.Itoa(4*writeChunk))
					time.Sleep(2 * writeTimeout) // work of its own does not count
					_, err := w.Write(make([]byte, 4*writeChunk))
					wrote <- err
				})
				defer end()
				if _, err := io.WriteString(ours, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
					t.Fatal(err)
				}
				answer, err := http.ReadResponse(bufio.NewReader(ours), nil)
				if err != nil {
					t.Fatal(err)
				}
				for range 4 {
					time.Sleep(tc.wait)
					if _, err := io.CopyN(io.Discard, answer.Body, writeChunk); err != nil && tc.want == nil {
						t.Error(err)
					}
				}
				if err := <-wrote; !errors.Is(err, tc.want) {
					t.Errorf("the handler: %v", err)
				}
			})
		})
	}
}

// TestNoDeadlineIsLeft: a connection that becomes something else, and a later
// answer on the same connection, are as if there had been none.
func TestNoDeadlineIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, end := serveOne(t, func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost {
				_, err := io.ReadAll(r.Body) // 100 Continue
				if err != nil {
					t.Error(err)
				}
				return
			}
			w.WriteHeader(http.StatusSwitchingProtocols)
			c, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			time.Sleep(2 * writeTimeout)
			if _, err := c.Write([]byte("later")); err != nil {
				t.Error(err)
			}
			_ = c.Close()
		})
		defer end()
		in := bufio.NewReader(ours)
		ask := func(what string) int {
			if _, err := io.WriteString(ours, what); err != nil {
				t.Fatal(err)
			}
			answer, err := http.ReadResponse(in, nil)
			if err != nil {
				t.Fatal(err)
			}
			return answer.StatusCode
		}
		for _, want := range []int{http.StatusContinue, http.StatusContinue} {
			if got := ask("POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n"); got != want {
				t.Fatalf("status %d", got)
			}
			if got := ask("body"); got != http.StatusOK {
				t.Fatalf("status %d", got)
			}
			time.Sleep(writeTimeout + time.Second)
		}
		if got := ask("GET / HTTP/1.1\r\nHost: h\r\n\r\n"); got != http.StatusSwitchingProtocols {
			t.Fatalf("status %d", got)
		}
		if got, err := io.ReadAll(in); err != nil || string(got) != "later" {
			t.Errorf("%q, %v", got, err)
		}
	})
}

// serveOne serves one connection.
func serveOne(t *testing.T, handler http.HandlerFunc) (ours net.Conn, end func()) {
	t.Helper()
	s := newServer(handler, slog.New(slog.DiscardHandler))
	ln := make(pipes)
	var served sync.WaitGroup
	served.Go(func() { _ = s.Serve(ln) })
	ours, theirs := net.Pipe()
	ln <- theirs
	return ours, func() {
		_ = ours.Close()
		close(ln)
		s.shutdown()
		served.Wait()
	}
}
