package rtcpstat

import "time"

// ntpEpoch is the Unix time of 1 January 1900 (RFC 5905 §6).
const ntpEpoch = -2208988800

// NTP returns a time as a 64-bit NTP timestamp (RFC 3550 §4). The eras go on
// from 2036 (RFC 5905 §6), as they wrap around.
func NTP(t time.Time) uint64 {
	seconds := uint64(t.Unix() - ntpEpoch)
	fraction := uint64(t.Nanosecond()) << 32 / uint64(time.Second)
	return seconds<<32 | fraction
}

// Since returns the time from one NTP timestamp to another, less than half an
// era (68 years) either way.
func Since(from, to uint64) time.Duration {
	d := int64(to - from)
	seconds, fraction := d>>32, d&0xffffffff
	return time.Duration(seconds)*time.Second + time.Duration(fraction*int64(time.Second)>>32)
}

// Short returns the middle 32 bits of an NTP timestamp, as reports carry it
// (RFC 3550 §6.4.1, LSR): 16.16 seconds.
func Short(ntp uint64) uint32 { return uint32(ntp >> 16) }

// toShort returns a duration in units of 1/65536 s.
func toShort(d time.Duration) uint32 {
	return uint32(uint64(d/time.Second)<<16 + uint64(d%time.Second)<<16/uint64(time.Second))
}

// fromShort is the inverse of toShort.
func fromShort(s uint32) time.Duration {
	return time.Duration(uint64(s) * uint64(time.Second) >> 16)
}
