package seal

// Sizes of windows in packets, multiples of 64: RFC 3711 section 3.3.2 asks for
// 64 at least. Media arrives reordered by bursts, reports do not.
const (
	rtpWindow  = 1024
	rtcpWindow = 128
)

// A window tells which of the latest packets have come.
type window struct {
	highest int64    // index, none before the first
	came    []uint64 // a bit for each index up to the highest, by the index modulo their number
}

func newWindow(size int) window { return window{none, make([]uint64, size/64)} }

// fresh reports whether a packet has certainly not come yet.
func (w *window) fresh(index int64) bool {
	size := int64(64 * len(w.came))
	return index > w.highest || index > w.highest-size && w.came[index/64%(size/64)]&(1<<(index%64)) == 0
}

// take notes that a packet that is fresh has come.
func (w *window) take(index int64) {
	size := int64(64 * len(w.came))
	if index-w.highest >= size {
		clear(w.came)
		w.highest = index
	}
	for ; w.highest < index; w.highest++ {
		next := w.highest + 1
		w.came[next/64%(size/64)] &^= 1 << (next % 64)
	}
	w.came[index/64%(size/64)] |= 1 << (index % 64)
}
