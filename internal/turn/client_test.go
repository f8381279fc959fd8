package turn

import (
	"bytes"
	"errors"
	"io"
	"net"
	"testing"
)

func TestFrames(t *testing.T) {
	stun := append([]byte{0, 1, 0, 4}, make([]byte, 20)...)
	data := append([]byte{0x40, 1, 0, 5}, make([]byte, 8)...)
	for _, c := range []struct {
		name string
		sent []byte
		want []int
		err  error
	}{
		{"STUN", stun, []int{24}, io.EOF},
		{"ChannelData is padded", data, []int{12}, io.EOF},
		{"one after the other", append(bytes.Clone(stun), data...), []int{24, 12}, io.EOF},
		{"nothing", nil, nil, io.EOF},
		{"part of a header", stun[:3], nil, io.EOF},
		{"part of a frame", stun[:23], nil, io.ErrUnexpectedEOF},
		{"too large", []byte{0, 1, 0xff, 0xff}, nil, errFrame},
		{"just too large", []byte{0x4f, 1, 0x06, 0x3d}, nil, errFrame},
		{"reserved", []byte{0x50, 0, 0, 0}, nil, errFrame},
		{"HTTP", []byte("POST / HTTP/1.1"), nil, errFrame},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := frames(t, c.sent)
			if len(got) != len(c.want) || !errors.Is(err, c.err) {
				t.Fatalf("%d frames, %v", len(got), err)
			}
			for i := range got {
				if len(got[i]) != c.want[i] {
					t.Errorf("frame %d has %d bytes", i, len(got[i]))
				}
			}
		})
	}
}

// frames reads what was sent, in pieces of one byte.
func frames(t testing.TB, sent []byte) (all [][]byte, err error) {
	t.Helper()
	ours, theirs := net.Pipe()
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		for _, b := range sent {
			if _, err := ours.Write([]byte{b}); err != nil {
				return
			}
		}
		_ = ours.Close()
	}()
	c := newClient(theirs)
	defer func() { _ = c.Close(); _ = ours.Close(); <-wrote }()
	for {
		p := make([]byte, 1600)
		n, err := c.Read(p)
		if err != nil {
			return all, err
		}
		all = append(all, p[:n])
	}
}

// FuzzFrames holds that frames put together again are what was sent.
func FuzzFrames(f *testing.F) {
	f.Add([]byte("\x00\x03\x00\x00\x21\x12\xa4\x42transaction."))
	f.Add([]byte("\x40\x00\x00\x05hello\x00\x00\x00\x40\x00\x00\x00"))
	f.Add([]byte("\x3f\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, sent []byte) {
		if len(sent) > 8<<10 {
			return
		}
		got, err := frames(t, sent)
		if whole := bytes.Join(got, nil); !bytes.HasPrefix(sent, whole) || err == nil {
			t.Errorf("%x, %v of %x", whole, err, sent)
		}
	})
}
