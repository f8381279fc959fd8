package keyframe

import "encoding/binary"

// NAL unit types (ITU-T H.264 Table 7-1, RFC 6184 §5.2).
const (
	nalSlice = 1
	nalIDR   = 5
	nalSEI   = 6
	nalSPS   = 7
	nalPPS   = 8
	nalAUD   = 9
	nalSTAPA = 24
	nalFUA   = 28
)

// inspectH264 reads single NAL units, STAP-A and FU-A (RFC 6184 §5.6–5.8),
// which is all of packetization modes 0 and 1.
func inspectH264(payload []byte) Info {
	if len(payload) < 2 {
		return Info{}
	}
	switch payload[0] & 0x1f {
	case nalSTAPA:
		return inspectSTAPA(payload[1:])
	case nalFUA:
		if payload[1]&0x80 == 0 { // S: a NAL unit begins
			return Info{}
		}
		return inspectNAL(payload[1]&0x1f, payload[2:])
	}
	return inspectNAL(payload[0]&0x1f, payload[1:])
}

func inspectSTAPA(units []byte) (i Info) {
	for len(units) > 2 {
		n := int(binary.BigEndian.Uint16(units))
		units = units[2:]
		if n == 0 || n > len(units) {
			return i
		}
		u := inspectNAL(units[0]&0x1f, units[1:n])
		i.Start = i.Start || u.Start
		if u.Key {
			i.Key, i.Width, i.Height = true, u.Width, u.Height
		}
		units = units[n:]
	}
	return i
}

// inspectNAL reads the beginning of one NAL unit, without its header byte.
func inspectNAL(kind byte, body []byte) Info {
	switch kind {
	case nalSlice, nalIDR:
		// first_mb_in_slice is ue(v); 0 is one bit set (H.264 §7.3.3).
		return Info{Start: len(body) > 0 && body[0]&0x80 != 0}
	case nalSPS:
		w, h := spsSize(body)
		return Info{Start: true, Key: true, Width: w, Height: h}
	case nalSEI, nalPPS, nalAUD:
		return Info{Start: true}
	}
	return Info{}
}

// spsSize reads the cropped size from a sequence parameter set (H.264
// §7.3.2.1.1), 0 if it is cut or makes no sense.
func spsSize(sps []byte) (width, height int) {
	r := bits{data: sps}
	idc := r.read(8)
	r.read(16) // constraints, level
	r.ue()     // seq_parameter_set_id
	format := uint32(1)
	switch idc {
	case 100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135:
		format = r.highProfile()
	}
	r.ue() // log2_max_frame_num_minus4
	r.pictureOrder()
	r.ue()    // max_num_ref_frames
	r.read(1) // gaps_in_frame_num_value_allowed_flag
	w, h := r.ue()+1, r.ue()+1
	progressive := r.read(1) // frame_mbs_only_flag
	if progressive == 0 {
		r.read(1) // mb_adaptive_frame_field_flag
	}
	r.read(1) // direct_8x8_inference_flag
	var left, right, top, bottom uint32
	if r.read(1) == 1 { // frame_cropping_flag
		left, right, top, bottom = r.ue(), r.ue(), r.ue(), r.ue()
	}
	if r.failed || w > 1<<10 || h > 1<<10 || max(left, right, top, bottom) > 1<<14 {
		return 0, 0
	}
	// H.264 Table 6-1 and equations 7-19 to 7-22.
	unitX, unitY := uint32(1), 2-progressive
	if format == 1 || format == 2 {
		unitX = 2
	}
	if format == 1 {
		unitY *= 2
	}
	width = int(w*16) - int(unitX*(left+right))
	height = int(h*16*(2-progressive)) - int(unitY*(top+bottom))
	if width <= 0 || height <= 0 {
		return 0, 0
	}
	return width, height
}

// bits reads a NAL unit bit by bit, leaving out emulation prevention bytes
// (H.264 §7.4.1). Past the end it reads zeros and has failed.
type bits struct {
	data   []byte
	at     int  // byte
	bit    uint // within it
	zeros  int  // zero bytes just before data[at]
	failed bool
}

func (r *bits) one() uint32 {
	if r.bit == 0 && r.zeros >= 2 && r.at < len(r.data) && r.data[r.at] == 3 {
		r.at++
		r.zeros = 0
	}
	if r.at >= len(r.data) {
		r.failed = true
		return 0
	}
	b := uint32(r.data[r.at]>>(7-r.bit)) & 1
	if r.bit++; r.bit == 8 {
		if r.data[r.at] == 0 {
			r.zeros++
		} else {
			r.zeros = 0
		}
		r.bit = 0
		r.at++
	}
	return b
}

func (r *bits) read(n int) (v uint32) {
	for range n {
		v = v<<1 | r.one()
	}
	return v
}

// ue reads an unsigned Exp-Golomb code (H.264 §9.1).
func (r *bits) ue() uint32 {
	n := 0
	for r.one() == 0 {
		if n++; n > 31 || r.failed {
			r.failed = true
			return 0
		}
	}
	return 1<<n - 1 + r.read(n)
}

func (r *bits) se() int32 {
	v := r.ue()
	if v&1 == 0 {
		return -int32(v / 2)
	}
	return int32(v/2) + 1
}

// highProfile reads what high profiles have in front, and returns
// chroma_format_idc.
func (r *bits) highProfile() uint32 {
	format := r.ue()
	lists := 8
	if format == 3 {
		lists = 12
		r.read(1) // separate_colour_plane_flag
	}
	r.ue()    // bit_depth_luma_minus8
	r.ue()    // bit_depth_chroma_minus8
	r.read(1) // qpprime_y_zero_transform_bypass_flag
	if r.read(1) == 0 {
		return format
	}
	for i := range lists {
		if r.read(1) == 1 {
			r.scalingList(16 + 48*(i/6))
		}
	}
	return format
}

func (r *bits) scalingList(size int) {
	last, next := int32(8), int32(8)
	for range min(size, 64) {
		if next != 0 {
			next = (last + r.se() + 256) % 256
		}
		if next != 0 {
			last = next
		}
		if r.failed {
			return
		}
	}
}

func (r *bits) pictureOrder() {
	switch r.ue() { // pic_order_cnt_type
	case 0:
		r.ue() // log2_max_pic_order_cnt_lsb_minus4
	case 1:
		r.read(1)
		r.se()
		r.se()
		n := r.ue()
		if n > 255 {
			r.failed = true
		}
		for i := uint32(0); i < n && !r.failed; i++ {
			r.se()
		}
	}
}
