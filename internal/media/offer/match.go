package offer

import (
	"slices"
	"strings"
)

// Match returns the offered codecs that are supported too, in the offer's
// order and with the offer's payload types: the codecs of an answer (RFC 3264
// §6.1). Feedback is what both sides have, RTX and RED are kept if both sides
// use them.
// H.264's parameters are the offer's, since they must be symmetric (RFC 6184
// §8.2.2); those of other codecs say what their writer likes to receive, and
// are the supported side's.
func Match(offered, supported []Codec) []Codec {
	var matched []Codec
	for _, o := range offered {
		i := slices.IndexFunc(supported, func(s Codec) bool { return Same(o, s) })
		if i < 0 {
			continue
		}
		s := supported[i]
		if !strings.EqualFold(o.Name, H264) {
			o.Fmtp = s.Fmtp
		}
		if s.RTX == 0 {
			o.RTX = 0
		}
		if s.RED == 0 {
			o.RED = 0
		}
		o.Feedback = slices.DeleteFunc(slices.Clone(o.Feedback), func(f string) bool { return !s.HasFeedback(f) })
		matched = append(matched, o)
	}
	return matched
}

// Same reports whether a stream in codec a can be sent as codec b: name, clock
// rate, channels, for VP9 and AV1 the profile, and for H.264 profile and packetization mode. The level is
// not compared: it bounds what is sent, and every level that browsers offer
// (3.1) covers what they send.
func Same(a, b Codec) bool {
	if !strings.EqualFold(a.Name, b.Name) || a.ClockRate != b.ClockRate || a.Channels != b.Channels {
		return false
	}
	switch {
	case strings.EqualFold(a.Name, VP9):
		return profileNumber(a.Fmtp, "profile-id") == profileNumber(b.Fmtp, "profile-id")
	case strings.EqualFold(a.Name, AV1):
		return profileNumber(a.Fmtp, "profile") == profileNumber(b.Fmtp, "profile")
	case !strings.EqualFold(a.Name, H264):
		return true
	}
	return packetizationMode(a.Fmtp) == packetizationMode(b.Fmtp) && profile(a.Fmtp) == profile(b.Fmtp)
}

// Parameter returns one parameter of fmtp, "" if it is not there.
func Parameter(fmtp, name string) string {
	for p := range strings.SplitSeq(fmtp, ";") {
		k, v, _ := strings.Cut(strings.TrimSpace(p), "=")
		if strings.EqualFold(strings.TrimSpace(k), name) {
			return strings.TrimSpace(v)
		}
	}
	return ""
}

// profileNumber: absent means 0 (RFC 9628 §6, AV1 RTP specification §7.2.1).
func profileNumber(fmtp, name string) string {
	if p := Parameter(fmtp, name); p != "" {
		return p
	}
	return "0"
}

// packetizationMode: absent means 0 (RFC 6184 §8.1).
func packetizationMode(fmtp string) string {
	if m := Parameter(fmtp, "packetization-mode"); m != "" {
		return m
	}
	return "0"
}

// h264Profile is a profile as a decoder must know it.
type h264Profile string

// profilePatterns is RFC 6184 §8.1, Table 5: profile_idc and the bits of
// profile-iop that matter, by profile. x stands for either bit.
var profilePatterns = []struct {
	idc, iop string
	profile  h264Profile
}{
	{"42", "x1xx0000", "constrained-baseline"},
	{"4d", "1xxx0000", "constrained-baseline"},
	{"58", "11xx0000", "constrained-baseline"},
	{"42", "x0xx0000", "baseline"},
	{"58", "10xx0000", "baseline"},
	{"4d", "0x0x0000", "main"},
	{"64", "00000000", "high"},
	{"64", "00001100", "constrained-high"},
	{"f4", "00000000", "high-444-predictive"},
}

// profile reads profile-level-id; absent means baseline at level 1 (RFC 6184
// §8.1). A profile not in the table is known by its own five digits.
func profile(fmtp string) h264Profile {
	id := strings.ToLower(Parameter(fmtp, "profile-level-id"))
	if id == "" {
		id = "42000a"
	}
	if len(id) != 6 {
		return h264Profile(id)
	}
	for _, p := range profilePatterns {
		if p.idc == id[:2] && fits(id[2:4], p.iop) {
			return p.profile
		}
	}
	return h264Profile(id[:4])
}

// fits reports whether two hexadecimal digits fit a pattern of eight bits.
func fits(digits, pattern string) bool {
	for i := range 8 {
		n := strings.IndexByte("0123456789abcdef", digits[i/4])
		if n < 0 {
			return false
		}
		bit := byte('0' + n>>(3-i%4)&1)
		if pattern[i] != 'x' && pattern[i] != bit {
			return false
		}
	}
	return true
}
