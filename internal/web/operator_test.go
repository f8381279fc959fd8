package web

import (
	"context"
	"net/http"
	"path/filepath"
	"testing"

	"causeway/internal/bus"
	"causeway/protocol"
)

func TestSystemStatus(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		n := startNode(t, dsn, testConfig())
		m := n.create(protocol.CreateMeeting{Topic: "Tea"})
		kept, err := n.store.Meeting(t.Context(), m.Number)
		if err != nil {
			t.Fatal(err)
		}
		n.fails(protocol.ProblemUnauthorized, request{method: "GET", path: protocol.PathStatus})
		publish(t, n.conn, protocol.SubjectController("z", "c"), protocol.ControllerState{ID: "c", Zone: "z", ZoneName: "Taipei", State: protocol.ZoneOpen, URL: "https://c"})
		publish(t, n.conn, protocol.SubjectMMRState("z", "r"), protocol.MMRState{ID: "r", Zone: "z", Health: protocol.Healthy, Load: protocol.Load{Participants: 3}})
		publish(t, n.conn, protocol.SubjectTunnel("t"), protocol.TunnelState{ID: "t", URL: "https://t", Health: protocol.Healthy})
		publish(t, n.conn, protocol.SubjectLeg("z", "r"), protocol.LegState{MMR: "r", Meeting: kept.ID, Participants: 2})
		publish(t, n.conn, protocol.SubjectLeg("z", "r"), protocol.LegState{MMR: "r", Meeting: "another-database", Participants: 1})
		var p protocol.SystemStatus
		await(t, "the whole system is shown", func() bool {
			p = get[protocol.SystemStatus](n, http.StatusOK, request{method: "GET", path: protocol.PathStatus, key: n.key})
			return len(p.Zones) == 1 && len(p.Zones[0].MMRs) == 1 && len(p.Tunnels) == 1 && len(p.Webs) == 1 && p.MeetingCount == 2
		})
		if z := p.Zones[0]; z.Name != "Taipei" || z.Participants != 3 || p.Participants != 3 || p.Webs[0].ID != "web" {
			t.Errorf("status: %+v", p)
		}
		if got := p.Meetings[0]; got.Number != m.Number || got.Topic != "Tea" || got.Participants != 2 {
			t.Errorf("meeting: %+v", got)
		}
		if got := p.Meetings[1]; got.Number != "" || got.ID != "another-database" {
			t.Errorf("meeting that is not in the database: %+v", got)
		}

		all := get[protocol.EventList](n, http.StatusOK, request{method: "GET", path: protocol.PathEvents, key: n.key}).Events
		if len(all) != 4 {
			t.Fatalf("events: %+v", all)
		}
		rest := get[protocol.EventList](n, http.StatusOK, request{method: "GET", path: protocol.PathEvents + "?after=3", key: n.key}).Events
		if len(rest) != 1 || rest[0] != all[3] {
			t.Errorf("events after the third: %+v", rest)
		}
		n.fails(protocol.ProblemUnauthorized, request{method: "GET", path: protocol.PathEvents})
	})
}

func publish[T any](t *testing.T, c *bus.Conn, subject string, v T) {
	t.Helper()
	if err := bus.Publish(c, subject, v); err != nil {
		t.Fatal(err)
	}
}

func TestDrain(t *testing.T) {
	n := startNode(t, "sqlite:"+filepath.Join(t.TempDir(), "web.db"), testConfig())
	asked := make(chan protocol.DrainRequest, 1)
	for _, subject := range []string{
		protocol.SubjectDrainMMR("z", "r"), protocol.SubjectDrainController("z", "c"), protocol.SubjectDrainTunnel("t"),
	} {
		sub, err := bus.Answer(n.conn, subject, "", func(_ context.Context, q protocol.DrainRequest) (protocol.DrainState, error) {
			asked <- q
			return protocol.DrainState{Draining: !q.Cancel, Left: len(subject)}, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		defer sub.Stop()
	}
	for _, d := range []protocol.DrainServer{
		{Kind: protocol.KindMMR, Zone: "z", ID: "r", DeadlineMS: 5000},
		{Kind: protocol.KindController, Zone: "z", ID: "c", Cancel: true},
		{Kind: protocol.KindTunnel, ID: "t"},
	} {
		r := request{method: "POST", path: protocol.PathDrain, key: n.key, body: d}
		var got protocol.DrainState
		await(t, "the subscription has reached the hub", func() bool {
			w := n.do(r)
			if w.Code == http.StatusOK {
				<-asked
			}
			return w.Code == http.StatusOK
		})
		got = get[protocol.DrainState](n, http.StatusOK, r)
		if q := <-asked; got.Draining == d.Cancel || got.Left == 0 || q != (protocol.DrainRequest{DeadlineMS: d.DeadlineMS, Cancel: d.Cancel, By: "test"}) {
			t.Errorf("%+v: asked %+v, got %+v", d, q, got)
		}
	}
	for _, c := range []struct {
		want protocol.Code
		d    protocol.DrainServer
		key  string
	}{
		{protocol.ProblemUnauthorized, protocol.DrainServer{Kind: protocol.KindTunnel, ID: "t"}, ""},
		{protocol.ProblemServerSilent, protocol.DrainServer{Kind: protocol.KindTunnel, ID: "other"}, n.key},
		{protocol.ProblemBadRequest, protocol.DrainServer{Kind: protocol.KindWeb, ID: "web"}, n.key},
		{protocol.ProblemBadRequest, protocol.DrainServer{Kind: protocol.KindTunnel, Zone: "z", ID: "t"}, n.key},
		{protocol.ProblemBadRequest, protocol.DrainServer{Kind: protocol.KindMMR, ID: "r"}, n.key},
		{protocol.ProblemBadRequest, protocol.DrainServer{Kind: protocol.KindMMR, Zone: "z", ID: "*"}, n.key},
	} {
		n.fails(c.want, request{method: "POST", path: protocol.PathDrain, key: c.key, body: c.d})
	}
}
