package depdesc

// bits reads a big-endian bit string; past the end it reads zeros.
type bits struct {
	b     []byte
	at    int // bit
	short bool
}

// f reads n bits (AV1 RTP specification §A.8.1).
func (r *bits) f(n int) uint32 {
	var v uint32
	for range n {
		v <<= 1
		if r.at >= 8*len(r.b) {
			r.short = true
			continue
		}
		v |= uint32(r.b[r.at/8]>>(7-r.at%8)) & 1
		r.at++
	}
	return v
}

func (r *bits) flag() bool { return r.f(1) != 0 }

// ns reads a value below n, in as few bits as it may need (§A.8.1).
func (r *bits) ns(n uint32) uint32 {
	w := 0
	for x := n; x != 0; x >>= 1 {
		w++
	}
	m := uint32(1)<<w - n
	v := r.f(w - 1)
	if v < m {
		return v
	}
	return v<<1 - m + r.f(1)
}
