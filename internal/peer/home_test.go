package peer

import (
	"sync/atomic"
	"testing"
)

// A router that dials sends on the connection it dialled and on those it
// accepted with one shard held, and from the handler of either.
func TestDialledFromHome(t *testing.T) {
	var batches atomic.Int64
	near := listenLoopback(t, 1, func(c *PortConfig) { c.AfterBatch = func(*Shard) { batches.Add(1) } })
	far := listenLoopback(t, 2, nil)
	home := near.Shards()[0]

	relay, atFar, atNear := connectReady(t, far, func(_ *AcceptConfig, d *DialConfig) { d.Home = home })
	if c := relay.client.Shard(); c.mu != home.mu || c.Index() != 0 {
		t.Fatal("the connection does not live with its home")
	}
	before := batches.Load()

	// Held as the home, and as the connection's own.
	home.Run(func() {
		if err := relay.client.SendRTP(rtpPacket(1, 7, 100)); err != nil {
			t.Error(err)
		}
	})
	send(t, relay.client, rtpPacket(2, 7, 100))
	atFar.until(func() bool { return len(atFar.rtp) == 2 })

	// What arrives on the one is sent on the other.
	person, _, atPerson := connectReady(t, near)
	home.Run(func() {
		atNear.onRTP = func(_ *Conn, p []byte) { _ = person.server.SendRTP(p) }
	})
	send(t, relay.server, rtpPacket(3, 8, 100))
	atPerson.until(func() bool { return len(atPerson.rtp) == 1 })
	atNear.until(func() bool { return batches.Load() > before })
	relay.client.Close()
	<-relay.client.Done()
	home.Run(func() {
		if err := relay.client.SendRTP(rtpPacket(4, 7, 100)); err == nil {
			t.Error("sent on a closed connection")
		}
	})
}

func TestMaxSources(t *testing.T) {
	p := listenLoopback(t, 1, nil)
	const many = maxSources + 50
	c, atServer, _ := connectReady(t, p, func(a *AcceptConfig, d *DialConfig) { a.MaxSources, d.MaxSources = 2*maxSources, 2*maxSources })
	for ssrc := range uint32(many) {
		send(t, c.client, rtpPacket(1, ssrc+1, 10))
		atServer.until(func() bool { return len(atServer.rtp) == int(ssrc)+1 })
	}
}
