package web

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"causeway/internal/bus"
	"causeway/internal/store"
	"causeway/protocol"
)

// heardEnded gathers what is told of ended meetings.
type heardEnded struct {
	mu       sync.Mutex
	messages int
	ids      map[string]bool
}

func (n *node) hearEnded() *heardEnded {
	n.t.Helper()
	h := &heardEnded{ids: map[string]bool{}}
	sub, err := bus.Subscribe(n.conn, protocol.SubjectMeetingsEnded, func(_ string, e protocol.MeetingsEnded) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.messages++
		for _, id := range e.Meetings {
			h.ids[id] = true
		}
	})
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(sub.Stop)
	return h
}

// ask asks until what has been heard is right.
func (h *heardEnded) ask(n *node, ids ...string) {
	n.t.Helper()
	slices.Sort(ids)
	await(n.t, fmt.Sprintf("%d ended meetings", len(ids)), func() bool {
		if err := bus.Publish(n.conn, protocol.SubjectMeetingsEndedAsk, protocol.Empty{}); err != nil {
			n.t.Fatal(err)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		return slices.Equal(slices.Sorted(maps.Keys(h.ids)), ids)
	})
}

// TestEndedMeetingsAreRepeated holds that whoever asks hears of ended and of
// deleted meetings.
func TestEndedMeetingsAreRepeated(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		n := startNode(t, dsn, testConfig())
		running, ended, deleted := n.create(protocol.CreateMeeting{}), n.create(protocol.CreateMeeting{}), n.create(protocol.CreateMeeting{})
		get[protocol.Meeting](n, http.StatusOK, request{method: "POST", path: protocol.PathMeetings + "/" + ended.Number + "/end", key: n.key})
		n.do(request{method: "DELETE", path: protocol.PathMeetings + "/" + deleted.Number, key: n.key})
		h := n.hearEnded()
		h.ask(n, ended.ID, deleted.ID)
		get[protocol.Meeting](n, http.StatusOK, request{method: "POST", path: protocol.PathMeetings + "/" + running.Number + "/end", key: n.key})
		h.ask(n, ended.ID, deleted.ID, running.ID)
	})
}

// TestEndedMeetingsInBatches holds that many are told in several messages, and
// those whose tokens have expired not at all.
func TestEndedMeetingsInBatches(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	now := time.Now()
	var ids []string
	add := func(i int, ended time.Time) string {
		m := store.Meeting{ID: fmt.Sprintf("m%d", i), Number: fmt.Sprintf("%010d", i), CreatedAt: now, EndedAt: &ended}
		if err := n.store.CreateMeeting(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		return m.ID
	}
	for i := range protocol.MaxMeetingsEnded + 1 {
		ids = append(ids, add(i, now.Add(-n.cfg.TokenLifetime)))
	}
	add(len(ids), now.Add(-n.cfg.TokenLifetime-time.Hour))
	h := n.hearEnded()
	h.ask(n, ids...)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.messages < 2 {
		t.Errorf("%d messages", h.messages)
	}
}

// TestTURNSecretIsShared holds that nodes of one database take each other's
// TURN credentials, and that others do not.
func TestTURNSecretIsShared(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		one, two := startNode(t, dsn, testConfig()), startNode(t, dsn, testConfig())
		other := startNode(t, "sqlite:"+t.TempDir()+"/other.db", testConfig())
		if len(*one.turnSecret.Load()) != 32 || string(*one.turnSecret.Load()) != string(*two.turnSecret.Load()) {
			t.Error("nodes of one database have different secrets")
		}
		if string(*one.turnSecret.Load()) == string(*other.turnSecret.Load()) {
			t.Error("nodes of two databases have one secret")
		}
	})
}
