package protocol

import "time"

// CreateMeeting is the body of POST /api/v1/meetings.
type CreateMeeting struct {
	Topic       string     `json:"topic,omitempty" maxLength:"200" doc:"What the meeting is about"`
	Passcode    string     `json:"passcode,omitempty" maxLength:"64" doc:"Passcode; one is made when this is absent"`
	ScheduledAt *time.Time `json:"scheduled_at,omitempty" doc:"When it is planned to begin (RFC 3339)"`
	// Kind is KindMeeting when it is absent; it stays for good.
	Kind MeetingKind `json:"kind,omitempty" enum:"meeting,webinar" doc:"A meeting, or a webinar, where whoever comes by the join link only watches; meeting when this is absent"`
}

// UpdateMeeting is the body of PATCH /api/v1/meetings/{number}. Absent fields
// stay as they are.
type UpdateMeeting struct {
	Topic       *string    `json:"topic,omitempty" maxLength:"200"`
	Passcode    *string    `json:"passcode,omitempty" maxLength:"64"`
	ScheduledAt *time.Time `json:"scheduled_at,omitempty"`
}

// Meeting is a meeting as its owner sees it.
type Meeting struct {
	ID          string      `json:"id"`
	Number      string      `json:"number" doc:"9 to 11 digits"`
	Topic       string      `json:"topic"`
	Passcode    string      `json:"passcode"`
	JoinURL     string      `json:"join_url" doc:"https://HOST/j/NUMBER?pwd=PASSCODE"`
	HostURL     string      `json:"host_url" doc:"The same with the host's invitation: whoever has it is a host"`
	Kind        MeetingKind `json:"kind" enum:"meeting,webinar"`
	PanelURL    string      `json:"panel_url,omitempty" doc:"Of a webinar: the join link with the panellists' invitation: whoever has it speaks"`
	ScheduledAt *time.Time  `json:"scheduled_at,omitempty"`
	CreatedAt   time.Time   `json:"created_at"`
	EndedAt     *time.Time  `json:"ended_at,omitempty"`
}

// MeetingList is a page of meetings, newest first.
type MeetingList struct {
	Meetings []Meeting `json:"meetings"`
	Next     string    `json:"next,omitempty" doc:"Pass as ?after= for the next page; absent on the last"`
}

// SiteConfig is what the web client may know of web before anything else.
// GET /api/v1/config.
type SiteConfig struct {
	// Creation says who may create meetings: anyone, or only those with an
	// API key.
	Creation string `json:"creation" enum:"anyone,api_key" doc:"Who may create meetings: anyone, or holders of an API key (api_key)"`
	Version  string `json:"version"`
}
