package web

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"causeway/internal/bus"
	"causeway/internal/store"
	"causeway/protocol"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/prometheus/client_golang/prometheus"
)

// startNATS starts an outside NATS.
func startNATS(t *testing.T, port int) *server.Server {
	t.Helper()
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: port, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	await(t, "NATS", func() bool { return s.ReadyForConnections(time.Millisecond) && s.Addr() != nil })
	return s
}

func stopNATS(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// TestBusComesLater: a node may start before its bus, and do without it what
// can be done without.
func TestBusComesLater(t *testing.T) {
	first := startNATS(t, server.RANDOM_PORT)
	port := first.Addr().(*net.TCPAddr).Port
	stopNATS(first)
	conn, err := bus.DialOutside(bus.OutsideConfig{Name: "web", URLs: []string{fmt.Sprintf("nats://127.0.0.1:%d", port)}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	n := launch(t, conn, "sqlite:"+filepath.Join(t.TempDir(), "web.db"), testConfig())
	await(t, "started", n.running.Load)
	if err := n.Ready(); err == nil || !strings.Contains(err.Error(), "bus") {
		t.Errorf("ready without a bus: %v", err)
	}
	m := n.create(protocol.CreateMeeting{})
	n.fails(protocol.ProblemNoZone, request{method: "POST", path: lookupPath(m.Number), body: protocol.LookupRequest{Name: "A", Passcode: m.Passcode}})
	// It is ended in the database, but nobody could be told.
	n.fails(protocol.ProblemInternal, request{method: "POST", path: protocol.PathMeetings + "/" + m.Number + "/end", key: n.key})
	n.fails(protocol.ProblemMeetingEnded, request{method: "POST", path: lookupPath(m.Number), body: protocol.LookupRequest{Name: "A", Passcode: m.Passcode}})

	nats := startNATS(t, port)
	t.Cleanup(func() { stopNATS(nats) })
	await(t, "ready", func() bool { return n.Ready() == nil })
	get[protocol.Meeting](n, 200, request{method: "POST", path: protocol.PathMeetings + "/" + m.Number + "/end", key: n.key})
	controller, err := bus.DialOutside(bus.OutsideConfig{Name: "controller", URLs: []string{nats.ClientURL()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(controller.Close)
	state := protocol.ControllerState{ID: "c1", Zone: "eu", URL: "https://eu.example", State: protocol.ZoneOpen}
	await(t, "zone heard", func() bool { // controllers repeat themselves
		_ = bus.Publish(controller, protocol.SubjectController("eu", "c1"), state) // fails until it is connected
		return len(n.zones.Zones(time.Now())) == 1
	})
}

func TestNewRefuses(t *testing.T) {
	st, err := store.Open(context.Background(), "sqlite:"+filepath.Join(t.TempDir(), "web.db"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Config){
		"creation":       func(c *Config) { c.Creation = "x" },
		"Geo-IP":         func(c *Config) { c.GeoIP = filepath.Join(t.TempDir(), "none.mmdb") },
		"token_lifetime": func(c *Config) { c.TokenLifetime = 0 },
	} {
		cfg := testConfig()
		change(&cfg)
		if _, err := New(cfg, Deps{Store: st, Log: slog.New(slog.DiscardHandler)}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want something about %s", err, want)
		}
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := New(testConfig(), Deps{Store: st, Log: slog.New(slog.DiscardHandler)}); err == nil {
		t.Error("made with a closed database")
	}
}

func TestOldReportsAreForgotten(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		ctx, log := context.Background(), slog.New(slog.DiscardHandler)
		st, err := store.Open(ctx, dsn, log)
		if err != nil {
			t.Fatal(err)
		}
		cfg := testConfig()
		for id, age := range map[string]time.Duration{"old": cfg.ReportRetention + time.Minute, "new": cfg.ReportRetention - time.Minute} {
			if _, err := st.AddReport(ctx, store.Report{ID: id, ReceivedAt: time.Now().Add(-age)}); err != nil {
				t.Fatal(err)
			}
		}
		n := startNode(t, dsn, cfg)
		await(t, "old report deleted", func() bool {
			page, _, err := st.Reports(ctx, "", "", 10)
			if err != nil {
				t.Error(err)
			}
			return len(page) == 1 && page[0].ID == "new"
		})
		if err := errors.Join(n.Ready(), st.Close()); err != nil {
			t.Error(err)
		}
	})
}

// counted is what the node's metrics say, by "name label=value".
func counted(t *testing.T, n *node) map[string]float64 {
	t.Helper()
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(n.metrics.lookups, n.metrics.created, n.metrics.reports, n.metrics.answers)
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetName() + "=" + l.GetValue()
			}
			values[name] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return values
}

func TestMetrics(t *testing.T) {
	n := startNode(t, "sqlite:"+filepath.Join(t.TempDir(), "web.db"), testConfig())
	n.open("eu", "us")
	m := n.create(protocol.CreateMeeting{})
	look := request{method: "POST", path: lookupPath(m.Number), body: protocol.LookupRequest{Name: "A", Passcode: m.Passcode}}
	n.do(look)
	look.body = protocol.LookupRequest{Name: "A", Passcode: "x"}
	n.do(look)
	n.do(look)
	want := map[string]float64{
		"causeway_web_lookups_total outcome=ok":                            1,
		"causeway_web_lookups_total outcome=wrong_passcode":                2,
		"causeway_web_meetings_created_total":                              1,
		"causeway_web_request_seconds operation=create-meeting status=201": 1,
		"causeway_web_request_seconds operation=lookup status=200":         1,
		"causeway_web_request_seconds operation=lookup status=403":         2,
	}
	if diff := cmp.Diff(want, counted(t, n)); diff != "" {
		t.Errorf("(-want +got)\n%s", diff)
	}
	if got := openZones(n.zones.Zones(time.Now())); got != 2 {
		t.Errorf("open zones: %g", got)
	}
}
