//go:build linux

package lab

import (
	"context"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"causeway/client"
	"causeway/protocol"
)

const (
	tellEvery = 250 * time.Millisecond
	kept      = 250 // delays of each speaker, 5 s of sound
)

// An Account is what an attendee tells of itself, over and over.
type Account struct {
	Name   string
	Report protocol.Report
	People []protocol.Participant
	Heard  map[string]int       // pieces of sound, by the name of who sent them
	Seen   map[string]int       // pictures
	Delays map[string][]float64 // from capture to delivery of the last pieces of sound, ms
	Left   bool                 // this is the last word
}

// delay is the median delay of somebody's sound in milliseconds, 0 for none.
func (a Account) delay(name string) float64 {
	list := slices.Sorted(slices.Values(a.Delays[name]))
	if len(list) == 0 {
		return 0
	}
	return list[len(list)/2]
}

// names are who is in the meeting, somebody who is in twice twice.
func (a Account) names() string {
	var names []string
	for _, p := range a.People {
		names = append(names, p.Name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

// A stampedFeed is the test card with sound that says when it was captured:
// all hosts of the lab have one clock.
type stampedFeed struct {
	client.Feed
	began time.Time
}

// Next implements client.Feed.
func (f *stampedFeed) Next() (client.Sample, error) {
	s, err := f.Feed.Next()
	if err != nil {
		return s, err
	}
	if f.began.IsZero() {
		f.began = time.Now().Add(-s.At)
	}
	if f.Tracks()[s.Track].Source == protocol.Mic {
		const tone = 20 // dB below full scale
		s.Level = tone
		s.Data = binary.BigEndian.AppendUint64([]byte{0xF8, 0xFF, 0xFE}, uint64(f.began.Add(s.At).UnixMicro())) // a CELT packet of 20 ms
	}
	return s, nil
}

// An attendee takes part and keeps account.
type attendee struct {
	mu       sync.Mutex
	account  Account
	recorder *client.Recorder
}

// receive takes a frame.
func (a *attendee) receive(f client.Frame) {
	a.recorder.Write(f)
	now := time.Now()
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case f.Source == protocol.Camera:
		a.account.Seen[f.Name]++
	case f.Source == protocol.Mic && len(f.Data) == 11:
		a.account.Heard[f.Name]++
		took := now.Sub(time.UnixMicro(int64(binary.BigEndian.Uint64(f.Data[3:]))))
		list := append(a.account.Delays[f.Name], float64(took.Microseconds())/1000)
		a.account.Delays[f.Name] = list[max(0, len(list)-kept):]
	}
}

// tell prints the account.
func (a *attendee) tell(m *client.Meeting, last bool) {
	report, people := m.Report(), m.Participants()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.account.Report, a.account.People, a.account.Left = report, people, last
	_ = json.NewEncoder(os.Stdout).Encode(a.account)
}

// takePart is an attendee's process: it joins, publishes, records into a
// folder, and tells, until SIGTERM.
func takePart(link, name, caFile, dir string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	recorder, err := client.NewRecorder(dir, time.Now())
	if err != nil {
		return err
	}
	a := &attendee{recorder: recorder, account: Account{Name: name, Heard: map[string]int{}, Seen: map[string]int{}, Delays: map[string][]float64{}}}
	m, err := client.Join(ctx, link, client.Options{
		Name: name, Roots: roots, NoSystemProxy: true, Feed: &stampedFeed{Feed: client.TestCard()}, Receive: a.receive,
	})
	if err != nil {
		return err
	}
	tick := time.NewTicker(tellEvery)
	defer tick.Stop()
	for here := true; here; {
		select {
		case <-tick.C:
			a.tell(m, false)
		case <-m.Done():
			here = false
		case <-ctx.Done():
			here = false
		}
	}
	m.Leave()
	err = recorder.Close(time.Now())
	a.tell(m, true)
	return err
}

// An Attendee is a process that takes part in the meeting from a host.
type Attendee struct {
	*Process
	t    *testing.T
	name string
	dir  string // of the recording
}

// Attend lets somebody join from a host.
func (d *Deployment) Attend(host, name string) *Attendee {
	d.t.Helper()
	a := &Attendee{t: d.t, name: name, dir: filepath.Join(d.t.TempDir(), "recording")}
	a.Process = d.Start(host, "env", "CAUSEWAY_LAB_ATTEND="+d.meeting.JoinURL, "CAUSEWAY_LAB_NAME="+name, "CAUSEWAY_LAB_CA="+d.ca,
		"CAUSEWAY_LAB_RECORD="+a.dir, "HOME="+d.dir, "XDG_CACHE_HOME="+d.t.TempDir(), os.Args[0])
	return a
}

// Last is what the attendee has told last.
func (a *Attendee) Last() Account {
	text := a.log.String()
	text = text[:strings.LastIndexByte(text, '\n')+1]
	var account Account
	for _, line := range slices.Backward(strings.Split(text, "\n")) {
		if strings.HasPrefix(line, `{"Name"`) {
			if err := json.Unmarshal([]byte(line), &account); err != nil {
				a.t.Fatalf("%s: %v: %s", a.name, err, line)
			}
			return account
		}
	}
	return account
}

// Leave has the attendee leave, and returns what it has told last, and its
// recording.
func (a *Attendee) Leave() (Account, client.Manifest) {
	a.t.Helper()
	_ = syscall.Kill(a.cmd.Process.Pid, syscall.SIGTERM)
	select {
	case <-a.done:
	case <-time.After(startWithin):
		a.t.Fatalf("%s does not leave", a.name)
	}
	last := a.Last()
	if !last.Left {
		a.t.Fatalf("%s ended early", a.name)
	}
	var m client.Manifest
	data, err := os.ReadFile(filepath.Join(a.dir, "manifest.json"))
	if err == nil {
		err = json.Unmarshal(data, &m)
	}
	if err != nil {
		a.t.Fatalf("%s: %v", a.name, err)
	}
	return last, m
}

// eventually asks until the answer is "", which is what it never came to.
func (w *World) eventually(limit time.Duration, ask func() (missing string)) time.Duration {
	w.t.Helper()
	began := time.Now()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		missing := ask()
		if missing == "" {
			return time.Since(began)
		}
		if time.Since(began) > limit {
			w.t.Fatalf("after %v: %s", limit, missing)
		}
		<-again.C
	}
}

// together tells what is missing until everybody hears and sees more of
// everybody else than before, and all see one roster; "" is nothing.
func together(all []*Attendee, before map[string]Account) string {
	var names []string
	for _, a := range all {
		names = append(names, a.name)
	}
	slices.Sort(names)
	for _, a := range all {
		now := a.Last()
		if got := now.names(); got != strings.Join(names, " ") {
			return fmt.Sprintf("%s has the roster %q", a.name, got)
		}
		for _, name := range names {
			if name == a.name {
				continue
			}
			was := before[a.name]
			if now.Heard[name] <= was.Heard[name]+25 || now.Seen[name] <= was.Seen[name]+10 {
				return fmt.Sprintf("%s got %d pieces of sound and %d pictures of %s", a.name,
					now.Heard[name]-was.Heard[name], now.Seen[name]-was.Seen[name], name)
			}
		}
	}
	return ""
}

// accounts are what all have told last.
func accounts(all []*Attendee) map[string]Account {
	list := map[string]Account{}
	for _, a := range all {
		list[a.name] = a.Last()
	}
	return list
}
