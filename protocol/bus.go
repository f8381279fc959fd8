package protocol

import (
	"cmp"
	"strings"
	"time"
)

// Subjects of the bus. Every fact has one owner that keeps repeating it; a
// server that starts asks on the subject's "ask" and hears everyone at once.
//
//	keys                        KeySet           web, every 10 s and on keys.ask
//	keys.ask                    —                asks for keys
//	zone.Z.mmr.M.state          MMRState         router M, every second and on zone.Z.ask
//	zone.Z.mmr.M.leg            LegState         router M, on change, every 5 s and on zone.Z.ask
//	zone.Z.mmr.M.admit          AdmitRequest → AdmitAnswer
//	zone.Z.mmr.M.relay          RelayRequest → RelayAnswer   a router that dials: see relay.go
//	zone.Z.ask                  —                asks zone Z's routers for state and legs
//	hub.zone.Z.controller.C     ControllerState  controller C, every second and on hub.ask
//	hub.tunnel.T                TunnelState      tunnel T, every second and on hub.ask
//	hub.ask                     —                asks all controllers and tunnels for their state
//	meeting.M.command           MeetingCommand   web or a leg → the meeting's legs
//	meeting.M.leg.…, .ask, .chat                 between a meeting's legs: see legs.go
//	web.meeting.ended           MeetingEnded → Empty   a leg → any web (queue group)
//	meetings.ended              MeetingsEnded    web, every 10 s and on meetings.ended.ask
//	meetings.ended.ask          —                asks for the meetings that have ended
//	web.renew, revoked          identities of servers: see servers.go
const (
	SubjectKeys         = "keys"
	SubjectKeysAsk      = "keys.ask"
	SubjectHubAsk       = "hub.ask"
	SubjectMeetingEnded = "web.meeting.ended"
	// SubjectMeetingsEnded is where web repeats which meetings have ended.
	SubjectMeetingsEnded    = "meetings.ended"
	SubjectMeetingsEndedAsk = "meetings.ended.ask"
	// SubjectControllers matches the state of every controller.
	SubjectControllers = "hub.zone.*.controller.*"
	// QueueWeb is the queue group in which web nodes answer requests.
	QueueWeb = "web"
)

// SubjectZoneAsk asks a zone's routers to repeat themselves.
func SubjectZoneAsk(zone string) string { return "zone." + zone + ".ask" }

// SubjectMMRState is where a router repeats its state; zone and mmr may be "*".
func SubjectMMRState(zone, mmr string) string { return "zone." + zone + ".mmr." + mmr + ".state" }

// SubjectLeg is where a router repeats its legs; mmr may be "*".
func SubjectLeg(zone, mmr string) string { return "zone." + zone + ".mmr." + mmr + ".leg" }

// SubjectAdmit is where a router is asked to admit a participant.
func SubjectAdmit(zone, mmr string) string { return "zone." + zone + ".mmr." + mmr + ".admit" }

// SubjectController is where a controller repeats its zone's state.
func SubjectController(zone, controller string) string {
	return "hub.zone." + zone + ".controller." + controller
}

// SubjectMeetingCommand is where a meeting's legs take commands.
func SubjectMeetingCommand(meeting string) string { return "meeting." + meeting + ".command" }

// ValidID reports whether s can be an id of a zone, server or meeting: 1 to
// 63 lower-case letters, digits and hyphens, so that it can stand in a
// subject and in a host name.
func ValidID(s string) bool {
	if s == "" || len(s) > 63 {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
}

// HostID makes an id for a server of the name of the host that it runs on, with
// a prefix, which may be "".
func HostID(prefix, host string) string {
	host, _, _ = strings.Cut(strings.ToLower(host), ".")
	id := prefix + strings.Map(func(r rune) rune {
		if ValidID(string(r)) {
			return r
		}
		return '-'
	}, host)
	return cmp.Or(strings.Trim(id[:min(len(id), 63)], "-"), "server")
}

// Empty is an answer without content.
type Empty struct{}

// KeySet holds the public keys (Ed25519, 32 bytes) that verify join tokens,
// by key id.
type KeySet struct {
	Keys map[string][]byte `json:"keys"`
	// Revoked are the ids of keys whose tokens count no longer.
	Revoked []string `json:"revoked,omitempty"`
}

// Health says whether a server takes new work.
type Health string

// The states of a server.
const (
	Healthy  Health = "healthy"
	Draining Health = "draining"
	Waiting  Health = "waiting"  // a tunnel: for servers to lead to, and for the bus
	Stopping Health = "stopping" // its last word before it goes
)

// MMRState is what a multimedia router says of itself every second. A router
// that has said nothing for 3 s is taken for dead.
type MMRState struct {
	ID     string `json:"id"`
	Zone   string `json:"zone"`
	Health Health `json:"health"`
	Load   Load   `json:"load"`
	// ControlURL is the address of its control channel; LocalControlURL the
	// plain one for browsers on the same machine, "" if there is none.
	ControlURL      string `json:"control_url"`
	LocalControlURL string `json:"local_control_url,omitempty"`
	// Media lists its UDP media addresses, ip:port; relays lead nowhere else.
	Media   []string `json:"media"`
	Version string   `json:"version"`
	// MediaOK and MediaFailed count the participants whose control channel
	// came within the last minutes: those whose media connected, and those
	// whose media did not within 10 s.
	MediaOK     int `json:"media_ok,omitempty"`
	MediaFailed int `json:"media_failed,omitempty"`
	// Drain is how far a drain has got; nil while there is none.
	Drain *DrainState `json:"drain,omitempty"`
}

// Load is a server's load against its limits.
type Load struct {
	CPU              float64 `json:"cpu"`           // share of the cores it may use, 0…1
	PacketsPerSecond float64 `json:"packets_per_s"` // in and out
	EgressBPS        float64 `json:"egress_bps"`    // bits per second
	Participants     int     `json:"participants"`  //
	OpenFiles        int     `json:"open_files,omitempty"`
	MaxCPU           float64 `json:"max_cpu,omitempty"` // limits; 0 is none (of CPU: 1)
	MaxOpenFiles     int     `json:"max_open_files,omitempty"`
	MaxPackets       float64 `json:"max_packets"`    //
	MaxEgressBPS     float64 `json:"max_egress_bps"` //
	MaxParticipants  int     `json:"max_participants"`
}

// busiest is the load of who uses all its cores but has no limit there: it
// is a reason to choose somebody else, not to refuse anybody.
const busiest = 0.99

// Value is the load as one number: the worst of its parts against their
// limits, 0 idle, 1 full.
func (l Load) Value() float64 {
	v := min(l.CPU, busiest)
	if l.MaxCPU > 0 {
		v = l.CPU / l.MaxCPU
	}
	if l.MaxOpenFiles > 0 {
		v = max(v, float64(l.OpenFiles)/float64(l.MaxOpenFiles))
	}
	if l.MaxPackets > 0 {
		v = max(v, l.PacketsPerSecond/l.MaxPackets)
	}
	if l.MaxEgressBPS > 0 {
		v = max(v, l.EgressBPS/l.MaxEgressBPS)
	}
	if l.MaxParticipants > 0 {
		v = max(v, float64(l.Participants)/float64(l.MaxParticipants))
	}
	return v
}

// LegState says how many participants of a meeting a router carries; 0 means
// that the leg is gone. A leg not repeated for 15 s is forgotten.
type LegState struct {
	MMR          string `json:"mmr"`
	Meeting      string `json:"meeting"`
	Participants int    `json:"participants"`
}

// AdmitRequest asks a router to admit a participant whose token the
// controller has verified. The router verifies it again.
type AdmitRequest struct {
	// ID is the same when a controller asks again because no answer came: the
	// router then answers as it did, or will, the first time.
	ID     string     `json:"id,omitempty"`
	Token  string     `json:"token"`
	Offers Offers     `json:"offers"`
	Client ClientInfo `json:"client"`
	// Address is the participant's IP address as the controller saw it.
	Address string `json:"address"`
	// Resume and Standby are those of the join request.
	Resume  *Resume `json:"resume,omitempty"`
	Standby bool    `json:"standby,omitempty"`
}

// AdmitAnswer is the router's part of JoinAnswer.
type AdmitAnswer struct {
	Session  string       `json:"session"`
	Admitted int64        `json:"admitted,omitempty"`
	Standby  bool         `json:"standby,omitempty"`
	Answers  Offers       `json:"answers"`
	MediaTCP []string     `json:"media_tcp,omitempty"`
	MediaTLS string       `json:"media_tls,omitempty"`
	TURN     []TURNServer `json:"turn,omitempty"`
}

// ControllerState is what a controller says of its zone every second. A
// controller that has said nothing for 3 s is taken for dead.
type ControllerState struct {
	ID         string     `json:"id"`
	Zone       string     `json:"zone"`
	ZoneName   string     `json:"zone_name"`
	URL        string     `json:"url"`
	LocalURL   string     `json:"local_url,omitempty"` // plain, for browsers on the same machine
	State      ZoneStatus `json:"state"`
	Load       float64    `json:"load"`
	Weight     float64    `json:"weight"`
	Lat        float64    `json:"lat"`
	Lon        float64    `json:"lon"`
	Located    bool       `json:"located"` // Lat and Lon are known
	OnPremises bool       `json:"on_premises"`
	// Networks are the CIDRs whose clients get this on-premises zone first.
	Networks     []string `json:"networks,omitempty"`
	Routers      int      `json:"routers"`
	Participants int      `json:"participants"`
	Version      string   `json:"version"`
	// Health is this controller's own: one that drains is not offered, its
	// zone's others are. "" is healthy.
	Health Health `json:"health,omitempty"`
	// Server is this controller's own load.
	Server Load `json:"server"`
	// Ailing names routers, at most 32, that are placed last, and why.
	Ailing map[string]Ailment `json:"ailing,omitempty"`
	// Drain is how far this controller's drain has got; nil while there is none.
	Drain *DrainState `json:"drain,omitempty"`
	// Stopping is this controller's last word: it is to be forgotten at once,
	// and says nothing of its zone.
	Stopping bool `json:"stopping,omitempty"`
}

// Ailment says why a controller places a router last.
type Ailment string

// The ailments of a router.
const (
	AilsSilent  Ailment = "silent"   // it did not answer a controller lately
	AilsNoMedia Ailment = "no_media" // participants fail to connect media there
	AilsLeft    Ailment = "left"     // participants resumed elsewhere because it seemed dead to them
)

// MeetingCommand is something that happens to a whole meeting.
type MeetingCommand struct {
	End bool   `json:"end,omitempty"`
	By  string `json:"by,omitempty"` // participant id of the host, "" when ended over the API
}

// MeetingEnded tells web that a host has ended a meeting.
type MeetingEnded struct {
	Meeting string    `json:"meeting"`
	By      string    `json:"by"`
	At      time.Time `json:"at"`
}

// MaxMeetingsEnded bounds the ids in one MeetingsEnded.
const MaxMeetingsEnded = 512

// MeetingsEnded names meetings that have ended or were deleted so lately that
// join tokens for them are still valid, by id. There may be several messages.
// Routers end what they carry of such a meeting and refuse its tokens with
// meeting_ended, also when they have missed its end or started after it.
type MeetingsEnded struct {
	Meetings []string `json:"meetings"`
}
