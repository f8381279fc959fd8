// Package client joins meetings: it is how programs, and `causeway join`,
// take part without a browser.
//
// [Join] goes through the four phases (package client/connect tells them),
// publishes a [Feed] and hands what others publish to [Options.Receive], as
// encoded frames on one clock. [Recorder] writes them into files.
//
//	m, err := client.Join(ctx, "https://meet.example.org/j/123456789?pwd=tulip", client.Options{
//		Name: "Ada",
//		Feed: client.TestCard(),
//	})
//	if err != nil {
//		return err // a *protocol.Problem: title, cause and remedy
//	}
//	defer m.Leave()
//	for e := range m.Events() {
//		fmt.Println(e)
//	}
//
// When the control channel is lost it is opened again while media goes on.
// When the router is dead or frozen, which is noticed within a second, or asks
// its participants to go, the meeting is joined again as the same participant,
// by any controller that is known, beside the session that is: a router that
// was only slow is stayed with, and one that lives is left without a gap in
// what is sent and received. All of it is told as events and in the report.
//
// Goroutines: a Meeting owns one for its state, one that delivers frames, one
// that publishes, one that keeps the way back known, and those of its
// connections (one per media connection, two for the control channel), of
// which there are two sets while it changes routers. All have ended when Done is closed. Queues are
// bounded: frames that the receiver does not take in time are dropped, and
// events beyond 256 push out the oldest.
package client
