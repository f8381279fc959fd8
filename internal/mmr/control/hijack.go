package control

import (
	"bufio"
	"net"
	"net/http"
)

// bufferSize is of a channel's two buffers. Its messages are short and many
// channels are idle, so net/http's 4 KiB each would mostly hold nothing.
const bufferSize = 1 << 10

// frugal is a ResponseWriter whose connection, once taken over, has small
// buffers.
type frugal struct{ http.ResponseWriter }

// Unwrap is for http.ResponseController.
func (f frugal) Unwrap() http.ResponseWriter { return f.ResponseWriter }

// Hijack implements http.Hijacker.
func (f frugal) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, rw, err := http.NewResponseController(f.ResponseWriter).Hijack()
	if err != nil || rw.Reader.Buffered() > 0 {
		return c, rw, err
	}
	return c, bufio.NewReadWriter(bufio.NewReaderSize(c, bufferSize), bufio.NewWriterSize(c, bufferSize)), nil
}
