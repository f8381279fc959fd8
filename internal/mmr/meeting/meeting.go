package meeting

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"causeway/internal/mmr/control"
	"causeway/internal/mmr/forward"
	"causeway/internal/mmr/legs"
	"causeway/internal/mmr/relay"
	"causeway/protocol"
)

// Times of a meeting.
const (
	ControlDeadline = 30 * time.Second // from admission to the first hello
	LostFor         = 30 * time.Second // from path lost to removal
	EmptyFor        = 60 * time.Second // an empty meeting ends
	Linger          = 2 * time.Second  // media of a session that was taken over
	rosterEvery     = 50 * time.Millisecond
	speakersEvery   = 200 * time.Millisecond
	syncEvery       = 900 * time.Millisecond // a little less than the ticks
	syncAgain       = 5 * time.Second        // what has not changed
	queueLength     = 256
)

// ErrOver says that the meeting has ended; a new one may be made.
var ErrOver = errors.New("the meeting is over")

// Config describes a meeting. The functions must not block.
type Config struct {
	Info   protocol.MeetingInfo
	Router *forward.Router
	Log    *slog.Logger
	// Self names this leg of the meeting.
	Self       legs.Address
	OnPremises bool // as legs.Config
	// Leaving says whether the router is about to go, see Wake; nil: never.
	Leaving func() bool
	// Relays exchange media with the other legs; nil: nothing is exchanged.
	Relays *relay.Relays
	// Publish sends the other legs what this one has to tell; nil: there are
	// none.
	Publish func(legs.Out)
	// Do asks another leg for what a host wants there. Failed may be called
	// later, from any goroutine, if that fails.
	Do func(leg legs.Address, do protocol.LegDo, failed func(*protocol.Problem))
	// Gone is called with the session of each participation that is over.
	Gone func(session string)
	// Count is called when the number of participants has changed.
	Count func(participants int)
	// Ended is called when the meeting was ended for good, by a host or by
	// command, not when it merely ran empty. byHost is "" for a command.
	Ended func(byHost string)
}

// A Meeting is one meeting on this router.
type Meeting struct {
	cfg     Config
	inbox   chan message
	wake    chan struct{}
	done    chan struct{}
	loudest *forward.Loudest

	expecting atomic.Bool // somebody is about to come
	soon      atomic.Bool // within the second

	// Everything below belongs to Run's goroutine.
	state     *legs.State        // what all legs make up together
	mesh      *relay.Mesh        // nil if nothing is exchanged
	people    map[string]*person // by participant id: the sessions that count
	waiting   map[string]*person // those that may take over from them
	order     []*person          // all sessions, by admission
	unsettled []*person          // those that are not established, or ending
	handovers []handover
	sessions  map[string]*person
	roster    map[string]*entry // everybody on any leg
	shares    int               // number of shares so far
	company   bool              // there is more than one
	holdoffs  []holdoff         // of scalableCodecs
	over      bool
	emptyAt   time.Time
	readied   readied

	attendees     int // of a webinar
	attendeesTold int
	audienceAt    time.Time

	slotsDirty  bool      // of everybody
	placesDue   bool      // of those who are marked so
	streamsAt   time.Time // when the mesh was last told
	streamsDue  bool
	changedIDs  map[string]bool     // whose entry is to be told
	leftIDs     map[string]departed // who is to be told to have left
	rosterAt    time.Time
	speakers    []protocol.Speaker
	speakersAt  time.Time
	changes     []forward.Assignment // scratch of settle
	count       int                  // last told to cfg.Count
	nextSync    time.Time
	settleTimer *time.Timer
}

// New makes a meeting; Run must be called.
func New(cfg Config) *Meeting {
	m := &Meeting{
		cfg:      cfg,
		inbox:    make(chan message, queueLength),
		wake:     make(chan struct{}, 1),
		done:     make(chan struct{}),
		people:   map[string]*person{},
		waiting:  map[string]*person{},
		sessions: map[string]*person{},
		holdoffs: make([]holdoff, len(scalableCodecs)),
		roster:   map[string]*entry{},

		changedIDs: map[string]bool{},
		leftIDs:    map[string]departed{},
	}
	m.loudest = cfg.Router.NewLoudest(m.Wake)
	now := time.Now()
	leg := legs.Config{Self: cfg.Self, Epoch: now.UnixMicro(), OnPremises: cfg.OnPremises}
	if cfg.Relays != nil {
		m.mesh = cfg.Relays.Meeting(cfg.Info.ID, leg.Epoch, m.loudest, m.Wake)
		leg.Fingerprint = cfg.Relays.Fingerprint()
	}
	m.state = legs.New(leg, now)
	return m
}

// Wake tells the meeting that something changed on the packet path, or that the
// router is about to go. It never blocks.
func (m *Meeting) Wake() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// Done is closed when the meeting is over.
func (m *Meeting) Done() <-chan struct{} { return m.done }

// Run hosts the meeting until it is over or ctx ends.
func (m *Meeting) Run(ctx context.Context) {
	m.emptyAt = time.Now()
	every := time.NewTicker(time.Second)
	defer every.Stop()
	m.settleTimer = time.NewTimer(0) // there is something to tell at once
	defer m.settleTimer.Stop()
	for !m.over {
		select {
		case msg := <-m.inbox:
			msg.handle(m, time.Now())
		case <-m.wake:
			now := time.Now()
			m.look(now)
			m.listenTo(now)
		case now := <-every.C:
			m.look(now)
			m.listenTo(now)
			m.expire(now)
			m.weighCameras(now)
		case <-m.settleTimer.C:
		case <-ctx.Done():
			m.over = true
		}
		if !m.over {
			m.settle(time.Now())
		}
	}
	m.stop()
}

// stop closes what is left when the meeting is over.
func (m *Meeting) stop() {
	close(m.done)
	if m.cfg.Publish != nil {
		m.cfg.Publish(legs.Out{Updates: []protocol.LegUpdate{m.state.Leave()}})
	}
	if m.mesh != nil {
		m.mesh.Close()
	}
	// Channels that have had no farewell are ended by the router that stops.
	for _, p := range m.order {
		p.media.close()
		m.cfg.Gone(p.session)
	}
	if m.count > 0 {
		m.cfg.Count(0)
	}
	for { // whoever still waits for an answer
		select {
		case msg := <-m.inbox:
			msg.handle(m, time.Now())
		default:
			return
		}
	}
}

// message is something sent to the meeting.
type message interface {
	handle(m *Meeting, now time.Time)
}

// send hands a message to the meeting.
func (m *Meeting) send(ctx context.Context, msg message) error {
	select {
	case m.inbox <- msg:
		return nil
	case <-m.done:
		return ErrOver
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ask hands a message to the meeting and waits for its answer.
func (m *Meeting) ask(ctx context.Context, msg message, answer <-chan error) error {
	if err := m.send(ctx, msg); err != nil {
		return err
	}
	select {
	case err := <-answer:
		return err
	case <-m.done:
		select {
		case err := <-answer:
			return err
		default:
			return ErrOver
		}
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Command carries out a command of the bus.
func (m *Meeting) Command(ctx context.Context, c protocol.MeetingCommand) error {
	return m.send(ctx, command{c})
}

type command struct{ protocol.MeetingCommand }

func (c command) handle(m *Meeting, _ time.Time) {
	if c.End {
		m.end("", c.By)
	}
}

// end ends the meeting for good. byHost is the host on this router who ended
// it, by whoever ended it anywhere.
func (m *Meeting) end(byHost, by string) {
	if m.over {
		return
	}
	m.over = true
	for _, p := range m.order {
		p.farewell(protocol.FarewellEnded, by)
	}
	m.cfg.Ended(byHost)
}

// Attach makes ch the control channel of a session.
func (m *Meeting) Attach(ctx context.Context, session string, ch *control.Channel) (control.Session, error) {
	answer := make(chan error, 1)
	if err := m.ask(ctx, attach{session, ch, answer}, answer); err != nil {
		return nil, err
	}
	return &voice{meeting: m, session: session}, nil
}

type attach struct {
	session string
	ch      *control.Channel
	answer  chan error
}

func (a attach) handle(m *Meeting, now time.Time) {
	p := m.sessions[a.session]
	if m.over || p == nil || p.ending() {
		a.answer <- protocol.NewProblem(protocol.ProblemSessionUnknown, "")
		return
	}
	if p.channel != nil {
		p.channel.End(nil) // the same client came back on a new WebSocket
	}
	if p.greeted {
		p.layersTold = [len(cameras)]uint32{} // it may have missed some of it
	}
	p.channel, p.welcomed, p.greeted = a.ch, false, true
	if m.people[p.ID] == p {
		m.show(p, now)
	}
	a.answer <- nil
}

// voice is the control.Session of one client: it carries what the client
// says into the meeting.
type voice struct {
	meeting *Meeting
	session string
}

// Receive implements control.Session.
func (v *voice) Receive(ctx context.Context, ch *control.Channel, msg protocol.ControlMessage) {
	_ = v.meeting.send(ctx, said{v.session, ch, msg})
}

// Detached implements control.Session.
func (v *voice) Detached(ch *control.Channel) {
	_ = v.meeting.send(context.Background(), detached{v.session, ch})
}

type detached struct {
	session string
	ch      *control.Channel
}

func (d detached) handle(m *Meeting, now time.Time) {
	if p := m.sessions[d.session]; p != nil && p.channel == d.ch {
		p.channel = nil
		m.updatePath(p, now)
	}
}

// Info describes the meeting.
func (m *Meeting) Info() protocol.MeetingInfo { return m.cfg.Info }

// LoudestOf is where sources of a kind compete; nil for those that do not.
func (m *Meeting) LoudestOf(kind protocol.Source) *forward.Loudest {
	if kind == protocol.Mic {
		return m.loudest
	}
	return nil
}
