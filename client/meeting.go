package client

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"causeway/client/connect"
	"causeway/internal/peer"
	"causeway/protocol"
)

const (
	frameQueue   = 2048        // frames waiting for Options.Receive
	leaveLimit   = time.Second // for the router's farewell
	controlQueue = 64
	lastWordWait = 300 * time.Millisecond // for a farewell after a media connection was closed
)

// A Meeting is a meeting that was joined. Its methods may be called from any
// goroutine.
type Meeting struct {
	options     Options
	link        connect.Link
	network     *connect.Network
	recorder    *connect.Recorder
	certificate *peer.Certificate
	tracks      []Track
	publisher   *publisher // nil: nothing is published
	feeding     sync.Once
	outbox      outbox
	splicer     *splicer
	frames      chan Frame
	inbox       chan received // from the control channels
	leaving     chan struct{}
	leave       sync.Once
	ctx         context.Context // of the participation
	cancel      context.CancelFunc
	tasks       sync.WaitGroup
	done        chan struct{}

	mu        sync.Mutex
	pkg       protocol.Package // the latest
	zone      string
	self      protocol.Identity
	info      protocol.MeetingInfo
	people    []protocol.Participant
	doubtful  map[string]time.Time // of people: whom the present router has not told of yet
	speakers  []protocol.Speaker
	attendees int
	heard     []string // ids of chat messages that were told
	wants     []protocol.SlotWant
	manual    bool // wants are the program's
	muted     map[protocol.Source]bool
	hand      bool
	now       *admission // nil while there is none
	past      map[protocol.MediaKind]protocol.MediaReport
	acked     map[protocol.Source]bool // published, and the router has it
	joined    bool
	err       error
}

// received is a control message or the end of the channel it came by.
type received struct {
	from    *admission
	channel *connect.Control
	message protocol.ControlMessage
	err     error
}

// Join enters the meeting of a link. ctx bounds the joining; the meeting
// itself lasts until Leave or its end. Errors are *protocol.Problem; the Meeting
// is returned with them too, over already, for its Report.
func Join(ctx context.Context, link string, o Options) (*Meeting, error) {
	m, err := newMeeting(link, o)
	if err != nil {
		return m, err
	}
	a, err := m.admit(ctx, m.ctx, nil)
	if err != nil && protocol.ProblemOf(err).Code == protocol.ProblemSessionUnknown {
		// Where controllers are slow two are asked, and the session that the
		// second one has had made counts.
		a, err = m.admit(ctx, m.ctx, nil)
	}
	if err != nil {
		m.cancel()
		m.startFeed() // it ends at once
		m.tasks.Wait()
		m.leaveReport()
		m.network.Close()
		close(m.done)
		m.err = err
		return m, err
	}
	m.tasks.Go(m.deliver)
	m.tasks.Go(m.keepPackage)
	m.tasks.Go(m.firstReport)
	m.startFeed()
	go m.run(newStay(m, a))
	return m, nil
}

// newMeeting prepares a meeting. Where it fails there still is a report.
func newMeeting(link string, o Options) (*Meeting, error) {
	m := &Meeting{
		options: o, recorder: connect.NewRecorder(time.Now()), outbox: newOutbox(),
		frames: make(chan Frame, frameQueue), inbox: make(chan received, controlQueue),
		leaving: make(chan struct{}), done: make(chan struct{}),
		doubtful: map[string]time.Time{}, muted: map[protocol.Source]bool{},
		past: map[protocol.MediaKind]protocol.MediaReport{}, acked: map[protocol.Source]bool{},
	}
	m.splicer = newSplicer(m.emit)
	fail := func(err error) (*Meeting, error) {
		if o.Feed != nil {
			o.Feed.Close()
		}
		m.err = err
		close(m.done)
		return m, err
	}
	if err := m.options.complete(); err != nil {
		return fail(err)
	}
	var err error
	if m.link, err = connect.ParseLink(link); err != nil {
		return fail(err)
	}
	if o.Feed != nil {
		m.tracks = o.Feed.Tracks()
		if err := checkTracks(m.tracks); err != nil {
			return fail(protocol.Wrap(protocol.ProblemSourceUnreadable, err))
		}
		m.publisher = newPublisher(o.Feed, m.options.Log)
	}
	if m.certificate, err = newCertificate(); err != nil {
		return fail(protocol.Wrap(protocol.ProblemInternal, err))
	}
	if m.network, err = m.options.network(); err != nil {
		return fail(err)
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	return m, nil
}

// Done is closed when the participation is over and all goroutines have ended.
func (m *Meeting) Done() <-chan struct{} { return m.done }

// Err says why the participation is over: nil before, and after Leave.
func (m *Meeting) Err() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// Events tells what happens, from Joined to Over, after which it is closed.
// Whoever does not read misses the oldest.
func (m *Meeting) Events() <-chan Event { return m.outbox.events }

// Leave leaves the meeting and returns when everything has ended, and web has the
// report of it.
func (m *Meeting) Leave() {
	m.leave.Do(func() { close(m.leaving) })
	<-m.done
}

// Self is who this participant is. In a webinar the role changes when a host
// brings it up to speak or sends it back.
func (m *Meeting) Self() protocol.Identity {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.self
}

// Info describes the meeting.
func (m *Meeting) Info() protocol.MeetingInfo {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.info
}

// WebClient is the address at which a browser joins the meeting, the last
// resort where nothing else works; "" if the link was not one.
func (m *Meeting) WebClient() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.pkg.WebClient != "" || m.link.Base == "" {
		return m.pkg.WebClient
	}
	return m.link.String() // it is the page's address too
}

// Participants lists who is here, this participant included.
func (m *Meeting) Participants() []protocol.Participant {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.people)
}

// Attendees is how many watch a webinar; only hosts see some of them among
// the Participants, those who raise a hand.
func (m *Meeting) Attendees() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.attendees
}

// Speakers lists who speaks, loudest first.
func (m *Meeting) Speakers() []protocol.Speaker {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.speakers)
}

// Say says something to everyone in the chat; an attendee of a webinar, to
// hosts and panellists.
func (m *Meeting) Say(text string) error {
	return m.send(protocol.SendChat{Text: text})
}

// SetMuted stops or resumes publishing a source, and tells the others.
func (m *Meeting) SetMuted(source protocol.Source, muted bool) error {
	if m.publisher != nil {
		m.publisher.mute(source, muted)
	}
	m.mu.Lock()
	m.muted[source] = muted
	m.mu.Unlock()
	return m.send(m.state())
}

// RaiseHand raises or lowers this participant's hand.
func (m *Meeting) RaiseHand(raised bool) error {
	m.mu.Lock()
	m.hand = raised
	m.mu.Unlock()
	return m.send(protocol.SetState{HandRaised: &raised})
}

// Want says which cameras to see, in place of the automatic layout; nil goes
// back to that.
func (m *Meeting) Want(slots []protocol.SlotWant) error {
	m.mu.Lock()
	m.manual = slots != nil
	if m.manual {
		m.wants = slices.Clone(slots)
	}
	wants := m.wants
	m.mu.Unlock()
	if slots == nil {
		m.layOut()
		return nil
	}
	return m.send(protocol.Want{Slots: wants})
}

// Host does what only hosts may: mute, remove, end, in a webinar bring up to
// speak or send back. Others are refused,
// which an event tells.
func (m *Meeting) Host(verb protocol.HostVerb, participant string) error {
	return m.send(protocol.HostAction{Action: verb, Participant: participant})
}

// send sends a message to the router, if there is a control channel now.
func (m *Meeting) send(msg protocol.ControlMessage) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.now == nil || m.now.control == nil {
		return protocol.NewProblem(protocol.ProblemConnectionLost, "the control channel is being opened again")
	}
	if err := m.now.control.Send(msg); err != nil {
		return fmt.Errorf("send %s: %w", msg.ControlType(), err)
	}
	return nil
}

// state is what others are to know of this participant.
func (m *Meeting) state() protocol.SetState {
	m.mu.Lock()
	defer m.mu.Unlock()
	absent := func(s protocol.Source) *bool {
		has := m.self.Role != protocol.Attendee && slices.ContainsFunc(m.tracks, func(t Track) bool { return t.Source == s })
		v := !has || m.muted[s]
		return &v
	}
	sharing := !*absent(protocol.Screen)
	s := protocol.SetState{AudioMuted: absent(protocol.Mic), VideoMuted: absent(protocol.Camera), HandRaised: &m.hand}
	hand := m.hand
	s.HandRaised = &hand
	if sharing {
		s.Sharing = &sharing
	}
	return s
}

// emit queues a frame for the receiver; it is called with a shard held.
func (m *Meeting) emit(f Frame) bool {
	if m.options.Receive == nil {
		return true
	}
	select {
	case m.frames <- f:
		return true
	default:
		return false
	}
}

// deliver hands frames to the receiver until the links are closed.
func (m *Meeting) deliver() {
	for f := range m.frames {
		m.options.Receive(f)
	}
}

// startFeed begins to publish, once.
func (m *Meeting) startFeed() {
	m.feeding.Do(func() {
		if m.publisher != nil {
			m.tasks.Go(m.feed)
		}
	})
}

// feed publishes until the feed or the meeting ends.
func (m *Meeting) feed() {
	err := m.publisher.run(m.ctx)
	e := Event{At: time.Now(), Kind: FeedEnded}
	if err != nil {
		e.Problem = protocol.ProblemOf(err)
	}
	if m.ctx.Err() == nil {
		m.note(e)
	}
}

// note emits an event and puts it into the report.
func (m *Meeting) note(e Event) {
	m.outbox.put(e)
	m.recorder.Event(e.String(), e.At)
}
