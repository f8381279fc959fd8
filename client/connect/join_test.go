package connect

import (
	"testing"
	"time"

	"causeway/protocol"
)

var joinRequest = protocol.JoinRequest{Offers: protocol.Offers{Audio: "offer"}, Client: protocol.ClientInfo{Kind: "native"}}

// enter probes and joins.
func enter(t *testing.T, n *internet, list []protocol.Zone) (protocol.JoinAnswer, *Recorder, error) {
	t.Helper()
	s, rec, err := survey(t, n, list, "")
	if err != nil {
		t.Fatal(err)
	}
	answer, err := Join(t.Context(), s, "token", joinRequest, rec)
	return answer, rec, err
}

func TestJoinOnTheConnectionThatWon(t *testing.T) {
	for name, how := range map[string]serving{"HTTP/2": {}, "HTTP/1.1": {http1: true}} {
		bubble(t, name, func(t *testing.T, n *internet) {
			a, b := &controller{zone: "a", id: "a1"}, &controller{zone: "b", id: "b1"}
			host := n.controller(a, 20*ms, how)
			n.controller(b, 24*ms, how)
			answer, rec, err := enter(t, n, zones(a, b))
			if err != nil {
				t.Fatal(err)
			}
			if answer.Zone != "a" || answer.MMR != "mmr-1" || answer.Answers.Audio != "answer" {
				t.Errorf("answer %+v", answer)
			}
			if got := host.accepted.Load(); got != 1 {
				t.Errorf("%d connections, want 1", got)
			}
			if a.token != "Bearer token" || a.request != joinRequest {
				t.Errorf("asked %q %+v", a.token, a.request)
			}
			r := rec.Report()
			at := r.Phases[1].Attempts[0]
			if r.Zone != "a" || r.Controller != "a1" || r.MMR != "mmr-1" || at.ConnectMS != 20 || at.TLSMS != 20 || at.RTTMS != 20 || !at.OK {
				t.Errorf("report %+v", r)
			}
		})
	}
}

// A join costs one round trip after the first answer of a lone zone, even
// where one connection carries one request at a time.
func TestJoinDoesNotWaitForProbes(t *testing.T) {
	for name, how := range map[string]serving{"HTTP/2": {}, "HTTP/1.1": {http1: true}} {
		bubble(t, name, func(t *testing.T, n *internet) {
			a := &controller{zone: "a", id: "a1"}
			n.controller(a, 50*ms, how)
			start := time.Now()
			if _, _, err := enter(t, n, zones(a)); err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took != 200*ms {
				t.Errorf("took %v, want four round trips of 50 ms", took)
			}
		})
	}
}

func TestJoinGoesElsewhere(t *testing.T) {
	for _, c := range []struct {
		name          string
		a1, a2, b1    protocol.Code
		want          string
		problem       protocol.Code
		joinsA, joinB int
	}{
		{name: "other controller", a1: protocol.ProblemMMRUnavailable, want: "a2", joinsA: 2},
		{name: "next zone", a1: protocol.ProblemZoneFull, a2: protocol.ProblemZoneFull, want: "b1", joinsA: 2, joinB: 1},
		{name: "overrun", a1: protocol.ProblemRateLimited, want: "a2", joinsA: 2},
		{name: "just started", a1: protocol.ProblemInternal, want: "a2", joinsA: 2},
		{
			name: "nowhere: the best zone's word counts",
			a1:   protocol.ProblemZoneFull, a2: protocol.ProblemMMRUnavailable, b1: protocol.ProblemInternal,
			problem: protocol.ProblemZoneFull, joinsA: 2, joinB: 1,
		},
		{name: "wrong everywhere", a1: protocol.ProblemTokenExpired, problem: protocol.ProblemTokenExpired, joinsA: 1},
		{name: "bad offer", a1: protocol.ProblemBadOffer, problem: protocol.ProblemBadOffer, joinsA: 1},
		{name: "meeting ended", a1: protocol.ProblemMeetingEnded, problem: protocol.ProblemMeetingEnded, joinsA: 1},
	} {
		bubble(t, c.name, func(t *testing.T, n *internet) {
			a1 := &controller{zone: "a", id: "a1", refusal: c.a1}
			a2 := &controller{zone: "a", id: "a2", refusal: c.a2}
			b1 := &controller{zone: "b", id: "b1", refusal: c.b1}
			n.controller(a1, 20*ms, serving{})
			n.controller(a2, 22*ms, serving{})
			n.controller(b1, 60*ms, serving{})
			answer, rec, err := enter(t, n, zones(b1, a2, a1))
			if c.problem != "" && (err == nil || protocol.ProblemOf(err).Code != c.problem) {
				t.Errorf("error %v, want %s", err, c.problem)
			}
			if c.problem == "" && (err != nil || answer.Controller != c.want) {
				t.Errorf("joined %+v, %v; want %s", answer, err, c.want)
			}
			_, joins1 := a1.counts()
			_, joins2 := a2.counts()
			_, joinsB := b1.counts()
			if joins1+joins2 != c.joinsA || joinsB != c.joinB {
				t.Errorf("%d and %d joins, want %d and %d", joins1+joins2, joinsB, c.joinsA, c.joinB)
			}
			if got := len(rec.Report().Phases[1].Attempts); got != c.joinsA+c.joinB {
				t.Errorf("%d attempts reported", got)
			}
		})
	}
}

// The chosen zone refuses while a farther one has not answered yet: it is
// waited for.
func TestJoinWaitsForZonesStillProbed(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		a := &controller{zone: "a", id: "a1", refusal: protocol.ProblemMMRUnavailable}
		b := &controller{zone: "b", id: "b1"}
		n.controller(a, 10*ms, serving{})
		n.controller(b, 400*ms, serving{})
		answer, _, err := enter(t, n, zones(a, b))
		if err != nil || answer.Controller != "b1" {
			t.Errorf("joined %+v, %v", answer, err)
		}
	})
}

func TestJoinDoesNotWaitForever(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		a := &controller{zone: "a", id: "a1", refusal: protocol.ProblemMMRUnavailable}
		n.controller(a, 10*ms, serving{})
		n.add("b1.test:443", &host{silent: true})
		start := time.Now()
		_, _, err := enter(t, n, zones(a, &controller{zone: "b", id: "b1"}))
		if took := time.Since(start); took > zonesBudget {
			t.Errorf("took %v", took)
		}
		if p := protocol.ProblemOf(err); p.Code != protocol.ProblemMMRUnavailable {
			t.Errorf("problem %v", p)
		}
	})
}

// The controller that won dies before the join.
func TestJoinAfterTheWinnerDied(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		a, b := &controller{zone: "a", id: "a1"}, &controller{zone: "b", id: "b1"}
		host := n.controller(a, 10*ms, serving{})
		n.controller(b, 20*ms, serving{})
		s, rec, err := survey(t, n, zones(a, b), "")
		if err != nil {
			t.Fatal(err)
		}
		if got := winner(t, s); got != "a1" {
			t.Fatalf("chose %s", got)
		}
		_ = host.server.Close()
		answer, err := Join(t.Context(), s, "token", joinRequest, rec)
		if err != nil || answer.Controller != "b1" {
			t.Errorf("joined %+v, %v", answer, err)
		}
		if at := rec.Report().Phases[1].Attempts[0]; at.OK || at.Error == "" {
			t.Errorf("first attempt %+v", at)
		}
	})
}

// The controller that won is frozen: the next one is asked before it is given
// up, and who answers first admits.
func TestJoinAtAFrozenController(t *testing.T) {
	for _, c := range []struct {
		name  string
		stuck [3]time.Duration // joins at a1, a2, b1
		want  string
		took  time.Duration
	}{
		{"frozen", [3]time.Duration{time.Hour, 0, 0}, "a2", joinPatience + 12*ms},
		{"two frozen", [3]time.Duration{time.Hour, time.Hour, 0}, "b1", 2*joinPatience + 20*ms},
		{"all frozen", [3]time.Duration{time.Hour, time.Hour, time.Hour}, "", joinsBudget},
		{"slow", [3]time.Duration{joinPatience + 500*ms, time.Hour, time.Hour}, "a1", joinPatience + 500*ms + 10*ms},
		{"not that slow", [3]time.Duration{joinPatience - 100*ms, 0, 0}, "a1", joinPatience - 100*ms + 10*ms},
	} {
		bubble(t, c.name, func(t *testing.T, n *internet) {
			a1 := &controller{zone: "a", id: "a1", stuck: c.stuck[0]}
			a2 := &controller{zone: "a", id: "a2", stuck: c.stuck[1]}
			b1 := &controller{zone: "b", id: "b1", stuck: c.stuck[2]}
			n.controller(a1, 10*ms, serving{})
			n.controller(a2, 12*ms, serving{})
			n.controller(b1, 20*ms, serving{})
			s, rec, err := survey(t, n, zones(a1, a2, b1), "")
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			answer, err := Join(t.Context(), s, "token", joinRequest, rec)
			if took := time.Since(start); (err == nil) != (c.want != "") || answer.Controller != c.want || took > c.took+100*ms {
				t.Errorf("joined %+v after %v (%v), want %s after %v", answer, took, err, c.want, c.took)
			}
		})
	}
}

// Where all controllers are slow, one is asked: two would admit twice.
func TestJoinWhereAllAreSlow(t *testing.T) {
	bubble(t, "", func(t *testing.T, n *internet) {
		a1, a2 := &controller{zone: "a", id: "a1", slow: 3 * time.Second}, &controller{zone: "a", id: "a2", slow: 3 * time.Second}
		n.controller(a1, 10*ms, serving{})
		n.controller(a2, 10*ms, serving{})
		s, rec, err := survey(t, n, zones(a1, a2), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Join(t.Context(), s, "token", joinRequest, rec); err != nil {
			t.Fatal(err)
		}
		_, one := a1.counts()
		_, two := a2.counts()
		if one+two != 1 {
			t.Errorf("%d joins", one+two)
		}
	})
}

func TestJoinAnswerOfAStranger(t *testing.T) {
	for name, a := range map[string]protocol.JoinAnswer{
		"empty":         {},
		"no session":    {ControlURL: "wss://m.test/mmr/v1/control"},
		"plain control": {Session: "s", ControlURL: "ws://m.test/mmr/v1/control"},
		"plain control on this machine, but told by another": {Session: "s", ControlURL: "ws://localhost:1/mmr/v1/control"},
		"no address": {Session: "s", ControlURL: "://"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := checkAnswer(a, "https://zc.test"); err == nil {
				t.Error("accepted")
			}
		})
	}
	good := protocol.JoinAnswer{Session: "s", ControlURL: "wss://m.test/mmr/v1/control"}
	if err := checkAnswer(good, "https://zc.test"); err != nil {
		t.Error(err)
	}
	good.ControlURL = "ws://localhost:8080/mmr/v1/control"
	if err := checkAnswer(good, "http://localhost:8080"); err != nil {
		t.Error(err)
	}
}
