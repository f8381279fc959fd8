package legs

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"causeway/protocol"
)

// TestTranscripts plays what may happen to a meeting. A line is "what …", or
// "rN: roster" for what a router's people see.
func TestTranscripts(t *testing.T) {
	for name, script := range map[string]string{
		"two legs are one meeting": `
			join ann 0
			join bob 1
			wait 1s
			0: ann@r0 bob@r1
			1: ann@r0 bob@r1
			2: ann@r0 bob@r1
			mute bob
			wait 200ms
			0: ann@r0 bob@r1m
			leave bob
			wait 200ms
			0: ann@r0
			2: ann@r0`,
		"a leg that begins later hears everything": `
			kill 2
			join ann 0
			join bob 1
			wait 2s
			start 2
			wait 400ms
			2: ann@r0 bob@r1`,
		"first joins on both sides of a partition": `
			cut 0
			join ann 0
			join bob 1
			wait 60s
			0: ann@r0
			1: bob@r1
			heal
			wait 3s
			0: ann@r0 bob@r1
			1: ann@r0 bob@r1`,
		"a partition shows the others as lost, then not at all": `
			join ann 0
			join bob 1
			wait 1s
			cut 0
			wait 9s
			0: ann@r0 bob@r1
			wait 3s
			0: ann@r0 bob@r1(lost)
			1: ann@r0(lost) bob@r1
			wait 30s
			0: ann@r0
			1: bob@r1
			heal
			wait 2s
			0: ann@r0 bob@r1
			2: ann@r0 bob@r1`,
		"the bus is away for long, media are not": `
			media
			join ann 0
			join bob 1
			wait 1s
			cut 0
			wait 10m
			0: ann@r0 bob@r1
			1: ann@r0 bob@r1
			kill 1
			wait 12s
			0: ann@r0 bob@r1(lost)
			wait 30s
			0: ann@r0`,
		"a session elsewhere takes over when it is established": `
			join ann 0
			mute ann
			wait 1s
			resume ann 1 1s
			wait 500ms
			0: ann@r0m
			1: ann@r0m
			2: ann@r0m
			wait 1s
			0: ann@r1m
			1: ann@r1m
			2: ann@r1m
			has 0 ann
			wait 2s
			hasnot 0 ann
			0: ann@r1m
			2: ann@r1m`,
		"resumed in a partition, then healed": `
			join ann 0
			join bob 0
			wait 1s
			cut 0
			resume ann 1 200ms
			wait 1s
			0: ann@r0 bob@r0
			1: ann@r1 bob@r0
			wait 20s
			1: ann@r1 bob@r0(lost)
			heal
			wait 4s
			0: ann@r1 bob@r0
			1: ann@r1 bob@r0
			hasnot 0 ann`,
		"and the clock of the other router is behind": `
			join ann 0
			wait 1s
			ahead ann 1h
			wait 1s
			cut 0
			resume ann 1 200ms
			wait 30s
			heal
			wait 5s
			0: ann@r1
			hasnot 0 ann`,
		"a router is killed, and its people come back elsewhere": `
			join ann 0
			join bob 1
			wait 1s
			kill 1
			wait 1s
			0: ann@r0 bob@r1
			resume bob 2 300ms
			wait 1s
			0: ann@r0 bob@r2
			2: ann@r0 bob@r2
			wait 60s
			0: ann@r0 bob@r2`,
		"a router is killed, and one comes back elsewhere and leaves": `
			join ann 0
			join bob 1
			wait 1s
			kill 1
			wait 1s
			resume bob 2 300ms
			wait 1s
			0: ann@r0 bob@r2
			leave bob
			wait 200ms
			0: ann@r0
			2: ann@r0
			wait 15s
			0: ann@r0
			2: ann@r0`,
		"a router is killed, and one does not come back": `
			join ann 0
			join bob 1
			wait 1s
			kill 1
			wait 11s
			0: ann@r0 bob@r1(lost)
			wait 30s
			0: ann@r0`,
		"a router says that it goes": `
			join ann 0
			join bob 1
			wait 1s
			stop 1
			wait 1s
			0: ann@r0 bob@r1(lost)
			resume bob 2 300ms
			wait 1s
			0: ann@r0 bob@r2
			join cat 2
			wait 1s
			stop 2
			wait 6s
			0: ann@r0`,
		"a router is killed and starts again": `
			join ann 0
			join bob 1
			wait 1s
			kill 1
			wait 2s
			start 1
			wait 500ms
			0: ann@r0 bob@r1(lost)
			1: ann@r0
			resume bob 1 100ms
			wait 1s
			0: ann@r0 bob@r1
			1: ann@r0 bob@r1`,
		"a router is frozen for long, and its people have moved": `
			join ann 0
			join bob 1
			wait 1s
			freeze 1
			wait 2s
			resume bob 2 300ms
			wait 58s
			0: ann@r0 bob@r2
			thaw 1
			wait 4s
			0: ann@r0 bob@r2
			1: ann@r0 bob@r2
			hasnot 1 bob`,
		"a host removes somebody on another leg, who is cut off": `
			join ann 0
			join bob 1
			wait 1s
			cut 1
			remove bob 0
			wait 2s
			1: ann@r0 bob@r1
			heal
			wait 5s
			0: ann@r0
			1: ann@r0
			2: ann@r0`,
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 1, 3)
			w.run(time.Second)
			for _, line := range strings.Split(strings.TrimSpace(script), "\n") {
				w.play(strings.TrimSpace(line))
			}
		})
	}
}

// play carries out a line of a transcript.
func (w *world) play(line string) {
	w.t.Helper()
	w.log("· %s", line)
	what, rest, _ := strings.Cut(line, " ")
	if n, is := strings.CutSuffix(what, ":"); is {
		if got := w.router(n).show(); got != rest {
			w.fail("%s, got %q", line, got)
		}
		return
	}
	arg := append(strings.Fields(rest), "", "", "")
	switch what {
	case "wait":
		w.run(w.duration(arg[0]))
	case "cut":
		w.partition(w.router(arg[0]).n)
	case "heal":
		w.heal()
	case "media":
		w.media = true
	case "kill", "stop":
		w.router(arg[0]).kill(what == "stop")
	case "start":
		w.router(arg[0]).start()
	case "freeze":
		w.router(arg[0]).frozen = true
	case "thaw":
		w.router(arg[0]).thaw()
	case "join":
		w.router(arg[1]).admit(arg[0], 0, 50*time.Millisecond)
	case "resume":
		before, _ := w.session(arg[0])
		var admitted int64
		if before != nil {
			admitted = before.Admitted
			before.goneAt = w.now
		}
		w.router(arg[1]).admit(arg[0], admitted, w.duration(arg[2]))
	default:
		w.playPerson(what, arg)
	}
}

// playPerson carries out what concerns one participant.
func (w *world) playPerson(what string, arg []string) {
	w.t.Helper()
	switch what {
	case "mute":
		s, _ := w.session(arg[0])
		s.Participant.AudioMuted = true
	case "ahead":
		s, _ := w.session(arg[0])
		s.Admitted += w.duration(arg[1]).Milliseconds()
	case "leave":
		_, r := w.session(arg[0])
		r.drop(arg[0], protocol.FarewellLeft)
		r.work()
	case "remove":
		r := w.router(arg[1])
		r.state.Set("removed/"+arg[0], "ann")
		r.work()
	case "has", "hasnot":
		if _, has := w.router(arg[0]).sessions[arg[1]]; has != (what == "has") {
			w.fail("r%s has %s: %v", arg[0], arg[1], has)
		}
	default:
		w.t.Fatalf("unknown line %q", what)
	}
}

func (w *world) router(n string) *router {
	var i int
	_, _ = fmt.Sscan(n, &i)
	return w.routers[i]
}

func (w *world) duration(s string) time.Duration {
	d, err := time.ParseDuration(s)
	if err != nil {
		w.t.Fatal(err)
	}
	return d
}

// session finds a participant's latest session and its router.
func (w *world) session(id string) (*session, *router) {
	var latest *session
	var at *router
	for _, r := range w.routers {
		if s := r.sessions[id]; s != nil && (latest == nil || s.Admitted > latest.Admitted) {
			latest, at = s, r
		}
	}
	return latest, at
}
