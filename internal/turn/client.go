package turn

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"time"
)

// client is an accepted stream; ended is closed when the library closes it.
type client struct {
	net.Conn
	from     *bufio.Reader
	stranger *time.Timer // closes it unless it gets an allocation
	once     sync.Once
	ended    chan struct{}
}

func newClient(c net.Conn) *client {
	return &client{Conn: c, from: bufio.NewReaderSize(c, 4<<10), ended: make(chan struct{})}
}

// errFrame ends a stream that does not speak TURN, or in frames that no
// datagram could hold.
var errFrame = errors.New("turn: no frame of TURN")

// Read gives one whole frame (RFC 8656 §3.5 and §12.5). The library would
// gather frames by itself, but in a recursion as deep as a client sends small
// pieces. A client that has fallen silent is given up.
func (c *client) Read(p []byte) (int, error) {
	_ = c.SetReadDeadline(time.Now().Add(silence))
	header, err := c.from.Peek(4)
	if err != nil {
		return 0, err
	}
	size, err := frameSize([4]byte(header))
	if err != nil {
		return 0, err
	}
	if size > len(p) {
		return 0, errFrame
	}
	return io.ReadFull(c.from, p[:size])
}

// frameSize is the size of the frame that begins with these bytes.
func frameSize(h [4]byte) (int, error) {
	length := int(binary.BigEndian.Uint16(h[2:]))
	switch {
	case h[0] < 0x40: // STUN, RFC 8489 §5: the length is without the header
		return 20 + length, nil
	case h[0] < 0x50: // ChannelData, padded to 4 bytes on a stream
		return 4 + (length+3)&^3, nil
	}
	return 0, errFrame
}

// Close ends the stream.
func (c *client) Close() error {
	err := c.Conn.Close()
	c.once.Do(func() { close(c.ended) })
	return err
}
