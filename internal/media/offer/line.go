package offer

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/pion/sdp/v3"
)

// parse reads the attributes of a line that is carried.
func (l *Line) parse(m *sdp.MediaDescription, otherwise Direction) error {
	l.Direction = directionOf(m.Attributes, otherwise)
	_, l.ReducedSize = m.Attribute("rtcp-rsize")
	if err := l.parseCodecs(m); err != nil {
		return err
	}
	for _, a := range m.Attributes {
		var err error
		switch a.Key {
		case "extmap":
			err = l.parseExtension(a.Value)
		case "msid":
			err = l.parseStream(a.Value)
		}
		if err != nil {
			return err
		}
	}
	if err := l.parseSSRCs(m.Attributes); err != nil {
		return err
	}
	return l.parseRIDs(m.Attributes)
}

// parseCodecs reads rtpmap, fmtp and rtcp-fb of the m-line's payload types
// (RFC 8866 §6.6, §6.15, RFC 4585 §4.2), in the m-line's order.
func (l *Line) parseCodecs(m *sdp.MediaDescription) error {
	if len(m.MediaName.Formats) > MaxCodecs {
		return invalid("line %s has more than %d codecs", l.MID, MaxCodecs)
	}
	var all []Codec
	for _, f := range m.MediaName.Formats {
		pt, err := strconv.ParseUint(f, 10, 7)
		if err != nil {
			return invalid("payload type %q", f)
		}
		// RFC 5761 §4: 64–95 would be taken for RTCP. 0 is PCMU.
		if pt == 0 || pt >= 64 && pt < 96 {
			continue
		}
		c := Codec{PayloadType: uint8(pt)}
		ok, err := c.parse(m.Attributes)
		if err != nil {
			return err
		}
		if ok && !slices.ContainsFunc(all, func(o Codec) bool { return o.PayloadType == c.PayloadType }) {
			all = append(all, c)
		}
	}
	l.Codecs = attachRED(attachRTX(all))
	return nil
}

// attachRTX moves RTX payload types to the codecs that they repair: their
// "apt" parameter names them (RFC 4588 §8.1).
func attachRTX(all []Codec) []Codec {
	codecs := slices.DeleteFunc(slices.Clone(all), func(c Codec) bool { return strings.EqualFold(c.Name, "rtx") })
	for _, r := range all {
		if !strings.EqualFold(r.Name, "rtx") {
			continue
		}
		apt, err := strconv.ParseUint(Parameter(r.Fmtp, "apt"), 10, 7)
		if err != nil {
			continue
		}
		for i := range codecs {
			if c := &codecs[i]; uint64(c.PayloadType) == apt && c.RTX == 0 && c.ClockRate == r.ClockRate {
				c.RTX = r.PayloadType
			}
		}
	}
	return codecs
}

// attachRED moves payload types of redundant sound to the codecs that their
// blocks are all of: their format parameters list those (RFC 2198 §5). Others
// stay, as codecs that nobody knows.
func attachRED(all []Codec) []Codec {
	codecs := slices.DeleteFunc(slices.Clone(all), func(c Codec) bool { return redOf(c, all) >= 0 })
	for _, r := range all {
		if i := redOf(r, codecs); i >= 0 && codecs[i].RED == 0 {
			codecs[i].RED = r.PayloadType
		}
	}
	return codecs
}

// redOf returns the index of the codec whose redundant form r is, -1 if there
// is none.
func redOf(r Codec, codecs []Codec) int {
	if !strings.EqualFold(r.Name, "red") {
		return -1
	}
	first, others, _ := strings.Cut(r.Fmtp, "/")
	for pt := range strings.SplitSeq(others, "/") {
		if pt != first {
			return -1
		}
	}
	return slices.IndexFunc(codecs, func(c Codec) bool {
		return strconv.Itoa(int(c.PayloadType)) == first && !strings.EqualFold(c.Name, "red") &&
			c.ClockRate == r.ClockRate && c.Channels == r.Channels
	})
}

// parse reads what the attributes say of one payload type. It reports false
// for a payload type without rtpmap.
func (c *Codec) parse(attributes []sdp.Attribute) (bool, error) {
	for _, a := range attributes {
		if a.Key != "rtpmap" && a.Key != "fmtp" && a.Key != "rtcp-fb" {
			continue
		}
		pt, value, _ := strings.Cut(a.Value, " ")
		if n, err := strconv.ParseUint(pt, 10, 7); (err != nil || uint8(n) != c.PayloadType) && (a.Key != "rtcp-fb" || pt != "*") {
			continue
		}
		value = strings.Join(strings.Fields(value), " ")
		if len(value) > MaxFmtp || !printable(value) {
			return false, invalid("malformed %s of payload type %d", a.Key, c.PayloadType)
		}
		switch a.Key {
		case "rtpmap":
			if c.Name == "" && !c.parseMap(value) {
				return false, invalid("malformed rtpmap of payload type %d", c.PayloadType)
			}
		case "fmtp":
			if c.Fmtp == "" {
				c.Fmtp = value
			}
		case "rtcp-fb":
			if value != "" && len(value) <= MaxToken && !slices.Contains(c.Feedback, value) && len(c.Feedback) < MaxFeedback {
				c.Feedback = append(c.Feedback, value)
			}
		}
	}
	return c.Name != "", nil
}

// parseMap reads "name/rate[/channels]".
func (c *Codec) parseMap(value string) bool {
	name, rest, _ := strings.Cut(value, "/")
	rate, channels, multi := strings.Cut(rest, "/")
	n, err := strconv.ParseUint(rate, 10, 32)
	if err != nil || n == 0 || !token(name) {
		return false
	}
	c.Name, c.ClockRate = name, uint32(n)
	if !multi {
		return true
	}
	ch, err := strconv.ParseUint(channels, 10, 8)
	c.Channels = int(ch)
	return err == nil
}

// parseExtension reads "id[/direction] uri [attributes]" (RFC 8285 §5). Ids
// that cannot stand in a packet are for later offers only: not kept.
func (l *Line) parseExtension(value string) error {
	f := strings.Fields(value)
	if len(f) < 2 || !token(f[1]) {
		return invalid("malformed extmap")
	}
	id, _, _ := strings.Cut(f[0], "/")
	n, err := strconv.ParseUint(id, 10, 16)
	if err != nil {
		return invalid("malformed extmap")
	}
	if n == 0 || n == 15 || n > 255 || l.ExtensionID(f[1]) != 0 {
		return nil
	}
	if len(l.Extensions) == MaxExtensions {
		return invalid("line %s has more than %d header extensions", l.MID, MaxExtensions)
	}
	l.Extensions = append(l.Extensions, Extension{ID: uint8(n), URI: f[1]})
	return nil
}

// parseStream reads "stream [track]" (RFC 8830 §2); the first one counts.
func (l *Line) parseStream(value string) error {
	f := strings.Fields(value)
	if l.Stream != "" || len(f) == 0 {
		return nil
	}
	if len(f) > 2 || !token(f[0]) || len(f) == 2 && !token(f[1]) {
		return invalid("malformed msid")
	}
	l.Stream = f[0]
	if len(f) == 2 {
		l.Track = f[1]
	}
	return nil
}

// parseSSRCs reads ssrc and ssrc-group:FID (RFC 5576 §4.1, §4.2, RFC 4588 §8.8).
func (l *Line) parseSSRCs(attributes []sdp.Attribute) error {
	var all []uint32
	repairs := map[uint32]uint32{} // primary → RTX
	repair := map[uint32]bool{}
	for _, a := range attributes {
		f := strings.Fields(a.Value)
		switch {
		case a.Key == "ssrc" && len(f) > 0:
			if name, ok := strings.CutPrefix(strings.Join(f[1:], " "), "cname:"); ok && l.CName == "" && token(name) {
				l.CName = name
			}
			f = f[:1]
		case a.Key == "ssrc-group" && len(f) == 3 && f[0] == "FID":
			f = f[1:]
		default:
			continue
		}
		ids, err := numbers(f)
		if err != nil {
			return invalid("malformed %s", a.Key)
		}
		for _, id := range ids {
			if !slices.Contains(all, id) {
				all = append(all, id)
			}
		}
		if len(all) > MaxSSRCs {
			return invalid("line %s has more than %d SSRCs", l.MID, MaxSSRCs)
		}
		if len(ids) == 2 && ids[0] != ids[1] {
			if _, ok := repairs[ids[0]]; !ok {
				repairs[ids[0]] = ids[1]
			}
			repair[ids[1]] = true
		}
	}
	l.keepSSRCs(slices.DeleteFunc(all, func(s uint32) bool { return repair[s] }), repairs)
	return nil
}

func numbers(words []string) (ids []uint32, err error) {
	for _, w := range words {
		n, err := strconv.ParseUint(w, 10, 32)
		if err != nil {
			return nil, err
		}
		ids = append(ids, uint32(n))
	}
	return ids, nil
}

// keepSSRCs stores the primary streams and those that repair them.
func (l *Line) keepSSRCs(primary []uint32, repairs map[uint32]uint32) {
	if len(primary) == 0 {
		l.CName = ""
		return
	}
	l.SSRCs = primary
	for _, s := range primary {
		if r, ok := repairs[s]; ok {
			if l.RTXOf == nil {
				l.RTXOf = map[uint32]uint32{}
			}
			l.RTXOf[s] = r
		}
	}
}

// parseRIDs reads rid and simulcast (RFC 8851 §4, RFC 8853 §5.1): the layers
// of the line's own direction, in the order of simulcast. Of alternatives the
// first is taken; a paused layer ("~") counts like any other.
func (l *Line) parseRIDs(attributes []sdp.Attribute) error {
	way := "recv"
	if l.Direction.Sends() {
		way = "send"
	}
	var known, listed []string
	for _, a := range attributes {
		f := strings.Fields(a.Value)
		switch a.Key {
		case "rid":
			if len(f) >= 2 && f[1] == way && rid(f[0]) && !slices.Contains(known, f[0]) {
				known = append(known, f[0])
			}
		case "simulcast":
			for i := 0; i+1 < len(f) && listed == nil; i += 2 {
				if f[i] == way {
					listed = strings.Split(f[i+1], ";")
				}
			}
		}
		if len(known) > MaxRIDs || len(listed) > MaxRIDs {
			return invalid("line %s has more than %d layers", l.MID, MaxRIDs)
		}
	}
	if listed == nil {
		l.RIDs = known
		return nil
	}
	for _, s := range listed {
		s, _, _ = strings.Cut(s, ",")
		s = strings.TrimPrefix(s, "~")
		if slices.Contains(known, s) && !slices.Contains(l.RIDs, s) {
			l.RIDs = append(l.RIDs, s)
		}
	}
	return nil
}

// rid reports whether s can be a layer's id: letters and digits (RFC 8852
// §3), and for older senders "-" and "_" (RFC 8851 §10).
func rid(s string) bool {
	for i := range len(s) {
		if !alphanumeric(s[i]) && s[i] != '-' && s[i] != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// parseCandidate reads a host candidate of component 1 (RFC 8839 §5.1).
func parseCandidate(value string) (Candidate, bool) {
	f := strings.Fields(value)
	if len(f) < 8 || f[1] != "1" || f[6] != "typ" || f[7] != "host" {
		return Candidate{}, false
	}
	c := Candidate{Protocol: strings.ToLower(f[2])}
	priority, err1 := strconv.ParseUint(f[3], 10, 32)
	addr, err2 := netip.ParseAddr(f[4])
	port, err3 := strconv.ParseUint(f[5], 10, 16)
	if err1 != nil || err2 != nil || err3 != nil || addr.Zone() != "" {
		return Candidate{}, false
	}
	c.Priority = uint32(priority)
	c.Addr = netip.AddrPortFrom(addr, uint16(port))
	if c.Protocol == "udp" {
		return c, true
	}
	for i := 8; i+1 < len(f); i += 2 {
		if f[i] == "tcptype" {
			c.TCPType = f[i+1]
		}
	}
	// RFC 6544 §4.5.
	known := c.TCPType == "active" || c.TCPType == "passive" || c.TCPType == "so"
	return c, c.Protocol == "tcp" && known
}
