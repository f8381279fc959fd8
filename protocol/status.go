package protocol

import "time"

// Paths of the operator's view of the whole system, with an API key.
const (
	PathStatus = "/api/v1/status"
	PathEvents = "/api/v1/events"
	// PathDrain: POST DrainServer, answered with DrainState.
	PathDrain = "/api/v1/drain"
)

// DrainServer asks that a controller, router or tunnel be drained, or not
// after all.
type DrainServer struct {
	Kind       ServerKind `json:"kind" enum:"controller,mmr,tunnel"`
	Zone       string     `json:"zone,omitempty" maxLength:"63" doc:"The server's zone; tunnels have none"`
	ID         string     `json:"id" minLength:"1" maxLength:"63"`
	DeadlineMS int64      `json:"deadline_ms,omitempty" minimum:"0" maximum:"86400000" doc:"How long those who are there may stay; 0 is what the server is configured with"`
	Cancel     bool       `json:"cancel,omitempty" doc:"Take the server back into service"`
}

// SubjectWebs matches the state of every web node.
const SubjectWebs = "hub.web.*"

// SubjectWeb is where a web node repeats its state.
func SubjectWeb(id string) string { return "hub.web." + id }

// WebState is what a web node says of itself every second and on hub.ask.
type WebState struct {
	ID      string `json:"id"`
	URL     string `json:"url"`
	Health  Health `json:"health"`
	Version string `json:"version"`
}

// SystemStatus is the whole system as one web node hears of it. Every web node
// hears the same and may be asked.
type SystemStatus struct {
	At           time.Time         `json:"at"`
	Participants int               `json:"participants"`
	Zones        []ZoneOverview    `json:"zones"`
	Tunnels      []ServerOverview  `json:"tunnels"`
	Webs         []ServerOverview  `json:"webs"`
	Meetings     []MeetingOverview `json:"meetings"` // the largest first, at most MaxMeetingsShown
	// MeetingCount counts all meetings that have somebody in them.
	MeetingCount int `json:"meeting_count"`
}

// MaxMeetingsShown bounds the meetings in one SystemStatus.
const MaxMeetingsShown = 200

// ZoneOverview is a zone as its controllers and routers say it is.
type ZoneOverview struct {
	ID           string           `json:"id"`
	Name         string           `json:"name"`
	State        ZoneStatus       `json:"state"` // ZoneEmpty when no controller is heard
	OnPremises   bool             `json:"on_premises"`
	Located      bool             `json:"located"` // Lat and Lon, in degrees, are known
	Lat          float64          `json:"lat"`
	Lon          float64          `json:"lon"`
	Load         float64          `json:"load"` // 0 idle … 1 full
	Participants int              `json:"participants"`
	Controllers  []ServerOverview `json:"controllers"`
	MMRs         []ServerOverview `json:"mmrs"`
}

// ServerKind names one of the servers.
type ServerKind string

// The kinds of server.
const (
	KindWeb        ServerKind = "web"
	KindController ServerKind = "controller"
	KindMMR        ServerKind = "mmr"
	KindTunnel     ServerKind = "tunnel"
)

// Silent is the health that the status shows for a server that has said
// nothing for 3 s: it is dead, frozen or cut off.
const Silent Health = "silent"

// ServerOverview is one server. Load is zero for web nodes, which state none.
type ServerOverview struct {
	Kind    ServerKind `json:"kind"`
	ID      string     `json:"id"`
	Zone    string     `json:"zone,omitempty"`
	Address string     `json:"address"` // URL
	Health  Health     `json:"health"`
	// LoadValue is the load as one number, 0 idle … 1 full; Load its parts.
	LoadValue    float64 `json:"load_value"`
	Load         Load    `json:"load"`
	Participants int     `json:"participants"`
	Version      string  `json:"version"`
	HeardMS      int64   `json:"heard_ms"` // how long ago it was heard of last
	// Ailment says why controllers place a router last, "" when they do not.
	Ailment Ailment `json:"ailment,omitempty"`
	// Drain is how far a drain has got; nil while there is none.
	Drain *DrainState `json:"drain,omitempty"`
}

// MeetingOverview is a meeting that has somebody in it.
type MeetingOverview struct {
	ID           string        `json:"id"`
	Number       string        `json:"number,omitempty"` // "" when the node's database does not know it
	Topic        string        `json:"topic,omitempty"`
	Participants int           `json:"participants"`
	Legs         []LegOverview `json:"legs"` // the largest first
}

// LegOverview is what one router carries of a meeting.
type LegOverview struct {
	Zone         string `json:"zone"`
	MMR          string `json:"mmr"`
	Participants int    `json:"participants"`
}

// EventKind says what has happened to a server.
type EventKind string

// The kinds of event.
const (
	EventAppeared EventKind = "appeared" // heard of for the first time
	EventSilent   EventKind = "silent"   // died, froze or was cut off
	EventReturned EventKind = "returned" // heard of again
	EventStopped  EventKind = "stopped"  // said that it goes
	EventDraining EventKind = "draining" // takes nobody new
	EventHealthy  EventKind = "healthy"  // takes participants again
	EventFull     EventKind = "full"     // has no room left
	EventRoom     EventKind = "room"     // has room again
)

// Event is something that an operator may want to know of. IDs rise by one on
// each web node, which keeps the latest.
type Event struct {
	ID     int64      `json:"id"`
	At     time.Time  `json:"at"`
	Event  EventKind  `json:"event"`
	Kind   ServerKind `json:"kind"`
	Server string     `json:"server"`
	Zone   string     `json:"zone,omitempty"`
}

// EventList answers GET /api/v1/events?after=ID, oldest first. Missed says
// that events after the given one are no longer kept.
type EventList struct {
	Events []Event `json:"events"`
	Missed bool    `json:"missed,omitempty"`
}
