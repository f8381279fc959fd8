package protocol

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// MaxControlMessage bounds one message on the control channel, in bytes.
const MaxControlMessage = 64 << 10

// MaxChat bounds the text of one chat message, in bytes.
const MaxChat = 4000

// ControlMessage is a message on the control channel: one JSON object per
// WebSocket text message, whose "type" is ControlType.
type ControlMessage interface{ ControlType() string }

// Messages from the client to the router.
type (
	// Hello is the client's first message.
	Hello struct {
		Session string `json:"session"`
		Token   string `json:"token"`
	}
	// Soon says on standby that Enter seems to be near, as when the pointer comes
	// to rest on the button: the picture that is seen first is made ready.
	Soon struct{}
	// Enter is the first message after Standby: its sender goes into the
	// meeting now, as whom the token says. Welcome answers it.
	Enter struct {
		Token string `json:"token"`
	}
	// SetState changes what others see of the sender. Absent fields stay.
	SetState struct {
		AudioMuted *bool `json:"audio_muted,omitempty"`
		VideoMuted *bool `json:"video_muted,omitempty"`
		Sharing    *bool `json:"sharing,omitempty"`
		HandRaised *bool `json:"hand_raised,omitempty"`
	}
	// SendChat says something to everyone; an attendee, to hosts and panellists.
	SendChat struct {
		Text string `json:"text"`
	}
	// Want says what the client wants to see in its video slots. Slots that
	// it does not name are left empty.
	Want struct {
		Slots []SlotWant `json:"slots"`
	}
	// Restart tells the sender's new ICE credentials (RFC 8445 section 9) of the
	// connections that it names: with these the router checks where the sender's
	// media comes from when that changes. Media goes on meanwhile.
	Restart struct {
		Connections []Credentials `json:"connections"`
	}
	// HostAction is something that only a host may do.
	HostAction struct {
		Action HostVerb `json:"action"`
		// Participant is whom it concerns; not used by mute_all and end.
		Participant string `json:"participant,omitempty"`
	}
	// Leave ends the sender's participation at once.
	Leave struct{}
	// Ping asks for a Pong; clients send one at least every 5 s.
	Ping struct {
		N int64 `json:"n"`
	}
)

// Messages from the router to the client.
type (
	// Standby answers Hello where the session was asked for ahead
	// (JoinRequest.Standby): it is kept for so long, and its sender in no
	// meeting before Enter.
	Standby struct {
		ForMS int64 `json:"for_ms"`
	}
	// Welcome answers Hello, or Enter.
	Welcome struct {
		Meeting     MeetingInfo `json:"meeting"`
		Participant string      `json:"participant"` // the receiver's own id
		// Admitted is as in JoinAnswer, which does not tell it of a session on
		// standby.
		Admitted int64 `json:"admitted,omitempty"`
		// Participants are those on the roster whom the receiver is shown, the
		// first of them: the next Parts messages are Roster and hold the rest.
		Participants []Participant `json:"participants"`
		Parts        int           `json:"parts,omitempty"`
		Attendees    int           `json:"attendees,omitempty"` // as Audience
		Slots        []SlotState   `json:"slots"`
		Chat         []Chat        `json:"chat"` // what was said recently
		NowMS        float64       `json:"now_ms"`
	}
	// Roster tells changes: Participants who joined or changed, whole, and
	// who left.
	Roster struct {
		Changed []Participant `json:"changed,omitempty"`
		Left    []Left        `json:"left,omitempty"`
	}
	// Audience tells how many attendees a webinar has.
	Audience struct {
		Attendees int `json:"attendees"`
	}
	// Slots tells what the named slots carry from now on.
	Slots struct {
		Slots []SlotState `json:"slots"`
	}
	// Sync tells, for slots that carry something, how their RTP time maps to
	// the router's clock, so that sound and picture can be played together.
	Sync struct {
		NowMS float64    `json:"now_ms"` // router's clock when it was sent
		Slots []SlotSync `json:"slots"`
	}
	// Speakers lists who speaks now, loudest first.
	Speakers struct {
		Speakers []Speaker `json:"speakers"`
	}
	// Chat is something that was said.
	Chat struct {
		ID   string    `json:"id"`
		From string    `json:"from"`
		Name string    `json:"name"`
		Text string    `json:"text"`
		At   time.Time `json:"at"`
		// Panel says that an attendee said it: hosts, panellists and the
		// attendee see it.
		Panel bool `json:"panel,omitempty"`
	}
	// Layers tells the receiver which layers of its camera are to be sent from
	// now on, so that it need not send, nor encode, what nobody takes. A layer
	// that is asked for again begins with a key frame.
	Layers struct {
		Source Source `json:"source"`
		// Active has an element for each layer: of a simulcast in the order of
		// the offer, of a scalable codec for its spatial ones, lowest first;
		// else one.
		Active []bool `json:"active"`
	}
	// Muted tells the receiver that a host muted its microphone. Its sound
	// is not forwarded until it says SetState{AudioMuted:false}.
	Muted struct {
		By string `json:"by"`
	}
	// Move asks the client to join anew elsewhere, with Resume.Reason "drain",
	// and to leave this session once the new one stands. After DeadlineMS
	// this one ends with Farewell{moved}.
	Move struct {
		DeadlineMS int64        `json:"deadline_ms"` // from now
		Reason     ResumeReason `json:"reason"`
	}
	// Farewell is the router's last message: the participation is over.
	Farewell struct {
		Reason FarewellReason `json:"reason"`
		By     string         `json:"by,omitempty"` // participant id of the host
	}
	// Refusal says that a message was not carried out. The channel stays up
	// unless Fatal.
	Refusal struct {
		Problem Problem `json:"problem"`
		Fatal   bool    `json:"fatal,omitempty"`
	}
	// Pong answers Ping.
	Pong struct {
		N     int64   `json:"n"`
		NowMS float64 `json:"now_ms"`
	}
)

// SlotWant is a wish for one video slot: participant P, up to MaxHeight lines.
// Whoever does not know yet who is there names nobody, and is shown somebody:
// who speaks, or else who came first. The slots' states tell who it is.
type SlotWant struct {
	Slot        SlotID `json:"slot"`
	Participant string `json:"participant"`
	MaxHeight   int    `json:"max_height"`
}

// SlotState is what a slot carries; Participant is "" when it is empty.
type SlotState struct {
	Slot        SlotID `json:"slot"`
	Participant string `json:"participant,omitempty"`
	Source      Source `json:"source,omitempty"`
}

// SlotSync maps a slot's RTP time to the router's clock: the sample with RTP
// timestamp RTP was captured at AtMS.
type SlotSync struct {
	Slot      SlotID  `json:"slot"`
	RTP       uint32  `json:"rtp"`
	ClockRate uint32  `json:"clock_rate"` // Hz
	AtMS      float64 `json:"at_ms"`      // router's clock, milliseconds
	// RepairMS is how much later packets come that were lost on their way to
	// the router and sent again; 0 if none were of late.
	RepairMS int `json:"repair_ms,omitempty"`
}

// Speaker is one who speaks. Level is in dB below full scale, 0 loudest, as
// in RFC 6464.
type Speaker struct {
	Participant string `json:"participant"`
	Level       int    `json:"level"`
}

// HostVerb is what a host can do.
type HostVerb string

// The host's verbs.
const (
	HostMute      HostVerb = "mute"
	HostMuteAll   HostVerb = "mute_all"
	HostLowerHand HostVerb = "lower_hand"
	HostRemove    HostVerb = "remove"
	HostEnd       HostVerb = "end"
	// HostPromote brings an attendee of a webinar up to speak, HostDemote
	// sends whoever speaks, but a host, back among the attendees. The one whom
	// it concerns learns it from the role in a Roster.
	HostPromote HostVerb = "promote"
	HostDemote  HostVerb = "demote"
)

// FarewellReason says why a participation is over.
type FarewellReason string

// The reasons.
const (
	FarewellLeft    FarewellReason = "left"    // by its own wish
	FarewellRemoved FarewellReason = "removed" // by a host
	FarewellEnded   FarewellReason = "ended"   // the meeting is over
	FarewellLost    FarewellReason = "lost"    // not heard of for too long
	FarewellResumed FarewellReason = "resumed" // the same participant joined anew elsewhere
	FarewellMoved   FarewellReason = "moved"   // the router goes: join anew, as the same participant
	// FarewellAudience is no end: somebody is among the attendees now, or an
	// attendee's hand is down, and is not on the receiver's roster any more.
	FarewellAudience FarewellReason = "audience"
)

// Participant is a participant as others see it.
type Participant struct {
	ID           string    `json:"id"`
	Name         string    `json:"name"`
	Role         Role      `json:"role"`
	JoinedAt     time.Time `json:"joined_at"`
	ClientKind   string    `json:"client_kind,omitempty"`
	AudioMuted   bool      `json:"audio_muted"`
	VideoMuted   bool      `json:"video_muted"`
	Sharing      bool      `json:"sharing"`
	HandRaisedAt time.Time `json:"hand_raised_at,omitzero"`
	Path         PathState `json:"path"`
}

// Credentials are one side's ICE credentials of a connection (RFC 8445 section 5.3).
type Credentials struct {
	Kind  MediaKind `json:"kind"`
	Ufrag string    `json:"ufrag"`
	Pwd   string    `json:"pwd"`
}

// PathState says how well a participant is heard of.
type PathState string

// The path states.
const (
	PathConnecting PathState = "connecting" // admitted, no media connection yet
	PathOK         PathState = "ok"
	PathSilent     PathState = "silent" // nothing heard for over 2 s
	PathLost       PathState = "lost"   // media and control channel gone; removed after 30 s
)

// Left tells that a participant is gone, and why.
type Left struct {
	ID     string         `json:"id"`
	Reason FarewellReason `json:"reason"`
}

// ControlType implementations: the "type" of each message.
func (Hello) ControlType() string      { return "hello" }
func (Soon) ControlType() string       { return "soon" }
func (Enter) ControlType() string      { return "enter" }
func (SetState) ControlType() string   { return "set_state" }
func (SendChat) ControlType() string   { return "send_chat" }
func (Want) ControlType() string       { return "want" }
func (Restart) ControlType() string    { return "restart" }
func (HostAction) ControlType() string { return "host" }
func (Leave) ControlType() string      { return "leave" }
func (Ping) ControlType() string       { return "ping" }
func (Standby) ControlType() string    { return "standby" }
func (Welcome) ControlType() string    { return "welcome" }
func (Roster) ControlType() string     { return "roster" }
func (Audience) ControlType() string   { return "audience" }
func (Slots) ControlType() string      { return "slots" }
func (Sync) ControlType() string       { return "sync" }
func (Speakers) ControlType() string   { return "speakers" }
func (Chat) ControlType() string       { return "chat" }
func (Layers) ControlType() string     { return "layers" }
func (Muted) ControlType() string      { return "muted" }
func (Move) ControlType() string       { return "move" }
func (Farewell) ControlType() string   { return "farewell" }
func (Refusal) ControlType() string    { return "refusal" }
func (Pong) ControlType() string       { return "pong" }

// FromClient and FromRouter list the messages of each direction.
var (
	FromClient = []ControlMessage{Hello{}, Soon{}, Enter{}, SetState{}, SendChat{}, Want{}, Restart{}, HostAction{}, Leave{}, Ping{}}
	FromRouter = []ControlMessage{Standby{}, Welcome{}, Roster{}, Audience{}, Slots{}, Sync{}, Speakers{}, Chat{}, Layers{}, Muted{}, Move{}, Farewell{}, Refusal{}, Pong{}}
)

// EncodeControl renders a message with its type as the first field.
func EncodeControl(m ControlMessage) ([]byte, error) {
	body, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", m.ControlType(), err)
	}
	var b bytes.Buffer
	b.Grow(len(body) + 32)
	b.WriteString(`{"type":"`)
	b.WriteString(m.ControlType())
	b.WriteByte('"')
	if len(body) > 2 {
		b.WriteByte(',')
	}
	b.Write(body[1:])
	return b.Bytes(), nil
}

// ErrUnknownMessage is returned by the decoders for a type they do not know.
var ErrUnknownMessage = errors.New("unknown message type")

// DecodeFromClient decodes a message that a client sent to a router.
func DecodeFromClient(data []byte) (ControlMessage, error) {
	return decodeControl(data, func(t string) (ControlMessage, bool) {
		switch t {
		case "hello":
			return &Hello{}, true
		case "soon":
			return &Soon{}, true
		case "enter":
			return &Enter{}, true
		case "set_state":
			return &SetState{}, true
		case "send_chat":
			return &SendChat{}, true
		case "want":
			return &Want{}, true
		case "restart":
			return &Restart{}, true
		case "host":
			return &HostAction{}, true
		case "leave":
			return &Leave{}, true
		case "ping":
			return &Ping{}, true
		}
		return nil, false
	})
}

// DecodeFromRouter decodes a message that a router sent to a client.
func DecodeFromRouter(data []byte) (ControlMessage, error) {
	return decodeControl(data, func(t string) (ControlMessage, bool) {
		switch t {
		case "standby":
			return &Standby{}, true
		case "welcome":
			return &Welcome{}, true
		case "roster":
			return &Roster{}, true
		case "audience":
			return &Audience{}, true
		case "slots":
			return &Slots{}, true
		case "sync":
			return &Sync{}, true
		case "speakers":
			return &Speakers{}, true
		case "chat":
			return &Chat{}, true
		case "layers":
			return &Layers{}, true
		case "muted":
			return &Muted{}, true
		case "move":
			return &Move{}, true
		case "farewell":
			return &Farewell{}, true
		case "refusal":
			return &Refusal{}, true
		case "pong":
			return &Pong{}, true
		}
		return nil, false
	})
}

// decodeControl returns a pointer to the message struct.
func decodeControl(data []byte, blank func(string) (ControlMessage, bool)) (ControlMessage, error) {
	if len(data) > MaxControlMessage {
		return nil, fmt.Errorf("control message of %d bytes: more than %d", len(data), MaxControlMessage)
	}
	var head struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(data, &head); err != nil {
		return nil, fmt.Errorf("control message: %w", err)
	}
	m, ok := blank(head.Type)
	if !ok {
		return nil, fmt.Errorf("%w %q", ErrUnknownMessage, head.Type)
	}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("control message %s: %w", head.Type, err)
	}
	return m, nil
}
