package connect

import (
	"testing"
	"time"

	"causeway/protocol"
)

// Whoever comes back asks one controller after the other, none for longer than
// an answer usually takes, and is admitted once.
func TestRejoin(t *testing.T) {
	const frozen = time.Hour
	type how struct {
		stuck   time.Duration
		refusal protocol.Code
	}
	for _, c := range []struct {
		name       string
		a1, a2, b1 how
		want       string        // controller; "" is none
		took       time.Duration // until then
		problem    protocol.Code
	}{
		{name: "the first answers", want: "a1", took: 60 * ms},
		{name: "the first is frozen", a1: how{stuck: frozen}, want: "a2", took: rejoinStagger + 60*ms},
		{name: "the zone is frozen", a1: how{stuck: frozen}, a2: how{stuck: frozen}, want: "b1", took: 2*rejoinStagger + 240*ms},
		{name: "the first is slow, and quicker all the same", a1: how{stuck: 200 * ms}, a2: how{stuck: frozen}, want: "a1", took: 260 * ms},
		{name: "the first refuses", a1: how{refusal: protocol.ProblemMMRUnavailable}, want: "a2", took: 120 * ms},
		{
			name: "the zone is full", a1: how{refusal: protocol.ProblemZoneFull}, a2: how{refusal: protocol.ProblemZoneFull},
			want: "b1", took: 360 * ms,
		},
		{name: "final", a1: how{refusal: protocol.ProblemTokenExpired}, took: 60 * ms, problem: protocol.ProblemTokenExpired},
		{
			name: "nowhere", a1: how{refusal: protocol.ProblemZoneFull}, a2: how{refusal: protocol.ProblemZoneFull},
			b1: how{refusal: protocol.ProblemMMRUnavailable}, took: 360 * ms, problem: protocol.ProblemZoneFull,
		},
	} {
		bubble(t, c.name, func(t *testing.T, n *internet) {
			a1 := &controller{zone: "a", id: "a1", stuck: c.a1.stuck, refusal: c.a1.refusal}
			a2 := &controller{zone: "a", id: "a2", stuck: c.a2.stuck, refusal: c.a2.refusal}
			b1 := &controller{zone: "b", id: "b1", stuck: c.b1.stuck, refusal: c.b1.refusal}
			n.controller(a1, 20*ms, serving{})
			n.controller(a2, 20*ms, serving{})
			n.controller(b1, 80*ms, serving{})
			rec := NewRecorder(time.Now())
			request := protocol.JoinRequest{Resume: &protocol.Resume{Session: "s", MMR: "dead", Reason: protocol.ResumeDead}}
			began := time.Now()
			answer, err := Rejoin(t.Context(), n.network(), zones(a1, a2, b1), "token", request, rec)
			if took := time.Since(began); took != c.took {
				t.Errorf("took %v, want %v", took, c.took)
			}
			switch {
			case c.problem != "":
				if err == nil || protocol.ProblemOf(err).Code != c.problem {
					t.Errorf("error %v, want %s", err, c.problem)
				}
			case err != nil || answer.Controller != c.want:
				t.Errorf("joined %+v, %v; want %s", answer, err, c.want)
			}
			if r := rec.Report(); len(r.Phases) != 1 || r.Phases[0].Name != protocol.PhaseMMR || len(r.Phases[0].Attempts) == 0 {
				t.Errorf("report %+v", r.Phases)
			}
			if c.a1.stuck == frozen {
				return // it has not looked yet
			}
			if a1.request.Resume == nil || a1.request.Resume.MMR != "dead" || a1.token != "Bearer token" {
				t.Errorf("asked %+v", a1.request)
			}
		})
	}
}
