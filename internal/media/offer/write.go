package offer

import (
	"fmt"
	"hash/fnv"
	"strconv"
	"strings"
)

// String writes the description as SDP. Parse gives the same value back.
func (d Description) String() string {
	w := writer{}
	h := fnv.New64a()
	_, _ = h.Write([]byte(d.Ufrag + " " + d.Fingerprint))
	// RFC 8829 §5.2.1: the session id is a number of 62 bits.
	w.put("v=0")
	w.put("o=- %d 2 IN IP4 127.0.0.1", h.Sum64()>>2)
	w.put("s=-")
	w.put("t=0 0")
	var mids []string
	for i := range d.Lines {
		if l := &d.Lines[i]; !l.Rejected && l.MID != "" {
			mids = append(mids, l.MID)
		}
	}
	if len(mids) > 0 {
		w.put("a=group:BUNDLE %s", strings.Join(mids, " "))
	}
	if d.Lite {
		w.put("a=ice-lite")
	}
	if d.Mixed {
		w.put("a=extmap-allow-mixed")
	}
	if d.Ufrag != "" {
		w.put("a=ice-ufrag:%s", d.Ufrag)
	}
	if d.Pwd != "" {
		w.put("a=ice-pwd:%s", d.Pwd)
	}
	if d.Fingerprint != "" {
		w.put("a=fingerprint:%s", d.Fingerprint)
	}
	if d.Setup != "" {
		w.put("a=setup:%s", d.Setup)
	}
	first := true
	for i := range d.Lines {
		l := &d.Lines[i]
		w.line(l)
		if l.Rejected {
			continue
		}
		if d.Setup != "" {
			w.put("a=setup:%s", d.Setup) // pion looks for it on lines only
		}
		if first {
			w.candidates(&d)
		}
		first = false
	}
	return w.String()
}

type writer struct{ strings.Builder }

func (w *writer) put(format string, args ...any) {
	fmt.Fprintf(w, format, args...)
	w.WriteString("\r\n")
}

// candidates writes the candidates on the bundle's first line, and that there
// are no more of a side that does not gather (RFC 8840 §8.2).
func (w *writer) candidates(d *Description) {
	for i, c := range d.Candidates {
		suffix := ""
		if c.TCPType != "" {
			suffix = " tcptype " + c.TCPType
		}
		w.put("a=candidate:%d 1 %s %d %s %d typ host%s", i+1, c.Protocol, c.Priority, c.Addr.Addr(), c.Addr.Port(), suffix)
	}
	if d.Lite {
		w.put("a=end-of-candidates")
	}
}

func (w *writer) line(l *Line) {
	if l.Rejected {
		w.put("m=%s 0 %s", l.Kind, l.Format)
		w.put("c=IN IP4 0.0.0.0")
		if l.MID != "" {
			w.put("a=mid:%s", l.MID)
		}
		w.put("a=%s", Inactive)
		return
	}
	w.put("m=%s 9 UDP/TLS/RTP/SAVPF%s", l.Kind, l.formats())
	w.put("c=IN IP4 0.0.0.0")
	if l.MID != "" {
		w.put("a=mid:%s", l.MID)
	}
	w.put("a=%s", l.Direction)
	w.put("a=rtcp-mux")
	if l.ReducedSize {
		w.put("a=rtcp-rsize")
	}
	for _, e := range l.Extensions {
		w.put("a=extmap:%d %s", e.ID, e.URI)
	}
	for i := range l.Codecs {
		w.codec(&l.Codecs[i])
	}
	w.rids(l)
	w.stream(l)
}

// formats lists the payload types, each RTX and RED right behind its codec:
// redundancy is had for the asking, not preferred.
func (l *Line) formats() string {
	var b strings.Builder
	written := map[uint8]bool{}
	for _, c := range l.Codecs {
		for _, pt := range []uint8{c.PayloadType, c.RTX, c.RED} {
			if pt != 0 && !written[pt] {
				written[pt] = true
				b.WriteString(" " + strconv.Itoa(int(pt)))
			}
		}
	}
	return b.String()
}

func (w *writer) codec(c *Codec) {
	channels := ""
	if c.Channels > 0 {
		channels = "/" + strconv.Itoa(c.Channels)
	}
	w.put("a=rtpmap:%d %s/%d%s", c.PayloadType, c.Name, c.ClockRate, channels)
	if c.Fmtp != "" {
		w.put("a=fmtp:%d %s", c.PayloadType, c.Fmtp)
	}
	for _, f := range c.Feedback {
		w.put("a=rtcp-fb:%d %s", c.PayloadType, f)
	}
	if c.RTX != 0 {
		w.put("a=rtpmap:%d rtx/%d", c.RTX, c.ClockRate)
		w.put("a=fmtp:%d apt=%d", c.RTX, c.PayloadType)
	}
	if c.RED != 0 {
		w.put("a=rtpmap:%d red/%d%s", c.RED, c.ClockRate, channels)
		w.put("a=fmtp:%d %d/%d", c.RED, c.PayloadType, c.PayloadType)
	}
}

func (w *writer) rids(l *Line) {
	if len(l.RIDs) == 0 {
		return
	}
	way := "recv"
	if l.Direction.Sends() {
		way = "send"
	}
	for _, r := range l.RIDs {
		w.put("a=rid:%s %s", r, way)
	}
	if len(l.RIDs) > 1 {
		w.put("a=simulcast:%s %s", way, strings.Join(l.RIDs, ";"))
	}
}

func (w *writer) stream(l *Line) {
	if l.Stream != "" {
		w.put("a=msid:%s", strings.TrimSpace(l.Stream+" "+l.Track))
	}
	for _, s := range l.SSRCs {
		r, ok := l.RTXOf[s]
		if ok {
			w.put("a=ssrc-group:FID %d %d", s, r)
		}
		w.put("a=ssrc:%d cname:%s", s, l.CName)
		if ok {
			w.put("a=ssrc:%d cname:%s", r, l.CName)
		}
	}
}
