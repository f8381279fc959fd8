package offer

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
)

// Parse reads a session description. It fails on what breaks SDP, on what
// exceeds the limits and on what no single BUNDLEd transport can carry; lines
// that are merely of no use to Causeway come back as Rejected.
func Parse(text string) (Description, error) {
	var d Description
	if len(text) > MaxSize {
		return d, invalid("%d bytes are more than %d", len(text), MaxSize)
	}
	var s sdp.SessionDescription
	if err := s.UnmarshalString(text); err != nil {
		return d, invalid("%w", err)
	}
	if n := len(s.MediaDescriptions); n == 0 || n > MaxLines {
		return d, invalid("%d m-lines instead of 1 to %d", n, MaxLines)
	}
	p := parser{direction: directionOf(s.Attributes, SendRecv)}
	p.bundle, p.bundled = bundleOf(s.Attributes)
	for _, m := range s.MediaDescriptions {
		if err := p.line(m, &d); err != nil {
			return Description{}, err
		}
	}
	if err := p.transport(s.Attributes, &d); err != nil {
		return Description{}, err
	}
	if err := check(&d); err != nil {
		return Description{}, err
	}
	return d, nil
}

func invalid(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrInvalid, fmt.Errorf(format, args...))
}

// parser holds what one line's meaning depends on.
type parser struct {
	direction Direction // of lines that name none
	bundle    []string  // mids of the first BUNDLE group
	bundled   bool      // there is such a group
	used      bool      // a line has been kept
	tagged    []sdp.Attribute
}

// line reads one m-line and appends it.
func (p *parser) line(m *sdp.MediaDescription, d *Description) error {
	l := Line{MID: attribute(m.Attributes, "mid"), Kind: Kind(m.MediaName.Media)}
	if l.MID != "" && !token(l.MID) || !token(string(l.Kind)) {
		return invalid("malformed mid or medium")
	}
	if !p.carries(m, l.MID) {
		return p.reject(m, l, d)
	}
	if err := l.parse(m, p.direction); err != nil {
		return err
	}
	if len(l.Codecs) == 0 {
		return p.reject(m, l, d)
	}
	if !p.used {
		p.used, p.tagged = true, m.Attributes
	}
	for _, a := range m.Attributes {
		if a.Key == "candidate" && len(d.Candidates) < MaxCandidates {
			if c, ok := parseCandidate(a.Value); ok {
				d.Candidates = append(d.Candidates, c)
			}
		}
	}
	d.Lines = append(d.Lines, l)
	return nil
}

// carries reports whether the line belongs to the one transport.
func (p *parser) carries(m *sdp.MediaDescription, mid string) bool {
	if k := m.MediaName.Media; k != string(Audio) && k != string(Video) {
		return false
	}
	// RFC 8843 §6: a zero port with bundle-only is not a rejection.
	if _, only := m.Attribute("bundle-only"); m.MediaName.Port.Value == 0 && !only {
		return false
	}
	if proto := strings.Join(m.MediaName.Protos, "/"); !strings.HasSuffix(proto, "RTP/SAVPF") {
		return false
	}
	if !p.bundled {
		return !p.used // a transport of its own, which only the first line gets
	}
	return slices.Contains(p.bundle, mid)
}

// reject appends the line as one that carries nothing.
func (p *parser) reject(m *sdp.MediaDescription, l Line, d *Description) error {
	words := append([]string{strings.Join(m.MediaName.Protos, "/")}, m.MediaName.Formats...)
	for _, w := range words {
		if !token(w) {
			return invalid("malformed m-line")
		}
	}
	if len(words) < 2 {
		return invalid("m-line without formats")
	}
	d.Lines = append(d.Lines, Line{
		MID: l.MID, Kind: l.Kind, Direction: Inactive, Rejected: true, Format: strings.Join(words, " "),
	})
	return nil
}

// transport reads ICE and DTLS parameters: those of the bundle's first line,
// else those of the session (RFC 8839 §5.4, RFC 8122 §5).
func (p *parser) transport(session []sdp.Attribute, d *Description) error {
	_, d.Lite = find(session, "ice-lite")
	_, d.Mixed = find(session, "extmap-allow-mixed")
	value := func(key string) string {
		if v, ok := find(p.tagged, key); ok {
			return strings.TrimSpace(v)
		}
		return strings.TrimSpace(attribute(session, key))
	}
	d.Ufrag, d.Pwd = value("ice-ufrag"), value("ice-pwd")
	// RFC 8839 §5.4: ufrag 4*256ice-char, password 22*256ice-char.
	if d.Ufrag != "" && !iceChars(d.Ufrag, 4) || d.Pwd != "" && !iceChars(d.Pwd, 22) {
		return invalid("malformed ICE credentials")
	}
	switch s := Setup(value("setup")); s {
	case ActPass, Active, Passive:
		d.Setup = s
	}
	for _, a := range append(slices.Clone(p.tagged), session...) {
		if a.Key != "fingerprint" || d.Fingerprint != "" {
			continue
		}
		f, ok := parseFingerprint(a.Value)
		if !ok {
			return invalid("malformed fingerprint")
		}
		d.Fingerprint = f
	}
	return nil
}

// parseFingerprint gives the canonical form of a SHA-256 fingerprint, "" for
// another hash (RFC 8122 §5).
func parseFingerprint(v string) (string, bool) {
	hash, hexed, ok := strings.Cut(strings.TrimSpace(v), " ")
	if !ok {
		return "", false
	}
	if !strings.EqualFold(hash, "sha-256") {
		return "", true
	}
	hexed = strings.ToUpper(strings.TrimSpace(hexed))
	if len(hexed) != 32*3-1 {
		return "", false
	}
	for i := 2; i < len(hexed); i += 3 {
		if hexed[i] != ':' {
			return "", false
		}
	}
	if _, err := hex.DecodeString(strings.ReplaceAll(hexed, ":", "")); err != nil {
		return "", false
	}
	return "sha-256 " + hexed, true
}

// check holds what BUNDLE asks of the lines together: one meaning per mid,
// payload type and header extension id (RFC 8843 §7, §9.1, §10).
func check(d *Description) error {
	mids := map[string]bool{}
	types := map[uint8]Codec{}
	uris := map[uint8]string{}
	for i := range d.Lines {
		l := &d.Lines[i]
		if l.MID != "" && mids[l.MID] {
			return invalid("mid %s is used twice", l.MID)
		}
		mids[l.MID] = true
		for _, c := range l.Codecs {
			if err := claim(types, c); err != nil {
				return err
			}
		}
		for _, e := range l.Extensions {
			if u, ok := uris[e.ID]; ok && u != e.URI {
				return invalid("header extension id %d is used twice", e.ID)
			}
			uris[e.ID] = e.URI
		}
	}
	return nil
}

// claim records what the codec's payload types mean.
func claim(types map[uint8]Codec, c Codec) error {
	one := func(pt uint8, c Codec) error {
		if o, ok := types[pt]; ok && (!strings.EqualFold(o.Name, c.Name) || o.ClockRate != c.ClockRate || o.Channels != c.Channels) {
			return invalid("payload type %d is used twice", pt)
		}
		types[pt] = c
		return nil
	}
	if err := one(c.PayloadType, c); err != nil || c.RTX == 0 {
		return err
	}
	return one(c.RTX, Codec{Name: "rtx", ClockRate: c.ClockRate})
}

// bundleOf returns the mids of the first BUNDLE group (RFC 8843 §5).
func bundleOf(attributes []sdp.Attribute) ([]string, bool) {
	for _, a := range attributes {
		if mids := strings.Fields(a.Value); a.Key == "group" && len(mids) > 0 && mids[0] == "BUNDLE" {
			return mids[1:], true
		}
	}
	return nil, false
}

func directionOf(attributes []sdp.Attribute, otherwise Direction) Direction {
	for _, a := range attributes {
		switch d := Direction(a.Key); d {
		case SendRecv, SendOnly, RecvOnly, Inactive:
			return d
		}
	}
	return otherwise
}

func find(attributes []sdp.Attribute, key string) (string, bool) {
	for _, a := range attributes {
		if a.Key == key {
			return a.Value, true
		}
	}
	return "", false
}

func attribute(attributes []sdp.Attribute, key string) string {
	v, _ := find(attributes, key)
	return v
}

// token reports whether s is 1 to MaxToken visible ASCII characters.
func token(s string) bool {
	return len(s) > 0 && len(s) <= MaxToken && printable(s) && !strings.Contains(s, " ")
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return false
		}
	}
	return true
}

func iceChars(s string, least int) bool {
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && c != '+' && c != '/' {
			return false
		}
	}
	return len(s) >= least && len(s) <= 256
}

func alphanumeric(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
