package client

import (
	"bytes"
	_ "embed"
	"fmt"
	"time"

	"causeway/client/internal/webm"
)

//go:embed testcard/testcard.webm
var testCard []byte

//go:embed testcard/levels.bin
var testCardLevels []byte

// testCardLength is how long a round of the test card lasts.
const testCardLength = 8 * time.Second

// TestCard is a feed with a moving picture in two sizes, a running clock, and
// once a second a white flash together with a beep, by which a receiver can
// measure how far sound and picture are apart. It never ends. How it was made
// is told in testcard/README.md.
func TestCard() Feed {
	file := nopCloser{bytes.NewReader(testCard)}
	r, err := webm.NewReader(file)
	if err != nil {
		panic(fmt.Sprintf("client: test card: %v", err)) // it is part of the program
	}
	f := &fileFeed{file: file, loop: true, reader: r, levels: testCardLevels, exact: testCardLength}
	codecs := map[string]Codec{webm.VP8: VP8, webm.Opus: Opus}
	for _, t := range r.Tracks() {
		if err := f.add(t, codecs[t.Codec], t.Name); err != nil {
			panic(fmt.Sprintf("client: test card: %v", err))
		}
	}
	return f
}

type nopCloser struct{ *bytes.Reader }

func (nopCloser) Close() error { return nil }
