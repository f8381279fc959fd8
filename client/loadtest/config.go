package loadtest

import (
	"fmt"
	"time"

	"causeway/client"
)

// Mix says what participants do.
type Mix string

// The mixes.
const (
	Gallery Mix = "gallery" // everyone speaks, shows, and sees others
	Webinar Mix = "webinar" // Publishers speak and show, the others watch
	Audio   Mix = "audio"   // everyone speaks, nobody shows
)

// Config says what to do to a meeting.
type Config struct {
	Link         string // of the meeting
	PanelLink    string // of a webinar's panellists, by which Publishers come; "" is Link
	Mix          Mix
	Participants int           // all of them
	Publishers   int           // of a webinar
	Slots        int           // how many pictures each sees at a time; 0 is 9, or Publishers in a webinar
	Ramp         float64       // joins a second
	Duration     time.Duration // after the last has joined
	KBPS         int           // of a picture, kbit/s
	FPS          int           // of a picture
	Height       int           // lines of a picture; its width is 16:9
	Simulcast    bool          // pictures in three sizes
	Sound        int           // bytes of a piece of sound, 50 a second
	// ServerPID is the server's process on this machine, to see what it costs;
	// 0 is none.
	ServerPID int
	// Options are for every participant: roots, proxy, transport. Name, Feed
	// and Receive are Run's.
	Options client.Options
}

// DefaultConfig is a webinar with one publisher, as a peer's benchmark has it:
// about 110 packets of pictures and 50 of sound a second.
func DefaultConfig() Config {
	return Config{
		Mix: Webinar, Participants: 20, Publishers: 1, Ramp: 10, Duration: 20 * time.Second,
		KBPS: 900, FPS: 25, Height: 720, Sound: 100,
	}
}

// Limits of a configuration.
const (
	maxParticipants = 5000
	maxKBPS         = 20_000
	leastSound      = stampEnd // bytes
)

// Check says what is wrong with the configuration.
func (c Config) Check() error {
	for _, f := range []struct {
		name          string
		value, lo, hi float64
		what          string
	}{
		{name: "participants", value: float64(c.Participants), lo: 1, hi: maxParticipants},
		{name: "publishers", value: float64(c.Publishers), lo: 0, hi: float64(c.Participants)},
		{name: "slots", value: float64(c.Slots), lo: 0, hi: 49},
		{name: "ramp", value: c.Ramp, lo: 0.1, hi: 1000, what: " joins a second"},
		{name: "duration", value: c.Duration.Seconds(), lo: 1, hi: 24 * 3600, what: " seconds"},
		{name: "bitrate", value: float64(c.KBPS), lo: 20, hi: maxKBPS, what: " kbit/s"},
		{name: "fps", value: float64(c.FPS), lo: 1, hi: 60},
		{name: "height", value: float64(c.Height), lo: 90, hi: 2160, what: " lines"},
		{name: "sound", value: float64(c.Sound), lo: leastSound, hi: 1000, what: " bytes"},
	} {
		if f.value < f.lo || f.value > f.hi {
			return fmt.Errorf("%s is %g; use %g to %g%s", f.name, f.value, f.lo, f.hi, f.what)
		}
	}
	if c.Mix != Gallery && c.Mix != Webinar && c.Mix != Audio {
		return fmt.Errorf("there is no mix %q; use gallery, webinar or audio", c.Mix)
	}
	return nil
}

// part is what one participant does.
type part struct {
	sound, picture bool
	slots          int
}

// link is the one that the i-th participant comes by.
func (c Config) link(i int) string {
	if c.PanelLink != "" && i < c.Publishers {
		return c.PanelLink
	}
	return c.Link
}

// part gives the i-th participant's; publishers come first.
func (c Config) part(i int) part {
	slots := c.Slots
	switch c.Mix {
	case Audio:
		return part{sound: true}
	case Webinar:
		if slots == 0 {
			slots = max(1, min(c.Publishers, 9))
		}
		publishes := i < c.Publishers
		return part{sound: publishes, picture: publishes, slots: slots}
	}
	if slots == 0 {
		slots = min(9, max(1, c.Participants-1))
	}
	return part{sound: true, picture: true, slots: slots}
}
