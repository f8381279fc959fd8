package client

// spsSize reads a picture's size out of a sequence parameter set (H.264
// §7.3.2.1.1), 0 and 0 if it is malformed.
func spsSize(sps []byte) (width, height int) {
	if len(sps) < 4 {
		return 0, 0
	}
	r := bitReader{data: unescape(sps[4:])}
	profile := sps[1]
	r.golomb() // seq_parameter_set_id
	chroma := uint32(1)
	switch profile {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128:
		chroma = r.highProfile()
	}
	r.golomb()                    // log2_max_frame_num
	switch order := r.golomb(); { // pic_order_cnt_type
	case order == 0:
		r.golomb()
	case order == 1:
		r.bits(1)
		r.golomb()
		r.golomb()
		for range min(r.golomb(), 255) {
			r.golomb()
		}
	}
	r.golomb() // max_num_ref_frames
	r.bits(1)
	columns := r.golomb() + 1
	rows := r.golomb() + 1
	frameOnly := r.bits(1)
	if frameOnly == 0 {
		r.bits(1)
		rows *= 2
	}
	r.bits(1)
	var crop [4]uint32 // left, right, top, bottom
	if r.bits(1) == 1 {
		for i := range crop {
			crop[i] = r.golomb()
		}
	}
	if r.failed || columns > 1024 || rows > 1024 {
		return 0, 0
	}
	unitX, unitY := uint32(1), 2-frameOnly
	if chroma == 1 || chroma == 2 {
		unitX = 2
	}
	if chroma == 1 {
		unitY *= 2
	}
	w := int64(columns)*16 - int64(unitX)*(int64(crop[0])+int64(crop[1]))
	h := int64(rows)*16 - int64(unitY)*(int64(crop[2])+int64(crop[3]))
	if w <= 0 || h <= 0 {
		return 0, 0
	}
	return int(w), int(h)
}

// highProfile reads what high profiles have in addition and returns the
// chroma format.
func (r *bitReader) highProfile() (chroma uint32) {
	if chroma = r.golomb(); chroma == 3 {
		r.bits(1)
	}
	r.golomb()
	r.golomb()
	r.bits(1)
	if r.bits(1) == 0 {
		return chroma
	}
	lists := 8
	if chroma == 3 {
		lists = 12
	}
	for i := range lists {
		if r.bits(1) == 0 {
			continue
		}
		size, last, next := 16, int32(8), int32(8)
		if i >= 6 {
			size = 64
		}
		for range size {
			if next != 0 {
				next = (last + r.signed() + 256) % 256
			}
			if next != 0 {
				last = next
			}
		}
	}
	return chroma
}

// unescape takes emulation prevention bytes out (H.264 §7.4.1.1).
func unescape(b []byte) []byte {
	out := make([]byte, 0, len(b))
	zeros := 0
	for _, c := range b {
		if zeros >= 2 && c == 3 {
			zeros = 0
			continue
		}
		if zeros++; c != 0 {
			zeros = 0
		}
		out = append(out, c)
	}
	return out
}

// A bitReader reads bits, most significant first. Beyond the end it reads
// zeros and remembers that it failed.
type bitReader struct {
	data   []byte
	at     int
	failed bool
}

func (r *bitReader) bits(n int) uint32 {
	var v uint32
	for range n {
		v <<= 1
		if r.at/8 >= len(r.data) {
			r.failed = true
			continue
		}
		v |= uint32(r.data[r.at/8]>>(7-r.at%8)) & 1
		r.at++
	}
	return v
}

// golomb reads an unsigned Exp-Golomb code (H.264 §9.1).
func (r *bitReader) golomb() uint32 {
	zeros := 0
	for r.bits(1) == 0 && !r.failed {
		if zeros++; zeros > 31 {
			r.failed = true
		}
	}
	if r.failed {
		return 0
	}
	return 1<<zeros - 1 + r.bits(zeros)
}

// signed reads a signed Exp-Golomb code (H.264 §9.1.1).
func (r *bitReader) signed() int32 {
	v := r.golomb()
	if v&1 == 1 {
		return int32(v/2) + 1
	}
	return -int32(v / 2)
}
