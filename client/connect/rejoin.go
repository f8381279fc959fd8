package connect

import (
	"context"
	"errors"
	"net/http"
	"time"

	"causeway/protocol"
)

const (
	// rejoinStagger is how long a controller may take to answer before the
	// next one is asked as well: a few times what an answer takes, for the
	// one that was asked may have died with the router.
	rejoinStagger = 250 * time.Millisecond
	// rejoinBudget bounds all of them.
	rejoinBudget = 6 * time.Second
)

// Rejoin asks for another router on behalf of a participant who was in the
// meeting already, without measuring anything anew. It asks the controllers of
// the zones in the order given, each as soon as the one before has refused or
// has taken longer than usual, and takes the first that admits. req.Resume
// says what is resumed. It begins phase 3 in the report, which Attach ends.
// Problems: as of Join.
func Rejoin(ctx context.Context, n *Network, zones []protocol.Zone, token string, req protocol.JoinRequest, rec *Recorder) (protocol.JoinAnswer, error) {
	rec.Begin(protocol.PhaseMMR, time.Now())
	ctx, cancel := context.WithTimeout(ctx, rejoinBudget)
	defer cancel()
	answer, err := n.rejoin(ctx, zones, token, req, rec)
	if err != nil {
		rec.End(protocol.PhaseMMR, err, time.Now())
		return protocol.JoinAnswer{}, err
	}
	rec.Set(func(r *protocol.Report) { r.Zone, r.Controller, r.MMR = answer.Zone, answer.Controller, answer.MMR })
	return answer, nil
}

// Refresh closes connections that are kept warm, so that what follows is not
// sent on one that a changed network has killed.
func (n *Network) Refresh() {
	n.client.CloseIdleConnections()
	n.webSocket.CloseIdleConnections()
}

// An asked is what came of asking one controller.
type asked struct {
	answer protocol.JoinAnswer
	err    error
}

func (n *Network) rejoin(ctx context.Context, zones []protocol.Zone, token string, req protocol.JoinRequest, rec *Recorder) (protocol.JoinAnswer, error) {
	ctx, cancel := context.WithCancel(ctx)
	var left []Record
	for _, z := range zones {
		for _, c := range z.Controllers {
			left = append(left, Record{Zone: z, Controller: c})
		}
	}
	answers, waiting := make(chan asked), 0
	defer func() { // those that are asked in vain
		cancel()
		for ; waiting > 0; waiting-- {
			<-answers
		}
	}()
	next := time.NewTimer(0)
	defer next.Stop()
	var refused error // the first refusal that says more than that nobody was reached
	for waiting > 0 || len(left) > 0 {
		select {
		case <-next.C:
			if len(left) == 0 {
				continue
			}
			at := left[0]
			left = left[1:]
			waiting++
			go func() { answers <- n.ask(ctx, at, token, req, rec) }()
			next.Reset(rejoinStagger)
		case a := <-answers:
			waiting--
			if a.err == nil {
				return a.answer, nil
			}
			p := protocol.ProblemOf(a.err)
			if !elsewhere(p) {
				return protocol.JoinAnswer{}, p
			}
			if refused == nil || errors.Is(refused, &protocol.Problem{Code: protocol.ProblemZonesUnreachable}) {
				refused = p
			}
			next.Reset(0)
		case <-ctx.Done():
			return protocol.JoinAnswer{}, problem(protocol.ProblemZonesUnreachable, ctx.Err(), "the zones")
		}
	}
	if refused == nil {
		refused = protocol.NewProblem(protocol.ProblemNoZone, "")
	}
	return protocol.JoinAnswer{}, refused
}

// ask asks one controller.
func (n *Network) ask(ctx context.Context, at Record, token string, req protocol.JoinRequest, rec *Recorder) asked {
	ctx, cancel := context.WithTimeout(ctx, joinBudget)
	defer cancel()
	var a asked
	var t timing
	url := at.Controller.URL
	a.err = n.do(ctx, call{method: http.MethodPost, url: url + protocol.PathJoin, bearer: token, in: req}, &a.answer, &t)
	if a.err == nil {
		a.err = checkAnswer(a.answer, url)
	}
	attempt := t.attempt(url, n.Via(url))
	attempt.Zone = at.Zone.ID
	if attempt.OK = a.err == nil; !attempt.OK {
		blame(&attempt, a.err, url)
		a.err = problem(protocol.ProblemZonesUnreachable, a.err, url)
	}
	rec.Attempt(protocol.PhaseMMR, attempt)
	return a
}
