package protocol

// MediaKind names one of the three media connections of a participant. Each
// is a transport of its own (own 5-tuple, own DSCP), so that networks can
// treat them by importance.
type MediaKind string

// The media kinds, in order of priority.
const (
	Audio   MediaKind = "audio"
	Video   MediaKind = "video"
	Content MediaKind = "content"
)

// MediaKinds lists the kinds, most important first.
var MediaKinds = []MediaKind{Audio, Video, Content}

// DSCP returns the differentiated services code point that packets of the
// kind carry in both directions: EF for audio (RFC 3246), AF41 for video and
// AF31 for content (RFC 2597).
func (k MediaKind) DSCP() int {
	switch k {
	case Audio:
		return 46
	case Video:
		return 34
	case Content:
		return 26
	}
	return 0
}

// Source names what a participant can publish. Mic travels on the audio
// connection, Camera on the video connection, Screen and ScreenAudio on the
// content connection. CameraScalable is the camera in a scalable codec, beside
// the one that everybody decodes; whoever is shown it is told of Camera.
type Source string

// The sources.
const (
	Mic            Source = "mic"
	Camera         Source = "camera"
	CameraScalable Source = "camera_scalable"
	Screen         Source = "screen"
	ScreenAudio    Source = "screen_audio"
)

// Shown is what others know a source as.
func (s Source) Shown() Source {
	if s == CameraScalable {
		return Camera
	}
	return s
}

// SlotID names one stream that a participant can receive. The ids follow from
// the participant's own offers, in the order of their receiving m-lines:
// a1… on the audio connection, v1… on the video connection, c1… for pictures
// and s1… for sound on the content connection.
type SlotID string

// Default numbers of slots.
const (
	AudioSlots    = 3  // the loudest others
	MaxVideoSlots = 49 // a router refuses offers that ask for more
)

// Transport names a rung of the ladder by which media travels.
type Transport string

// The rungs, best first.
const (
	UDP Transport = "udp"
	TCP Transport = "tcp"
	TLS Transport = "tls"
)

// MediaPort is the UDP and TCP port of multimedia routers unless configured
// otherwise.
const MediaPort = 8801

// Offers holds one SDP offer (RFC 8866, JSEP) per media connection that the
// participant opens. A connection's first sending m-line of a kind is what
// the participant publishes; each receiving m-line is a slot.
type Offers struct {
	Audio   string `json:"audio,omitempty"`
	Video   string `json:"video,omitempty"`
	Content string `json:"content,omitempty"`
}

// Of returns the description of one kind, "" if there is none.
func (o Offers) Of(k MediaKind) string {
	switch k {
	case Audio:
		return o.Audio
	case Video:
		return o.Video
	case Content:
		return o.Content
	}
	return ""
}

// Set stores the description of one kind.
func (o *Offers) Set(k MediaKind, sdp string) {
	switch k {
	case Audio:
		o.Audio = sdp
	case Video:
		o.Video = sdp
	case Content:
		o.Content = sdp
	}
}
