package mmr

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"causeway/internal/bus"
	"causeway/internal/media/offer"
	"causeway/internal/peer"
	"causeway/internal/token"
	"causeway/protocol"

	"github.com/coder/websocket"
)

// goodOffers are offers of all connections.
func goodOffers(t testing.TB) protocol.Offers {
	t.Helper()
	certificate, err := peer.NewCertificate()
	if err != nil {
		t.Fatal(err)
	}
	var offers protocol.Offers
	for _, kind := range protocol.MediaKinds {
		c := peer.NewCredentials()
		offers.Set(kind, offer.New(offer.Params{
			Ufrag: c.Ufrag, Pwd: c.Pwd, Fingerprint: certificate.Fingerprint(), Lines: wish{}.lines(kind),
		}).String())
	}
	return offers
}

func wantProblem(t *testing.T, err error, code protocol.Code) {
	t.Helper()
	var p *protocol.Problem
	if !errors.As(err, &p) || p.Code != code {
		t.Errorf("error %v, want problem %s", err, code)
	}
}

func TestForgedAndExpiredTokens(t *testing.T) {
	w := newWorld(t, nil)
	stranger, err := token.NewSigner(token.NewSeed())
	if err != nil {
		t.Fatal(err)
	}
	sign := func(s *token.Signer, expires time.Duration) string {
		raw, err := s.Sign(claims("m1", "ada", protocol.Host, time.Now().Add(expires)))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	for name, c := range map[string]struct {
		token string
		code  protocol.Code
	}{
		"none":    {"", protocol.ProblemTokenInvalid},
		"garbage": {"garbage", protocol.ProblemTokenInvalid},
		"forged":  {sign(stranger, time.Hour), protocol.ProblemTokenInvalid},
		"expired": {sign(w.signer, -time.Hour), protocol.ProblemTokenExpired},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := w.admit(protocol.AdmitRequest{Token: c.token, Offers: goodOffers(t)})
			wantProblem(t, err, c.code)
		})
	}
	if n := w.server.port.Stats().Connections; n != 0 {
		t.Errorf("%d connections were opened for nobody", n)
	}
}

func TestWrongOffers(t *testing.T) {
	w := newWorld(t, nil)
	good := goodOffers(t)
	for name, change := range map[string]func(*protocol.Offers){
		"none":           func(o *protocol.Offers) { *o = protocol.Offers{} },
		"garbage":        func(o *protocol.Offers) { o.Video = "garbage" },
		"binary":         func(o *protocol.Offers) { o.Audio = "\x00\xff\xfe" },
		"huge":           func(o *protocol.Offers) { o.Audio += strings.Repeat("a=x\r\n", 100_000) },
		"cut":            func(o *protocol.Offers) { o.Audio = o.Audio[:len(o.Audio)/8] },
		"no fingerprint": func(o *protocol.Offers) { o.Audio = strings.ReplaceAll(o.Audio, "a=fingerprint", "a=fringerprint") },
		"no credentials": func(o *protocol.Offers) { o.Audio = strings.ReplaceAll(o.Audio, "a=ice-pwd", "a=ice-pdw") },
		"no known codec": func(o *protocol.Offers) { o.Audio = strings.ReplaceAll(o.Audio, "opus/48000/2", "PCMU/8000") },
		"video on audio": func(o *protocol.Offers) { o.Audio = o.Video },
		"audio on video": func(o *protocol.Offers) { o.Video = o.Audio },
		"nothing sent or got": func(o *protocol.Offers) {
			o.Audio = strings.NewReplacer("a=sendonly", "a=inactive", "a=recvonly", "a=inactive").Replace(o.Audio)
		},
	} {
		t.Run(name, func(t *testing.T) {
			offers := good
			change(&offers)
			_, err := w.admit(protocol.AdmitRequest{Token: w.token("m1", "ada", protocol.Guest), Offers: offers})
			wantProblem(t, err, protocol.ProblemBadOffer)
		})
	}
	if n := w.server.port.Stats().Connections; n != 0 {
		t.Errorf("%d connections were opened for nobody", n)
	}
}

func TestTooManySlots(t *testing.T) {
	w := newWorld(t, nil)
	c := peer.NewCredentials()
	certificate, _ := peer.NewCertificate()
	sdp := offer.New(offer.Params{
		Ufrag: c.Ufrag, Pwd: c.Pwd, Fingerprint: certificate.Fingerprint(),
		Lines: wish{videoSlots: protocol.MaxVideoSlots + 1}.lines(protocol.Video),
	}).String()
	_, err := w.admit(protocol.AdmitRequest{Token: w.token("m1", "ada", protocol.Guest), Offers: protocol.Offers{Video: sdp}})
	wantProblem(t, err, protocol.ProblemBadOffer)
}

func TestAnswers(t *testing.T) {
	w := newWorld(t, nil)
	a, err := w.admit(protocol.AdmitRequest{Token: w.token("m1", "ada", protocol.Guest), Offers: goodOffers(t)})
	if err != nil {
		t.Fatal(err)
	}
	if len(a.Session) < 22 {
		t.Errorf("session %q is not 128 bits", a.Session)
	}
	seen := map[uint32]bool{}
	for kind, slots := range map[protocol.MediaKind][]string{
		protocol.Audio: {"", "a1", "a2", "a3"}, protocol.Video: {"", "v1"}, protocol.Content: {"", "", "c1", "s1"},
	} {
		d, err := offer.Parse(a.Answers.Of(kind))
		if err != nil {
			t.Fatal(err)
		}
		if !d.Lite || d.Setup != offer.Passive || len(d.Candidates) == 0 || d.Candidates[0].Protocol != "udp" || d.Candidates[0].Addr.Port() != w.server.port.Addr().Port() {
			t.Errorf("%s: %+v", kind, d)
		}
		for i, l := range d.Lines {
			if slots[i] == "" {
				if l.Direction != offer.RecvOnly || len(l.Codecs) != 1 {
					t.Errorf("%s line %d: %s, %d codecs", kind, i, l.Direction, len(l.Codecs))
				}
				continue
			}
			if l.Direction != offer.SendOnly || l.Stream != slots[i] || len(l.SSRCs) != 1 || seen[l.SSRCs[0]] {
				t.Errorf("%s line %d: %+v", kind, i, l)
			}
			if rtx := l.RTXOf[l.SSRCs[0]]; l.Kind == offer.Video && rtx == 0 {
				t.Errorf("%s line %d has no retransmissions", kind, i)
			}
			seen[l.SSRCs[0]] = true
		}
	}
}

func TestLimits(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Limits.Participants = 1 })
	w.join("m1", "ada", wish{kinds: []protocol.MediaKind{protocol.Audio}})
	_, err := w.admit(protocol.AdmitRequest{Token: w.token("m1", "bob", protocol.Guest), Offers: goodOffers(t)})
	wantProblem(t, err, protocol.ProblemZoneFull)
	if _, err := w.admit(protocol.AdmitRequest{Token: w.token("m1", "ada", protocol.Guest), Offers: goodOffers(t)}); err != nil {
		t.Errorf("who is here already could not come again: %v", err)
	}
}

func TestHelloChecks(t *testing.T) {
	w := newWorld(t, nil)
	ada := w.enter("m1", "ada", wish{kinds: []protocol.MediaKind{protocol.Audio}})
	expired, err := w.signer.Sign(claims("m1", "ada", protocol.Guest, time.Now().Add(-time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		hello protocol.Hello
		code  protocol.Code // "" is welcome
	}{
		"unknown session":       {protocol.Hello{Session: "x", Token: ada.token}, protocol.ProblemSessionUnknown},
		"another's token":       {protocol.Hello{Session: ada.session, Token: w.token("m1", "bob", protocol.Guest)}, protocol.ProblemSessionUnknown},
		"another meeting's":     {protocol.Hello{Session: ada.session, Token: w.token("m2", "ada", protocol.Guest)}, protocol.ProblemSessionUnknown},
		"no token":              {protocol.Hello{Session: ada.session}, protocol.ProblemTokenInvalid},
		"good":                  {protocol.Hello{Session: ada.session, Token: ada.token}, ""},
		"expired in mid-course": {protocol.Hello{Session: ada.session, Token: expired}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			ws, _, err := websocket.Dial(ctx, w.base+protocol.PathControl, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer ws.CloseNow()
			data, _ := protocol.EncodeControl(c.hello)
			if err := ws.Write(ctx, websocket.MessageText, data); err != nil {
				t.Fatal(err)
			}
			_, data, err = ws.Read(ctx)
			if err != nil {
				t.Fatal(err)
			}
			m, err := protocol.DecodeFromRouter(data)
			if err != nil {
				t.Fatal(err)
			}
			switch m := m.(type) {
			case *protocol.Welcome:
				if c.code != "" {
					t.Error("welcomed")
				}
			case *protocol.Refusal:
				if m.Problem.Code != c.code || !m.Fatal {
					t.Errorf("refused: %s", data)
				}
			default:
				t.Errorf("got %s", data)
			}
		})
	}
}

func TestPlainHTTPOnTheControlPath(t *testing.T) {
	w := newWorld(t, nil)
	for path, want := range map[string]int{protocol.PathControl: http.StatusUpgradeRequired, "/mmr/v1/other": http.StatusNotFound} {
		resp, err := http.Get(w.http.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("%s: %d, want %d", path, resp.StatusCode, want)
		}
	}
}

// TestHostEndsTheMeeting looks that everybody is told, web too, although it
// was away at first, and that nobody gets in any more.
func TestHostEndsTheMeeting(t *testing.T) {
	w := newWorld(t, nil)
	ada := w.join("m1", "ada", wish{role: protocol.Host, kinds: []protocol.MediaKind{protocol.Audio}})
	bob := w.join("m1", "bob", wish{kinds: []protocol.MediaKind{protocol.Audio}})
	commands := make(chan protocol.MeetingCommand, 1)
	sub, err := bus.Subscribe(w.bus, protocol.SubjectMeetingCommand("m1"), func(_ string, c protocol.MeetingCommand) { commands <- c })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	ended := make(chan protocol.MeetingEnded, 1)
	answer, err := bus.Answer(w.bus, protocol.SubjectMeetingEnded, protocol.QueueWeb, func(_ context.Context, m protocol.MeetingEnded) (protocol.Empty, error) {
		ended <- m
		return protocol.Empty{}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Stop()
	ada.say(protocol.HostAction{Action: protocol.HostEnd})
	for _, c := range []*client{ada, bob} {
		w.until(c.id+" is told", func() bool {
			f := told[protocol.Farewell](c)
			return len(f) == 1 && f[0].Reason == protocol.FarewellEnded && f[0].By == "ada"
		})
	}
	w.until("all connections are closed", func() bool { return w.server.port.Stats().Connections == 0 })
	if m := <-ended; m.Meeting != "m1" || m.By != "ada" || m.At.IsZero() {
		t.Errorf("web was told %+v", m)
	}
	if c := <-commands; !c.End || c.By != "ada" {
		t.Errorf("other legs were told %+v", c)
	}
	_, err = w.admit(protocol.AdmitRequest{Token: w.token("m1", "cyd", protocol.Guest), Offers: goodOffers(t)})
	wantProblem(t, err, protocol.ProblemMeetingEnded)
}

func TestCommandEndsWhatIsNotHereYet(t *testing.T) {
	w := newWorld(t, nil)
	ada := w.join("m1", "ada", wish{kinds: []protocol.MediaKind{protocol.Audio}})
	for _, id := range []string{"m1", "m2"} {
		if err := bus.Publish(w.bus, protocol.SubjectMeetingCommand(id), protocol.MeetingCommand{End: true}); err != nil {
			t.Fatal(err)
		}
	}
	w.until("ada is told", func() bool { return len(told[protocol.Farewell](ada)) == 1 })
	w.until("m2 is closed", func() bool {
		_, err := w.admit(protocol.AdmitRequest{Token: w.token("m2", "bob", protocol.Guest), Offers: goodOffers(t)})
		return errors.Is(err, protocol.NewProblem(protocol.ProblemMeetingEnded, ""))
	})
}

// TestEndsThatWereMissed holds that a router that has not heard of a meeting's
// end asks for it, ends what it carries, and opens the meeting to nobody.
func TestEndsThatWereMissed(t *testing.T) {
	w := newWorld(t, nil)
	ada := w.join("m1", "ada", wish{kinds: []protocol.MediaKind{protocol.Audio}})
	ended := protocol.MeetingsEnded{Meetings: []string{"m1", "m2", "", "no subject", "m3.*"}}
	if err := bus.Publish(w.bus, protocol.SubjectMeetingsEnded, ended); err != nil {
		t.Fatal(err)
	}
	w.until("ada is told", func() bool { return len(told[protocol.Farewell](ada)) == 1 })
	for _, id := range []string{"m1", "m2"} {
		_, err := w.admit(protocol.AdmitRequest{Token: w.token(id, "bob", protocol.Guest), Offers: goodOffers(t)})
		wantProblem(t, err, protocol.ProblemMeetingEnded)
	}
	w.join("m4", "cyd", wish{kinds: []protocol.MediaKind{protocol.Audio}})

	// Another router starts later, and asks.
	w.stop()
	answer, err := bus.Subscribe(w.bus, protocol.SubjectMeetingsEndedAsk, func(string, protocol.Empty) {
		_ = bus.Publish(w.bus, protocol.SubjectMeetingsEnded, protocol.MeetingsEnded{Meetings: []string{"m5"}})
	})
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Stop()
	if w.server, err = New(w.cfg, w.server.deps); err != nil {
		t.Fatal(err)
	}
	w.run()
	w.until("m5 is closed", func() bool { return w.server.registry.knowsEnd("m5") })
	_, err = w.admit(protocol.AdmitRequest{Token: w.token("m5", "bob", protocol.Guest), Offers: goodOffers(t)})
	wantProblem(t, err, protocol.ProblemMeetingEnded)
}

// TestStateAndLegs listens as a zone controller does.
func TestStateAndLegs(t *testing.T) {
	w := newWorld(t, nil)
	var mu sync.Mutex
	var states []protocol.MMRState
	legs := map[string]int{}
	zone, id := w.server.cfg.Zone, w.server.cfg.ID
	stateSub, err := bus.Subscribe(w.bus, protocol.SubjectMMRState(zone, "*"), func(_ string, s protocol.MMRState) {
		mu.Lock()
		defer mu.Unlock()
		states = append(states, s)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer stateSub.Stop()
	legSub, err := bus.Subscribe(w.bus, protocol.SubjectLeg(zone, "*"), func(_ string, l protocol.LegState) {
		mu.Lock()
		defer mu.Unlock()
		legs[l.Meeting] = l.Participants
	})
	if err != nil {
		t.Fatal(err)
	}
	defer legSub.Stop()
	leg := func(want int) func() bool {
		return func() bool {
			mu.Lock()
			defer mu.Unlock()
			n, ok := legs["m1"]
			return ok && n == want
		}
	}
	ada := w.join("m1", "ada", wish{kinds: []protocol.MediaKind{protocol.Audio}})
	w.until("a leg of one", leg(1))
	w.join("m1", "bob", wish{kinds: []protocol.MediaKind{protocol.Audio}})
	w.until("a leg of two", leg(2))
	ada.say(protocol.Leave{})
	w.until("a leg of one again", leg(1))
	mu.Lock()
	delete(legs, "m1")
	before := len(states)
	mu.Unlock()
	if err := bus.Publish(w.bus, protocol.SubjectZoneAsk(zone), protocol.Empty{}); err != nil {
		t.Fatal(err)
	}
	w.until("the leg on asking", leg(1))
	w.until("the state", func() bool { mu.Lock(); defer mu.Unlock(); return len(states) > before })
	mu.Lock()
	defer mu.Unlock()
	s := states[len(states)-1]
	if s.ID != id || s.Zone != zone || s.Health != protocol.Healthy || s.Load.Participants != 1 ||
		s.Load.MaxParticipants != 1000 || !strings.HasSuffix(s.ControlURL, protocol.PathControl) || s.Load.CPU < 0 || s.Load.CPU > 1 ||
		len(s.Media) != 1 || s.Media[0] != w.server.port.Addr().String() {
		t.Errorf("state %+v", s)
	}
}

// TestResume admits a participant again, as after a change of networks.
func TestResume(t *testing.T) {
	w := newWorld(t, nil)
	ada := w.join("m1", "ada", wish{kinds: []protocol.MediaKind{protocol.Audio}})
	bob := w.join("m1", "bob", wish{kinds: []protocol.MediaKind{protocol.Audio}})
	stop := bob.talk(20)
	hears := func(c *client) func() bool {
		return func() bool { n := len(c.conns[protocol.Audio].in("a1")); return n > 5 }
	}
	w.until("ada hears bob", hears(ada))
	again := w.join("m1", "bob", wish{kinds: []protocol.MediaKind{protocol.Audio}})
	w.until("the old channel is told", func() bool {
		f := told[protocol.Farewell](bob)
		return len(f) == 1 && f[0].Reason == protocol.FarewellResumed
	})
	w.until("the old connection is closed", func() bool { return w.server.port.Stats().Connections == 2 })
	stop()
	n := len(ada.conns[protocol.Audio].in("a1"))
	again.talk(20)
	w.until("ada hears the new bob", func() bool { return len(ada.conns[protocol.Audio].in("a1")) > n+5 })
	for _, r := range told[protocol.Roster](ada) {
		if len(r.Left) != 0 {
			t.Errorf("ada was told that bob left: %+v", r)
		}
	}
	// Only the control channel is lost: media never stop.
	again.ws.CloseNow()
	n = len(ada.conns[protocol.Audio].in("a1"))
	again.control()
	w.until("welcome again", func() bool { return len(told[protocol.Welcome](again)) == 2 })
	w.until("ada still hears bob", func() bool { return len(ada.conns[protocol.Audio].in("a1")) > n+5 })
}

func TestGarbageOnEveryConnection(t *testing.T) {
	w := newWorld(t, nil)
	ada := w.join("m1", "ada", wish{})
	bob := w.join("m1", "bob", wish{})
	for _, k := range ada.conns {
		for n := range 300 {
			b := make([]byte, 12+randomInt(t, 400))
			_, _ = rand.Read(b)
			b[0] = 0x80 | b[0]&0x3f
			if n%3 == 0 {
				b[1] = 96 | b[1]&0x8f // a payload type that may be known
			}
			k.send(b)
			_, _ = rand.Read(b)
			b[0], b[1] = 0x80|b[0]&0x1f, 200+b[1]%7
			k.peer.Shard().Run(func() { _ = k.peer.SendRTCP(b) })
		}
	}
	bob.talk(20)
	w.until("ada hears bob all the same", func() bool { return len(ada.conns[protocol.Audio].in("a1")) > 5 })
}

func randomInt(t *testing.T, n int64) int {
	t.Helper()
	i, err := rand.Int(rand.Reader, big.NewInt(n))
	if err != nil {
		t.Fatal(err)
	}
	return int(i.Int64())
}

func TestNotRunning(t *testing.T) {
	hub, err := bus.StartHub(bus.HubConfig{Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer hub.Stop()
	conn, err := hub.Connect("mmr")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	cfg := DefaultConfig()
	cfg.MediaListen = "127.0.0.1:0"
	s, err := New(cfg, Deps{Bus: conn, Log: quiet()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if s.Ready() == nil {
		t.Error("ready before it runs")
	}
	rec := httptest.NewRecorder()
	s.Handler().ServeHTTP(rec, httptest.NewRequest(http.MethodGet, protocol.PathControl, nil))
	var p protocol.Problem
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || rec.Code != http.StatusServiceUnavailable {
		t.Errorf("%d %s", rec.Code, rec.Body)
	}
	taken := cfg
	taken.MediaListen = s.port.Addr().String()
	if _, err := New(taken, Deps{Bus: conn, Log: quiet()}); err == nil || !strings.Contains(err.Error(), taken.MediaListen) {
		t.Errorf("opened a port that is taken: %v", err)
	}
}

// TestStopSaysGoodbye looks that a router that stops tells its clients so,
// and the bus, and that nothing of it is left.
func TestStopSaysGoodbye(t *testing.T) {
	w := newWorld(t, nil)
	ada := w.join("m1", "ada", wish{kinds: []protocol.MediaKind{protocol.Audio}})
	last := make(chan protocol.Health, 64)
	sub, err := bus.Subscribe(w.bus, protocol.SubjectMMRState(w.cfg.Zone, w.cfg.ID), func(_ string, s protocol.MMRState) { last <- s.Health })
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Stop()
	w.stop()
	w.until("the channel is closed", func() bool {
		ada.mu.Lock()
		defer ada.mu.Unlock()
		return ada.ended != nil
	})
	if code := websocket.CloseStatus(ada.ended); code != websocket.StatusGoingAway {
		t.Errorf("closed with %v", ada.ended)
	}
	for h := range last {
		if h == protocol.Stopping {
			break
		}
	}
	if w.server.Ready() == nil {
		t.Error("ready although it has stopped")
	}
}

// TestPlacesAreKept: of many who ask at once no more are let in than there is
// room for.
func TestPlacesAreKept(t *testing.T) {
	const limit, asking = 4, 24
	w := newWorld(t, func(c *Config) { c.Limits.Participants = limit })
	offers := goodOffers(t)
	var in atomic.Int32
	var all sync.WaitGroup
	for i := range asking {
		req := protocol.AdmitRequest{Token: w.token("m1", fmt.Sprint("p", i), protocol.Guest), Offers: offers}
		all.Go(func() {
			if _, err := w.admit(req); err == nil {
				in.Add(1)
			}
		})
	}
	all.Wait()
	if in.Load() != limit {
		t.Errorf("%d of %d were let in, want %d", in.Load(), asking, limit)
	}
}
