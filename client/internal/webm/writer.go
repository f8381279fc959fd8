package webm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	clusterSpan = time.Second // a cluster is written when it has lasted so long
	clusterSize = 1 << 20     // or has so many bytes
	maxCues     = 1 << 16

	seekHeadSize = 32 // reserved for what Close fills in
	durationSize = 11
)

// A Writer writes one file. Blocks are collected in memory and written a
// cluster at a time, about once a second.
type Writer struct {
	w      io.Writer
	tracks []Track

	written uint64 // bytes
	segment uint64 // where the segment's content begins
	seek    uint64 // where the space for the seek head is
	length  uint64 // where the space for the duration is

	cluster []byte // blocks of the open cluster
	start   int64  // its time, ms
	open    bool
	cued    bool
	last    int64 // latest time, ms, with the block's duration
	cues    []cue
	err     error
}

type cue struct {
	at      int64
	track   uint64
	cluster uint64 // where it begins, in the segment
}

// ErrTime is returned for a block whose time lies before the file's beginning.
var ErrTime = errors.New("block time is negative")

// NewWriter writes a file's head. The tracks are numbered 1, 2, … in the
// order given.
func NewWriter(w io.Writer, tracks []Track) (*Writer, error) {
	if len(tracks) == 0 || len(tracks) > maxTracks {
		return nil, fmt.Errorf("a file of %d tracks", len(tracks))
	}
	m := &Writer{w: w, tracks: tracks}
	b := appendElement(nil, idEBML, ebmlHeader(docType(tracks)))
	b = appendID(b, idSegment)
	b = append(b, 0x01, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF) // unknown until Close
	m.segment = uint64(len(b))
	m.seek = uint64(len(b))
	b = appendVoid(b, seekHeadSize)

	info := appendUint(nil, idTimecodeScale, uint64(time.Millisecond))
	info = appendString(info, idMuxingApp, "causeway")
	info = appendString(info, idWritingApp, "causeway")
	b = appendSize(appendID(b, idInfo), len(info)+durationSize)
	b = append(b, info...)
	m.length = uint64(len(b))
	b = appendVoid(b, durationSize)

	var list []byte
	for i, t := range tracks {
		list = appendElement(list, idTrackEntry, appendTrack(nil, uint64(i+1), t))
	}
	b = appendElement(b, idTracks, list)
	m.write(b)
	return m, m.err
}

// docType is "webm" for what WebM allows.
func docType(tracks []Track) string {
	for _, t := range tracks {
		if t.Codec == H264 {
			return "matroska"
		}
	}
	return "webm"
}

func ebmlHeader(docType string) []byte {
	b := appendUint(nil, idEBMLVersion, 1)
	b = appendUint(b, idEBMLReadVersion, 1)
	b = appendUint(b, idEBMLMaxID, 4)
	b = appendUint(b, idEBMLMaxSize, 8)
	b = appendString(b, idDocType, docType)
	b = appendUint(b, idDocVersion, 4)
	return appendUint(b, idDocReadVersion, 2)
}

func appendTrack(b []byte, number uint64, t Track) []byte {
	b = appendUint(b, idTrackNumber, number)
	b = appendUint(b, idTrackUID, number)
	b = appendUint(b, idFlagLacing, 0)
	if t.Name != "" {
		b = appendString(b, idName, t.Name)
	}
	b = appendString(b, idCodecID, t.Codec)
	if len(t.Private) > 0 {
		b = appendElement(b, idCodecPrivate, t.Private)
	}
	if t.Delay > 0 {
		b = appendUint(b, idCodecDelay, uint64(t.Delay))
	}
	if t.Frame > 0 {
		b = appendUint(b, idDefaultDuration, uint64(t.Frame))
	}
	if t.Video() {
		b = appendUint(b, idTrackType, 1)
		v := appendUint(nil, idPixelWidth, uint64(t.Width))
		v = appendUint(v, idPixelHeight, uint64(t.Height))
		return appendElement(b, idVideo, v)
	}
	b = appendUint(b, idTrackType, 2)
	if t.Codec == Opus {
		b = appendUint(b, idSeekPreRoll, uint64(80*time.Millisecond)) // RFC 7845 §4.6
	}
	a := appendFloat(nil, idSampling, t.SampleRate)
	a = appendUint(a, idChannels, uint64(t.Channels))
	return appendElement(b, idAudio, a)
}

// appendVoid reserves n bytes, n < 128.
func appendVoid(b []byte, n int) []byte {
	b = append(b, idVoid, 0x80|byte(n-2))
	return append(b, make([]byte, n-2)...)
}

// Write adds a block. track is an index into the tracks given to NewWriter;
// blocks come in about the order of their times.
func (m *Writer) Write(track int, at time.Duration, key bool, data []byte) error {
	if m.err != nil {
		return m.err
	}
	t := m.tracks[track]
	ms := (at + t.Delay).Round(time.Millisecond).Milliseconds()
	if ms < 0 {
		return ErrTime
	}
	if m.open && m.splits(ms, len(data), key && t.Video()) {
		m.Flush()
	}
	if !m.open {
		m.open, m.start, m.cued = true, ms, false
		m.cluster = appendUint(m.cluster[:0], idTimecode, uint64(ms))
	}
	if key && !m.cued && len(m.cues) < maxCues && (t.Video() || !m.video()) {
		m.cued = true
		m.cues = append(m.cues, cue{ms, uint64(track + 1), m.written - m.segment})
	}
	var flags byte
	if key {
		flags = 0x80
	}
	b := appendSize(appendID(m.cluster, idSimpleBlock), 4+len(data))
	b = append(b, 0x80|byte(track+1))
	b = binary.BigEndian.AppendUint16(b, uint16(int16(ms-m.start)))
	b = append(b, flags)
	m.cluster = append(b, data...)
	m.last = max(m.last, ms+t.Frame.Milliseconds())
	return m.err
}

// splits reports whether a block has to begin a new cluster.
func (m *Writer) splits(ms int64, size int, key bool) bool {
	d := ms - m.start
	return d >= clusterSpan.Milliseconds() || d < -1000 || len(m.cluster)+size > clusterSize ||
		key && d > clusterSpan.Milliseconds()/2
}

func (m *Writer) video() bool {
	for _, t := range m.tracks {
		if t.Video() {
			return true
		}
	}
	return false
}

// Flush writes the open cluster, so that all blocks so far are in the file.
func (m *Writer) Flush() error {
	if m.err != nil || !m.open {
		return m.err
	}
	m.write(appendSize(appendID(make([]byte, 0, 12), idCluster), len(m.cluster)))
	m.write(m.cluster)
	m.open = false
	return m.err
}

// Close writes what is left and, if the file can be sought in, its duration
// and index. It does not close the file.
func (m *Writer) Close() error {
	if err := m.Flush(); err != nil {
		return err
	}
	w, ok := m.w.(io.WriteSeeker)
	if !ok {
		return nil
	}
	cues := m.written - m.segment
	m.write(appendElement(nil, idCues, m.appendCues(nil)))
	end := m.written
	m.patch(w, m.segment-8, appendSizeN(nil, end-m.segment, 8))
	m.patch(w, m.length, appendFloat(nil, idDuration, float64(m.last)))
	entry := appendElement(nil, idSeekID, appendID(nil, idCues))
	entry = append(appendID(entry, idSeekPosition), 0x88)
	entry = binary.BigEndian.AppendUint64(entry, cues)
	entry = appendElement(nil, idSeek, entry)
	head := appendElement(nil, idSeekHead, entry)
	if len(m.cues) > 0 {
		m.patch(w, m.seek, appendVoid(head, seekHeadSize-len(head)))
	}
	if m.err == nil {
		_, m.err = w.Seek(int64(end), io.SeekStart)
	}
	return m.err
}

func (m *Writer) appendCues(b []byte) []byte {
	for _, c := range m.cues {
		p := appendUint(nil, idCueTrack, c.track)
		p = appendUint(p, idCueCluster, c.cluster)
		point := appendUint(nil, idCueTime, uint64(c.at))
		point = appendElement(point, idCueTrackPos, p)
		b = appendElement(b, idCuePoint, point)
	}
	return b
}

func (m *Writer) patch(w io.WriteSeeker, at uint64, b []byte) {
	if m.err != nil {
		return
	}
	if _, m.err = w.Seek(int64(at), io.SeekStart); m.err == nil {
		_, m.err = w.Write(b)
	}
}

func (m *Writer) write(b []byte) {
	if m.err != nil {
		return
	}
	n, err := m.w.Write(b)
	m.written += uint64(n)
	if err != nil {
		m.err = fmt.Errorf("write recording: %w", err)
	}
}
