package client

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// Frames of two sessions arrive in an order; what passes is what one session
// alone would have brought. In the script a letter is a frame by way of the
// old session, a capital one by way of the new; '.' is silence, alike every
// time (',' by way of the new); a digit lets 100 ms pass per unit, '|' begins
// the take-over, '!' one from a session that is dead, and ';' ends the old one.
func TestSplice(t *testing.T) {
	for _, c := range []struct {
		name, script, want string
		codec              Codec
	}{
		{"the new one is level", "abc|dDeEfFgG;HI", "abcdefghi", Opus},
		{"the new one is behind", "abcdef|gChDiEjFkGlHmInJoKpL;MNOPQ", "abcdefghijklmnopq", Opus},
		{"the new one is ahead", "abc|FdGeHfIgJKL;", "abcdefghijkl", Opus},
		{"the new one begins far behind and catches up", "abcdefgh|BCDEFGHIJ;", "abcdefghij", Opus},
		{"the old one lacks a frame", "abc|deDEgFGHI;", "abcdefghi", Opus},
		{"the new one lacks a frame", "abc|dDeEfGHI;", "abcdeghi", Opus},
		{"silence says nothing of where", "ab..|.,.,.,c,dCeDfE;FG", "ab.....cdefg", Opus},
		{"the old one ends in silence", "ab....|4,,C,;D", "ab......c.d", Opus},
		{"the old one falls silent", "abc|dDe4EFGH;I", "abcdefghi", Opus},
		{"dead", "abc!FGHI", "abcfghi", Opus},
		{"what the dead one still sends is dropped", "abc!FdGeHI", "abcfghi", Opus},
		{"nothing from the new one", "abc|def;", "abcdef", Opus},
		{"begins with the new one", "|ABC;D", "abcd", Opus},
		{"never met", "abc|dX4eY", "abcdxy", Opus},
		{"pictures, level", "abc|dDeEfF;GH", "abcdefgh", VP8},
		{"pictures, the new one is behind", "abcdef|gEhFiGjHkIlJ;KLM", "abcdefghijklm", VP8},
		{"pictures, another layer", "abc|deXfYgZ;", "abcdexyz", VP8},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := splice(c.script, c.codec); got != c.want {
				t.Errorf("%s\n  passed %s\n  want   %s", c.script, got, c.want)
			}
		})
	}
}

func splice(script string, codec Codec) string {
	var passed strings.Builder
	s := newSplicer(func(f Frame) bool {
		passed.Write(f.Data)
		return true
	})
	old, next := &admission{}, &admission{}
	s.begin(old, false)
	s.remember()
	now := time.Unix(1_000_000, 0)
	zero := now
	order := 0 // of the frames by way of either, in steps of 20 ms
	frame := func(c rune, shift time.Duration) Frame {
		return Frame{Participant: "p", Codec: codec, Data: []byte(string(c)), Captured: zero.Add(time.Duration(order)*20*time.Millisecond + shift)}
	}
	for _, c := range script {
		switch {
		case c == '|', c == '!':
			s.begin(next, c == '|')
		case c == ';':
			s.end()
		case c >= '0' && c <= '9':
			now = now.Add(time.Duration(c-'0') * 100 * time.Millisecond)
			order += int(c-'0') * 5
		case c >= 'A' && c <= 'Z':
			s.take(next, frame(c+'a'-'A', 7*time.Millisecond), now)
			order++
		case c == ',':
			f := frame('.', 7*time.Millisecond)
			s.take(next, f, now)
			order++
		default:
			s.take(old, frame(c, 0), now)
			order++
		}
		now = now.Add(5 * time.Millisecond)
	}
	return passed.String()
}

// The new session's times continue the old one's.
func TestSpliceAlignsTimes(t *testing.T) {
	var times []string
	zero := time.Unix(1_000_000, 0)
	s := newSplicer(func(f Frame) bool {
		times = append(times, fmt.Sprint(f.Captured.Sub(zero).Milliseconds()))
		return true
	})
	frame := func(i, off int) Frame {
		return Frame{Participant: "p", Codec: Opus, Data: []byte{byte(i)}, Captured: zero.Add(time.Duration(i*20+off) * time.Millisecond)}
	}
	now := zero
	sessions := []*admission{{}, {}, {}}
	s.begin(sessions[0], false)
	for i := range 3 {
		s.take(sessions[0], frame(i, 0), now)
	}
	for n, next := range sessions[1:] { // each has a clock of its own
		off := 100 * (n + 1)
		s.remember()
		first := len(times)
		s.take(sessions[n], frame(first, off-100), now)
		s.begin(next, true)
		s.take(next, frame(first, off), now)
		s.take(next, frame(first+1, off), now)
		s.end()
		s.take(next, frame(first+2, off), now)
	}
	if got := strings.Join(times, " "); got != "0 20 40 60 80 100 120 140 160" {
		t.Errorf("captured at %s", got)
	}
}
