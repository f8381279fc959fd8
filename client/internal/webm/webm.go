// Package webm reads and writes WebM and Matroska files (RFC 9559): the
// client publishes them and records into them.
//
// The reader pulls one block at a time and never holds more than that, so a
// hostile or broken file costs at most [maxBlock] bytes. The writer works on
// any io.Writer; where it can seek, Close adds duration and index. A file
// that was never closed plays as far as its last cluster. Neither has
// goroutines of its own. Limits: one segment per file, no compressed or
// encrypted tracks.
package webm

import (
	"encoding/binary"
	"errors"
	"time"
)

// The codecs this package knows, by their Matroska names.
const (
	VP8  = "V_VP8"
	H264 = "V_MPEG4/ISO/AVC"
	Opus = "A_OPUS"
)

// A Track describes one track of a file.
type Track struct {
	Number  uint64 // as blocks name it; 1, 2, … when written
	Name    string // shown by players
	Codec   string // Matroska codec id
	Private []byte // codec's own header: OpusHead, avcC

	Width, Height int // pixels, video only

	SampleRate float64 // Hz, audio only
	Channels   int     // audio only

	// Delay is how much later blocks are stamped than what they hold
	// (CodecDelay). [Reader.Next] has subtracted it already.
	Delay time.Duration
	// Frame is the usual duration of one block, 0 if the file does not say.
	Frame time.Duration
}

// Video reports whether the track holds pictures.
func (t Track) Video() bool { return len(t.Codec) > 0 && t.Codec[0] == 'V' }

// A Block is one frame of one track.
type Block struct {
	Track uint64 // Track.Number
	At    time.Duration
	Key   bool
	Data  []byte // the caller's to keep
}

// ErrNotWebM is wrapped by the errors for files that are not WebM or Matroska.
var ErrNotWebM = errors.New("not a WebM or Matroska file")

// Element ids (RFC 9559 §27.1, RFC 8794 §17.1), with their length markers.
const (
	idEBML            = 0x1A45DFA3
	idEBMLVersion     = 0x4286
	idEBMLReadVersion = 0x42F7
	idEBMLMaxID       = 0x42F2
	idEBMLMaxSize     = 0x42F3
	idDocType         = 0x4282
	idDocVersion      = 0x4287
	idDocReadVersion  = 0x4285
	idVoid            = 0xEC

	idSegment       = 0x18538067
	idSeekHead      = 0x114D9B74
	idSeek          = 0x4DBB
	idSeekID        = 0x53AB
	idSeekPosition  = 0x53AC
	idInfo          = 0x1549A966
	idTimecodeScale = 0x2AD7B1
	idDuration      = 0x4489
	idMuxingApp     = 0x4D80
	idWritingApp    = 0x5741

	idTracks          = 0x1654AE6B
	idTrackEntry      = 0xAE
	idTrackNumber     = 0xD7
	idTrackUID        = 0x73C5
	idTrackType       = 0x83
	idFlagLacing      = 0x9C
	idName            = 0x536E
	idCodecID         = 0x86
	idCodecPrivate    = 0x63A2
	idCodecDelay      = 0x56AA
	idSeekPreRoll     = 0x56BB
	idDefaultDuration = 0x23E383
	idVideo           = 0xE0
	idPixelWidth      = 0xB0
	idPixelHeight     = 0xBA
	idAudio           = 0xE1
	idSampling        = 0xB5
	idChannels        = 0x9F
	idEncodings       = 0x6D80

	idCluster        = 0x1F43B675
	idTimecode       = 0xE7
	idSimpleBlock    = 0xA3
	idBlockGroup     = 0xA0
	idBlock          = 0xA1
	idReferenceBlock = 0xFB

	idCues        = 0x1C53BB6B
	idCuePoint    = 0xBB
	idCueTime     = 0xB3
	idCueTrackPos = 0xB7
	idCueTrack    = 0xF7
	idCueCluster  = 0xF1
)

const (
	maxBlock  = 16 << 20 // bytes of one block or block group
	maxHeader = 1 << 20  // bytes of the track list
	maxTracks = 64

	unknownSize = 1<<56 - 1
)

// OpusHead is the codec header of an Opus track (RFC 7845 §5.1) without
// pre-skip: what a recorder writes, whose first packet is not a stream's first.
func OpusHead(channels int) []byte {
	h := make([]byte, 0, 19)
	h = append(h, "OpusHead"...)
	h = append(h, 1, byte(channels))
	h = binary.LittleEndian.AppendUint16(h, 0)
	h = binary.LittleEndian.AppendUint32(h, 48000)
	h = binary.LittleEndian.AppendUint16(h, 0)
	return append(h, 0)
}
