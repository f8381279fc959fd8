package client

import (
	"fmt"
	"strings"
	"time"

	"causeway/protocol"
)

// EventKind says what happened.
type EventKind string

// The kinds of events.
const (
	Joined       EventKind = "joined"       // the meeting was entered; again after Reconnecting
	Appeared     EventKind = "appeared"     // Participant came
	Changed      EventKind = "changed"      // Participant muted, raised a hand, …
	Disappeared  EventKind = "disappeared"  // Participant left, for Reason
	Speaking     EventKind = "speaking"     // Speakers speak, loudest first
	Said         EventKind = "said"         // Chat was said
	Carries      EventKind = "carries"      // Slots carry something else
	HostMuted    EventKind = "host_muted"   // a host muted this participant's microphone
	Refused      EventKind = "refused"      // the router did not do what was asked: Problem
	Reconnecting EventKind = "reconnecting" // a connection was lost: Text says which
	Reconnected  EventKind = "reconnected"  // and is back, perhaps at another router: Text says after how long
	Moving       EventKind = "moving"       // the router asks us to go to another: Text says why
	Moved        EventKind = "moved"        // and we have: Text says where to; nothing was interrupted
	FeedEnded    EventKind = "feed_ended"   // what was published is at its end; Problem if it broke
	KeyWanted    EventKind = "key_wanted"   // someone asked for a key frame of our picture
	Over         EventKind = "over"         // the participation has ended, for Reason or Problem
	// BroughtUp says that a host brought this participant up to speak in a
	// webinar: what it publishes is sent from now on. SentBack ends that.
	BroughtUp EventKind = "brought_up"
	SentBack  EventKind = "sent_back"
	// AudienceChanged says that a webinar has so many Attendees now.
	AudienceChanged EventKind = "audience_changed"
	MediaChanged    EventKind = "media_changed" // a media connection came or went: Text says which
	// NetworkChanged says that this machine has another address: Text.
	NetworkChanged EventKind = "network_changed"
)

// An Event is something that happened in the meeting. Fields that do not
// belong to its kind are empty.
type Event struct {
	At          time.Time               `json:"at"`
	Kind        EventKind               `json:"event"`
	Participant *protocol.Participant   `json:"participant,omitempty"`
	Speakers    []protocol.Speaker      `json:"speakers,omitempty"`
	Slots       []protocol.SlotState    `json:"slots,omitempty"`
	Chat        *protocol.Chat          `json:"chat,omitempty"`
	Reason      protocol.FarewellReason `json:"reason,omitempty"`
	Problem     *protocol.Problem       `json:"problem,omitempty"`
	Attendees   int                     `json:"attendees,omitempty"`
	Text        string                  `json:"text,omitempty"`
}

// String is the event in a few words, for logs.
func (e Event) String() string {
	var parts []string
	if e.Participant != nil {
		parts = append(parts, e.Participant.Name)
	}
	if e.Chat != nil {
		parts = append(parts, fmt.Sprintf("%s: %s", e.Chat.Name, e.Chat.Text))
	}
	if e.Reason != "" {
		parts = append(parts, string(e.Reason))
	}
	if e.Attendees > 0 {
		parts = append(parts, fmt.Sprint(e.Attendees))
	}
	if e.Text != "" {
		parts = append(parts, e.Text)
	}
	if e.Problem != nil {
		parts = append(parts, e.Problem.Error())
	}
	words := strings.ReplaceAll(string(e.Kind), "_", " ")
	if len(parts) == 0 {
		return words
	}
	return words + ": " + strings.Join(parts, ", ")
}

// eventQueue is how many events wait for whoever reads them.
const eventQueue = 256

// An outbox is a bounded queue of events that pushes out the oldest. One
// goroutine puts; any number may take.
type outbox struct{ events chan Event }

func newOutbox() outbox { return outbox{make(chan Event, eventQueue)} }

func (o outbox) put(e Event) {
	for {
		select {
		case o.events <- e:
			return
		default:
		}
		select {
		case <-o.events:
		default:
		}
	}
}
