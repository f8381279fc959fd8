package control

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"causeway/protocol"

	"github.com/coder/websocket"
)

// A Channel is the way out to one client. Its methods never block and may be
// called by any goroutine. Messages leave in the order in which they were
// queued, except that of Speakers and Sync only the latest leaves.
type Channel struct {
	mu       sync.Mutex
	queue    [][]byte
	bytes    int
	speakers []byte
	sync     protocol.Sync
	ended    bool                 // nothing more is taken
	code     websocket.StatusCode // with which the channel is closed once the queue is empty
	reason   string
	deadline time.Time // for what is queued, once the channel has ended
	start    func()    // starts a writer; nil if no client reads
	writing  bool      // there is a writer, or will be none any more
}

// NewDetached makes a channel that no client reads; Drain takes what is
// queued.
func NewDetached() *Channel { return &Channel{} }

// Send queues a message.
func (ch *Channel) Send(m protocol.ControlMessage) {
	data, err := protocol.EncodeControl(m)
	if err != nil { // messages are plain structs: cannot happen
		panic("control: " + err.Error())
	}
	ch.SendEncoded(data)
}

// SendEncoded queues an encoded message, which must not change any more. Use
// it to encode what goes to many channels once.
func (ch *Channel) SendEncoded(data []byte) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.ended {
		return
	}
	if len(ch.queue) >= MaxQueued || ch.bytes+len(data) > MaxQueuedBytes {
		// Whoever reads this slowly has a picture of the meeting that is no
		// longer true: a new channel starts from a fresh Welcome.
		ch.queue, ch.bytes = nil, 0
		ch.end(websocket.StatusPolicyViolation, "too slow: messages were waiting too long")
		return
	}
	ch.queue = append(ch.queue, data)
	ch.bytes += len(data)
	ch.kick()
}

// SendSpeakers replaces the Speakers message that is waiting, if any. data
// is encoded.
func (ch *Channel) SendSpeakers(data []byte) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if !ch.ended {
		ch.speakers = data
		ch.kick()
	}
}

// SendSync merges slots into the Sync message that is waiting, if any.
func (ch *Channel) SendSync(m protocol.Sync) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.ended {
		return
	}
	waiting := ch.sync.Slots
	for _, s := range m.Slots {
		i := slices.IndexFunc(waiting, func(w protocol.SlotSync) bool { return w.Slot == s.Slot })
		if i < 0 {
			waiting = append(waiting, s)
		} else {
			waiting[i] = s
		}
	}
	ch.sync = protocol.Sync{NowMS: m.NowMS, Slots: waiting}
	ch.kick()
}

// End queues a last message, if not nil, and closes the channel once all has
// been written.
func (ch *Channel) End(last protocol.ControlMessage) {
	if last != nil {
		ch.Send(last)
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.end(websocket.StatusNormalClosure, "")
}

// end needs ch.mu.
func (ch *Channel) end(code websocket.StatusCode, reason string) {
	if ch.ended {
		return
	}
	ch.ended, ch.code, ch.reason = true, code, reason
	ch.deadline = time.Now().Add(WriteTimeout)
	ch.speakers, ch.sync = nil, protocol.Sync{}
	ch.kick()
}

// finish ends the channel after its reader ended with err.
func (ch *Channel) finish(err error) {
	var p *protocol.Problem
	if errors.As(err, &p) {
		ch.Send(protocol.Refusal{Problem: *p, Fatal: true})
	}
	ch.mu.Lock()
	defer ch.mu.Unlock()
	code := websocket.StatusNormalClosure
	if p != nil {
		code = websocket.StatusPolicyViolation
	}
	ch.end(code, "")
}

// stop ends the channel because the router does.
func (ch *Channel) stop() {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.end(websocket.StatusGoingAway, "the router stops")
}

// fail ends the channel after a write failed: nothing more is written.
func (ch *Channel) fail() {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	ch.end(websocket.StatusAbnormalClosure, "")
	ch.queue, ch.bytes = nil, 0
}

// kick sees to it that there is a writer. An idle channel has none, which
// saves its stack. It needs ch.mu.
func (ch *Channel) kick() {
	if ch.start != nil && !ch.writing {
		ch.writing = true
		ch.start()
	}
}

// take returns the next message to write; nil if there is none, and then
// whether there will be none any more. If there may be, the writer is done.
func (ch *Channel) take() (data []byte, last bool) {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	switch {
	case len(ch.queue) > 0:
		data = ch.queue[0]
		ch.queue = ch.queue[1:]
		ch.bytes -= len(data)
	case ch.speakers != nil:
		data, ch.speakers = ch.speakers, nil
	case len(ch.sync.Slots) > 0:
		data, _ = protocol.EncodeControl(ch.sync) // a plain struct: cannot fail
		ch.sync = protocol.Sync{}
	default:
		ch.queue = nil // let go of what was written
		ch.writing = ch.ended
		return nil, ch.ended
	}
	return data, false
}

// Drain takes what is queued and reports whether the channel was ended. It
// stands in for the client in tests of meetings.
func (ch *Channel) Drain() (messages [][]byte, ended bool) {
	for {
		data, last := ch.take()
		if data == nil {
			return messages, last
		}
		messages = append(messages, data)
	}
}

// write writes what is queued, and closes the WebSocket if the channel has
// ended. It reports whether the channel goes on.
func (ch *Channel) write(ws *websocket.Conn) bool {
	// One timer for all writes: contexts with deadlines would cost more than
	// the messages.
	timer := time.AfterFunc(WriteTimeout, func() { _ = ws.CloseNow() })
	defer timer.Stop()
	for {
		data, last := ch.take()
		switch {
		case last:
			timer.Stop() // Close has a limit of its own
			_ = ws.Close(ch.code, ch.reason)
			return false
		case data == nil:
			return true
		case ch.writeOne(ws, timer, data) != nil:
			ch.fail()
			return false
		}
	}
}

func (ch *Channel) writeOne(ws *websocket.Conn, timer *time.Timer, data []byte) error {
	timer.Reset(time.Until(ch.until(time.Now())))
	return ws.Write(context.Background(), websocket.MessageText, data)
}

// until is when a write that begins now must be done. However much a slow
// client is still to be told, a channel that has ended is soon gone.
func (ch *Channel) until(now time.Time) time.Time {
	ch.mu.Lock()
	defer ch.mu.Unlock()
	if ch.ended {
		return ch.deadline
	}
	return now.Add(WriteTimeout)
}
