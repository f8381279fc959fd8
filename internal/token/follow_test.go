package token_test

import (
	"context"
	"testing"

	"causeway/internal/bus"
	"causeway/internal/token"
	"causeway/protocol"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// connect starts a bus in process and connects to it.
func connect(t *testing.T) *bus.Conn {
	t.Helper()
	hub, err := bus.StartHub(bus.HubConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(hub.Stop)
	conn, err := hub.Connect("test")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	return conn
}

// follow runs Follow until the test ends.
func follow(t *testing.T, conn *bus.Conn, v *token.Verifier) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- token.Follow(ctx, conn, v) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Follow: %v", err)
		}
	})
}

// web answers keys.ask as web does, and tells each time when it has.
func web(t *testing.T, conn *bus.Conn, keys func() protocol.KeySet) <-chan struct{} {
	t.Helper()
	asked := make(chan struct{}, 16)
	sub, err := bus.Subscribe(conn, protocol.SubjectKeysAsk, func(string, protocol.Empty) {
		_ = bus.Publish(conn, protocol.SubjectKeys, keys())
		select {
		case asked <- struct{}{}:
		default: // the test does not count
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Stop)
	return asked
}

func TestFollowAsks(t *testing.T) {
	s, _ := pair(t)
	conn := connect(t)
	web(t, conn, s.Public)
	v := token.NewVerifier()
	heard := learned(t, conn)
	follow(t, conn, v)
	raw, _ := s.Sign(claims())
	for <-heard; !v.Knows(); <-heard { // its subscription may be a moment later than ours
		if err := bus.Publish(conn, protocol.SubjectKeysAsk, protocol.Empty{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := v.Verify(raw, noon); err != nil {
		t.Errorf("Verify: %v", err)
	}
}

func TestFollowKeepsAsking(t *testing.T) {
	s, _ := pair(t)
	conn := connect(t)
	round := 0
	asked := web(t, conn, func() protocol.KeySet {
		if round++; round < 3 {
			return protocol.KeySet{} // a web node that has none yet
		}
		return s.Public()
	})
	v := token.NewVerifier()
	follow(t, conn, v)
	for range 3 {
		<-asked
	}
}

func TestFollowLearnsNewKeys(t *testing.T) {
	first, _ := token.NewSigner(seed(1))
	second, _ := token.NewSigner(seed(2))
	conn := connect(t)
	asked := web(t, conn, first.Public)
	v := token.NewVerifier()
	follow(t, conn, v)
	<-asked
	raw, _ := second.Sign(claims())
	heard := learned(t, conn)
	for {
		if err := bus.Publish(conn, protocol.SubjectKeys, second.Public()); err != nil {
			t.Fatal(err)
		}
		<-heard
		if _, err := v.Verify(raw, noon); err == nil {
			return
		}
	}
}

func TestFollowOnClosedBus(t *testing.T) {
	conn := connect(t)
	conn.Close()
	if err := token.Follow(t.Context(), conn, token.NewVerifier()); err == nil {
		t.Error("Follow returned no error on a closed bus")
	}
}

// learned tells when keys have passed on the bus.
func learned(t *testing.T, conn *bus.Conn) <-chan struct{} {
	t.Helper()
	heard := make(chan struct{}, 1024)
	sub, err := bus.Subscribe(conn, protocol.SubjectKeys, func(string, protocol.KeySet) { heard <- struct{}{} })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(sub.Stop)
	return heard
}
