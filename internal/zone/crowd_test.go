package zone

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"causeway/internal/bus"
	"causeway/protocol"
)

// A crowd is a whole zone under load: routers that are simulated as far as
// controllers see them, and people who join through two real controllers. The
// short form runs with the tests, all in one process. TestCrowdFull is for a
// machine of its own, see there.
type crowd struct {
	testing.TB
	routers     []*crowdRouter
	controllers []string // their addresses
	client      *http.Client
	fresh       bool // each participant on a connection of its own
	attempts    int  // of a participant, at one controller after the other, as clients do
	sign        func(protocol.JoinClaims) (string, error)
	seed        uint64

	mu       sync.Mutex
	by       map[string]int        // joins, by controller
	refused  map[protocol.Code]int // joins
	again    map[protocol.Code]int // attempts that were not the last
	took     []time.Duration
	finished atomic.Int64
}

// routerPlaces is how many participants a router takes.
const routerPlaces = 200

// crowdRouter says and answers what a router does.
type crowdRouter struct {
	id   string
	conn *bus.Conn

	mu       sync.Mutex
	people   int
	meetings map[string]int
	answered map[string]protocol.AdmitAnswer // by id of the request
}

// start begins to repeat the router's state; the returned function ends that.
func (r *crowdRouter) start(phase time.Duration) (stop func(), err error) {
	r.meetings, r.answered = map[string]int{}, map[string]protocol.AdmitAnswer{}
	admit, err := bus.Answer(r.conn, protocol.SubjectAdmit("z", r.id), "", r.admit)
	if err != nil {
		return nil, err
	}
	ask, err := bus.Subscribe(r.conn, protocol.SubjectZoneAsk("z"), func(string, protocol.Empty) { r.tell(true) })
	if err != nil {
		return nil, err
	}
	done := make(chan struct{})
	var ended sync.WaitGroup
	ended.Go(func() {
		next := time.NewTimer(phase)
		defer next.Stop()
		for n := 0; ; n++ {
			select {
			case <-next.C:
				r.tell(n%5 == 0)
				next.Reset(time.Second)
			case <-done:
				return
			}
		}
	})
	return func() {
		close(done)
		ended.Wait()
		admit.Stop()
		ask.Stop()
	}, nil
}

func (r *crowdRouter) admit(_ context.Context, q protocol.AdmitRequest) (protocol.AdmitAnswer, error) {
	meeting := q.Address // crowds of one test machine have no other use for it
	if _, m, ok := strings.Cut(q.Offers.Content, "meeting="); ok {
		meeting = m
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if a, ok := r.answered[q.ID]; ok {
		a.Answers = q.Offers
		return a, nil
	}
	if r.people >= routerPlaces {
		return protocol.AdmitAnswer{}, protocol.NewProblem(protocol.ProblemZoneFull, "")
	}
	r.people++
	r.meetings[meeting]++
	_ = bus.Publish(r.conn, protocol.SubjectLeg("z", r.id), protocol.LegState{MMR: r.id, Meeting: meeting, Participants: r.meetings[meeting]})
	a := protocol.AdmitAnswer{
		Session: fmt.Sprintf("%s-%d", r.id, r.people), MediaTCP: []string{"192.0.2.9:8801"}, MediaTLS: r.id + ".example.org:443",
	}
	r.answered[q.ID] = a
	a.Answers = q.Offers
	return a, nil
}

// tell repeats the state, and the legs.
func (r *crowdRouter) tell(legs bool) {
	r.mu.Lock()
	said := protocol.MMRState{
		ID: r.id, Zone: "z", Health: protocol.Healthy, ControlURL: "wss://" + r.id + ".example.org/mmr/v1/control",
		Media: []string{"192.0.2.9:8801"}, Version: "crowd",
		Load: protocol.Load{
			CPU: 0.8 * float64(r.people) / routerPlaces, PacketsPerSecond: 300 * float64(r.people), EgressBPS: 2e6 * float64(r.people),
			Participants: r.people, MaxParticipants: routerPlaces, MaxCPU: 0.9,
		},
	}
	var list []protocol.LegState
	if legs {
		for m, n := range r.meetings {
			list = append(list, protocol.LegState{MMR: r.id, Meeting: m, Participants: n})
		}
	}
	r.mu.Unlock()
	_ = bus.Publish(r.conn, protocol.SubjectMMRState("z", r.id), said)
	for _, l := range list {
		_ = bus.Publish(r.conn, protocol.SubjectLeg("z", r.id), l)
	}
}

// people makes the order in which participants come: meetings of very
// different sizes that begin one after the other and fill while others do.
func (c *crowd) people(n int) (meetings []string) {
	random := rand.New(rand.NewPCG(c.seed, 1))
	type arrival struct {
		meeting string
		at      float64
	}
	var all []arrival
	for m := 0; len(all) < n; m++ {
		// Log-normal: half have up to 6 participants, one in forty 50 or more.
		size := min(1+int(5*math.Exp(1.1*random.NormFloat64())), 300)
		begin := random.Float64()
		for range min(size, n-len(all)) {
			all = append(all, arrival{fmt.Sprintf("meeting-%d", m), begin + 0.02*random.ExpFloat64()})
		}
	}
	slices.SortFunc(all, func(a, b arrival) int {
		if a.at < b.at {
			return -1
		}
		return 1
	})
	for _, a := range all {
		meetings = append(meetings, a.meeting)
	}
	return meetings
}

// join lets everybody join, so many at a time.
func (c *crowd) join(meetings []string, atATime int) {
	c.Helper()
	c.by, c.refused, c.again = map[string]int{}, map[protocol.Code]int{}, map[protocol.Code]int{}
	next := make(chan int)
	var joining sync.WaitGroup
	for range atATime {
		joining.Go(func() {
			for i := range next {
				c.joinOne(i, meetings[i])
			}
		})
	}
	for i := range meetings {
		next <- i
	}
	close(next)
	joining.Wait()
}

// An offer of the size that clients make: with few and with many slots.
var crowdOffer = protocol.Offers{Audio: strings.Repeat("a=", 700), Video: strings.Repeat("a=", 3500), Content: strings.Repeat("a=", 900)}

func (c *crowd) joinOne(i int, meeting string) {
	token, err := c.sign(protocol.JoinClaims{
		RegisteredClaims: jwt.RegisteredClaims{Subject: fmt.Sprintf("p%d", i), ExpiresAt: jwt.NewNumericDate(time.Now().Add(time.Hour))},
		Meeting:          meeting, Number: "123456789", Name: "Ada", Role: protocol.Guest,
	})
	if err != nil {
		c.Error(err)
		return
	}
	offers := crowdOffer
	offers.Content += "meeting=" + meeting
	body, err := json.Marshal(protocol.JoinRequest{Offers: offers, Client: protocol.ClientInfo{Kind: "native"}})
	if err != nil {
		c.Error(err)
		return
	}
	client := c.client
	if c.fresh {
		transport := client.Transport.(*http.Transport).Clone()
		defer transport.CloseIdleConnections()
		client = &http.Client{Transport: transport}
	}
	began := time.Now()
	for attempt := 1; ; attempt++ {
		a, err := c.joinAt(client, c.controllers[(i+attempt)%len(c.controllers)], token, body)
		c.mu.Lock()
		switch {
		case err == nil:
			c.by[a.Controller]++
		case attempt < c.attempts:
			c.again[protocol.ProblemOf(err).Code]++
			c.mu.Unlock()
			continue
		default:
			c.refused[protocol.ProblemOf(err).Code]++
		}
		c.took = append(c.took, time.Since(began))
		c.mu.Unlock()
		c.finished.Add(1)
		return
	}
}

// joinAt probes a controller and joins by it.
func (c *crowd) joinAt(client *http.Client, at, token string, body []byte) (a protocol.JoinAnswer, err error) {
	var probe protocol.ProbeAnswer
	if err := call(client, http.MethodGet, at+protocol.PathProbe, "", nil, &probe); err != nil {
		return a, fmt.Errorf("probe: %w", err)
	}
	err = call(client, http.MethodPost, at+protocol.PathJoin, token, body, &a)
	return a, err
}

// call makes a request and decodes the answer; problems are errors.
func call(client *http.Client, method, url, bearer string, body []byte, answer any) error {
	req, err := http.NewRequestWithContext(context.Background(), method, url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+bearer)
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		var p protocol.Problem
		if err := json.Unmarshal(data, &p); err != nil {
			return fmt.Errorf("status %d: %s", res.StatusCode, data)
		}
		return &p
	}
	return json.Unmarshal(data, answer)
}

// spread tells how the participants are spread: the most on a router against
// the mean, and how many legs meetings have.
func (c *crowd) spread() (most, mean float64, legs, meetings int) {
	seen := map[string]bool{}
	total := 0
	for _, r := range c.routers {
		r.mu.Lock()
		most = max(most, float64(r.people))
		total += r.people
		legs += len(r.meetings)
		for m := range r.meetings {
			seen[m] = true
		}
		r.mu.Unlock()
	}
	return most, float64(total) / float64(len(c.routers)), legs, len(seen)
}

// report says what came out, and fails the test when somebody was refused or
// a router got more than its share.
func (c *crowd) report(people int, factor float64) {
	c.Helper()
	most, mean, legs, meetings := c.spread()
	slices.Sort(c.took)
	at := func(q float64) time.Duration {
		return c.took[int(q*float64(len(c.took)-1))].Round(10 * time.Microsecond)
	}
	c.Logf("%d participants of %d meetings (%d legs) on %d routers: %.1f on average, %.0f at most (%.2f times)",
		people, meetings, legs, len(c.routers), mean, most, most/mean)
	c.Logf("probe and join took %v at the median, %v at the 99th percentile, %v at most; by controller %v", at(0.5), at(0.99), at(1), c.by)
	if len(c.again) > 0 {
		c.Logf("asked another controller because of %v", c.again)
	}
	if len(c.refused) > 0 {
		c.Errorf("refused: %v", c.refused)
	}
	// Below half full people are kept together rather than spread.
	if mean >= 0.9*crowdedLeast*routerPlaces && most > factor*mean {
		c.Errorf("a router has %.0f participants, more than %.1f times the mean of %.1f", most, factor, mean)
	}
	if len(c.by) != len(c.controllers) {
		c.Errorf("joins by controller: %v", c.by)
	}
}

// TestCrowd is a zone of 8 routers and 800 participants who join through
// two controllers. On a machine that is busy with other things words of routers
// may come late, so it is content with less than TestCrowdFull.
func TestCrowd(t *testing.T) {
	const routers, people, factor = 8, 800, 1.7
	w := newWorld(t)
	c := &crowd{TB: t, client: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}, sign: w.signer.Sign, seed: 1, attempts: 50}
	t.Cleanup(c.client.CloseIdleConnections)
	for i := range routers {
		r := &crowdRouter{id: fmt.Sprintf("mmr-%d", i), conn: w.connect(fmt.Sprint("mmr-", i))}
		stop, err := r.start(time.Duration(i) * time.Second / routers)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(stop)
		c.routers = append(c.routers, r)
	}
	for _, id := range []string{"zc-1", "zc-2"} {
		s := w.controller(id, func(c *Config, _ *Deps) { c.JoinsPerMinute, c.JoinBurst = 0, 0 })
		w.knows(s, routers)
		server := httptest.NewServer(s.Handler())
		t.Cleanup(server.Close)
		c.controllers = append(c.controllers, server.URL)
	}
	c.join(c.people(people), 8*runtime.GOMAXPROCS(0))
	c.report(people, factor)
}
