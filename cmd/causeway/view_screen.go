package main

import (
	"bytes"
	"io"
)

// Escape sequences (ECMA-48, xterm).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[2J" // second screen, no cursor, clear
	leaveScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	clearLine   = "\x1b[K"
	clearBelow  = "\x1b[J"
)

// A screen draws the live view on a terminal's second screen, so that the
// first is as it was when the view ends. Each drawing is one write that
// overwrites the one before: nothing flickers. A nil screen draws nothing.
type screen struct {
	out  io.Writer
	size func() (width, height int)
	is   bool // open
}

func newScreen(out io.Writer, size func() (int, int)) *screen {
	return &screen{out: out, size: size}
}

func (s *screen) open() {
	if s != nil && !s.is {
		s.is = true
		_, _ = io.WriteString(s.out, enterScreen)
	}
}

func (s *screen) close() {
	if s != nil && s.is {
		s.is = false
		_, _ = io.WriteString(s.out, leaveScreen)
	}
}

// draw shows the state in the terminal's present size.
func (s *screen) draw(state viewState) {
	if s == nil || !s.is {
		return
	}
	width, height := s.size()
	var b bytes.Buffer
	b.WriteString(home)
	for i, line := range render(state, width, height) {
		if i > 0 {
			b.WriteString("\r\n")
		}
		b.WriteString(line)
		b.WriteString(clearLine)
	}
	b.WriteString(clearBelow)
	_, _ = s.out.Write(b.Bytes()) // a terminal that is gone ends the program by signal
}
