package protocol

// Subjects of a meeting that spans several routers. A *leg* is what one
// router carries of a meeting; each leg owns the facts of its own
// participants and repeats them to the others.
//
//	meeting.M.leg.Z.R      LegUpdate   router R of zone Z, on change (coalesced), every second, and on meeting.M.ask
//	meeting.M.ask          LegAsk      a leg that lacks something, or somebody → the leg that has it, or all
//	meeting.M.chat         LegChat     a leg: what was said there, and on meeting.M.ask the recent history
//	meeting.M.leg.Z.R.do   LegDo → Empty   a leg whose host wants something of somebody on R

// SubjectMeeting matches everything that a meeting's legs tell each other.
func SubjectMeeting(meeting string) string { return "meeting." + meeting + ".>" }

// SubjectMeetingLeg is where the leg on a router tells what it has; zone and
// mmr may be "*".
func SubjectMeetingLeg(meeting, zone, mmr string) string {
	return "meeting." + meeting + ".leg." + zone + "." + mmr
}

// SubjectMeetingAsk is where the legs of a meeting are asked to repeat
// themselves.
func SubjectMeetingAsk(meeting string) string { return "meeting." + meeting + ".ask" }

// SubjectMeetingChat is where the legs of a meeting tell what was said.
func SubjectMeetingChat(meeting string) string { return "meeting." + meeting + ".chat" }

// SubjectMeetingDo is where a host's wish concerning somebody on a router is
// taken there; meeting may be "*".
func SubjectMeetingDo(meeting, zone, mmr string) string {
	return SubjectMeetingLeg(meeting, zone, mmr) + ".do"
}

// MaxLegPeople and MaxLegChat bound the people in one LegUpdate and the
// messages in one LegChat, so that neither outgrows what the bus carries.
const (
	MaxLegPeople = 250
	MaxLegChat   = 20
)

// LegUpdate is what a leg says of itself. Its sender is named by the subject.
//
// Each message that changes people has a Version one above the message
// before; a receiver that has another version asks. One without changes is a
// heartbeat. Whole stands for everything: the leg's people come in Parts
// messages of the same Version, and replace what was known. The digests are
// of the state at Version; whoever arrives at others asks. Settings belong to
// the meeting, not to the leg, and have nothing to do with Version.
type LegUpdate struct {
	Epoch   int64  `json:"epoch"` // start of the leg, Unix microseconds; a later one is another leg
	Version uint64 `json:"version"`
	Whole   bool   `json:"whole,omitempty"`
	Part    int    `json:"part,omitempty"` // of Whole, from 0
	Parts   int    `json:"parts,omitempty"`

	Changed  []LegPerson  `json:"changed,omitempty"`
	Left     []LegLeft    `json:"left,omitempty"`
	Settings []LegSetting `json:"settings,omitempty"`

	People uint64 `json:"people"` // digest of the people
	Set    uint64 `json:"set"`    // digest of the settings
	Chat   uint64 `json:"chat"`   // digest of the recent chat
	// OnPremises says that the leg's router cannot be dialled, but dials;
	// Fingerprint is that of the certificate with which it does.
	OnPremises  bool   `json:"on_premises,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`
	// Leaving says that the leg's router is about to go: media should not come
	// by it if they can come otherwise.
	Leaving bool `json:"leaving,omitempty"`
	// Gone is the leg's last word.
	Gone bool `json:"gone,omitempty"`
}

// LegPerson is a participant on a leg. Of the sessions that a participant
// may have on several legs at a time, others see the latest established one
// (by Admitted, then by the leg's name); while none is established, the
// latest.
type LegPerson struct {
	Participant Participant `json:"participant"`
	// Revision is the version of the leg's update that told this.
	Revision uint64 `json:"revision"`
	// Admitted is when the session was admitted, in Unix milliseconds, and
	// later than that of the session it resumes.
	Admitted int64 `json:"admitted"`
	// Established says that the session's control channel has been opened and
	// its sound connected: it takes over from an older one.
	Established bool `json:"established,omitempty"`
	// Sources are what it publishes. Of two of a kind the first counts; the
	// other, of an earlier session on the same leg, goes on for a moment.
	Sources []LegSource `json:"sources,omitempty"`
	// Scalable names the scalable codecs that its slots for cameras take.
	Scalable []string `json:"scalable,omitempty"`
	// CameraScalable says that its camera is to be shown as camera_scalable, as
	// soon as that comes: all who are in the meeting decode it, and have for a
	// while.
	CameraScalable bool `json:"camera_scalable,omitempty"`
}

// LegSource is something that a participant publishes.
type LegSource struct {
	Kind   Source   `json:"kind"`
	Stream uint32   `json:"stream"` // names it among the leg's; random
	Codec  LegCodec `json:"codec"`
}

// LegCodec is a source's codec, as in SDP.
type LegCodec struct {
	Name        string `json:"name"`
	ClockRate   uint32 `json:"clock_rate"`
	Channels    int    `json:"channels,omitempty"`
	Fmtp        string `json:"fmtp,omitempty"`
	PayloadType uint8  `json:"payload_type"`
}

// LegLeft is a participant who is on the leg no more.
type LegLeft struct {
	ID     string         `json:"id"`
	Reason FarewellReason `json:"reason"`
}

// LegSetting is something that holds for the whole meeting: "removed/ID" whom a
// host has removed, "stage/ID" whether somebody speaks in a webinar ("up" or
// "down"; "": as the join token says). Of two values for a key the one with the higher Clock holds, then the one whose By is higher.
type LegSetting struct {
	Key   string `json:"key"`
	Value string `json:"value"`
	Clock uint64 `json:"clock"` // Lamport's
	By    string `json:"by"`    // the leg, "zone/mmr"
}

// LegAsk asks the leg on a router, or with both empty all legs, to repeat
// itself.
type LegAsk struct {
	Zone string `json:"zone,omitempty"`
	MMR  string `json:"mmr,omitempty"`
	// People asks for the leg's people, Shared for what belongs to the whole
	// meeting: settings and recent chat.
	People bool `json:"people,omitempty"`
	Shared bool `json:"shared,omitempty"`
	// Alive asks the leg for a sign of life, as its media do not come any more.
	// Dead says that it gave none: nobody should depend on it until it is heard
	// on the bus.
	Alive bool `json:"alive,omitempty"`
	Dead  bool `json:"dead,omitempty"`
}

// LegChat is something said. Who has a message already, by id, passes it
// over. Everybody orders by time, then id, and keeps the latest.
type LegChat struct {
	Messages []Chat `json:"messages"`
}

// LegDo asks a leg for what a host wants of somebody there; its errors are
// those of a host's action. The leg checks that By is a host.
type LegDo struct {
	Meeting string `json:"meeting"`
	By      string `json:"by"` // participant id of the host
	// Action is mute, mute_all or lower_hand; removing is a setting.
	Action      HostVerb `json:"action"`
	Participant string   `json:"participant,omitempty"`
}
