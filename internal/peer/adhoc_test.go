package peer
import ("testing";"time";"runtime";"fmt")
func TestAdhocStuck(t *testing.T) {
	p := listenLoopback(t, 2, nil)
	for i := range 600 { a,b := newRecorder(), newRecorder(); c := connect(t, p, a, b)
		start := time.Now()
		done := make(chan struct{})
		go func() { select { case <-done: case <-time.After(3*time.Second):
			fmt.Println("stuck", i, p.Stats())
			c.client.Shard().Run(func() { fmt.Printf("client path %v phase %d early %d hs %v agent %+v bursts %d\n", c.client.path, c.client.phase, len(c.client.early), c.client.handshake != nil, c.client.dialled.agent.selected, c.client.handshake.pacer.bursts) })
			if s := c.server.Shard(); s != nil { s.Run(func() { fmt.Printf("server path %v phase %d hs %v bursts %d addrs %v\n", c.server.path, c.server.phase, c.server.handshake != nil, c.server.handshake.pacer.bursts, c.server.addresses) }) } else { fmt.Println("no shard") }
			fmt.Println("client", c.client.Stats()); fmt.Println("server", c.server.Stats())
			buf := make([]byte, 1<<20); fmt.Println(string(buf[:runtime.Stack(buf, true)])) ; panic("x") } }()
		b.untilReady(); a.untilReady(); close(done)
		if d := time.Since(start); d > 100*time.Millisecond { t.Log(i, d) }
		}
}
