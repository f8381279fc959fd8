package client_test

import (
	"context"
	"fmt"
	"log"
	"time"

	"causeway/client"
	"causeway/protocol"
)

// Publish the test card and tell what happens.
func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	m, err := client.Join(ctx, "https://meet.example.org/j/123456789?pwd=tulip", client.Options{
		Name: "Ada",
		Feed: client.TestCard(),
	})
	if err != nil {
		p := protocol.ProblemOf(err)
		log.Fatalf("%s %s", p.Title, p.Remedy)
	}
	defer m.Leave()
	for e := range m.Events() {
		fmt.Println(e)
	}
}

// Record everybody for an hour.
func ExampleRecorder() {
	recorder, err := client.NewRecorder("monday", time.Now())
	if err != nil {
		log.Fatal(err)
	}
	m, err := client.Join(context.Background(), "https://meet.example.org/j/123456789?pwd=tulip", client.Options{
		Name:    "Recorder",
		Receive: recorder.Write,
	})
	if err != nil {
		log.Fatal(err)
	}
	select {
	case <-time.After(time.Hour):
	case <-m.Done():
	}
	m.Leave()
	if err := recorder.Close(time.Now()); err != nil {
		log.Fatal(err)
	}
	for _, r := range recorder.Manifest().Recordings {
		fmt.Println(r.File, r.Frames)
	}
}

// Look at two cameras in particular, and handle frames oneself.
func ExampleMeeting_Want() {
	keys := 0
	m, err := client.Join(context.Background(), "https://meet.example.org/j/123456789?pwd=tulip", client.Options{
		Name:       "Watcher",
		VideoSlots: 2,
		Receive: func(f client.Frame) {
			if f.Source == protocol.Camera && f.Key {
				keys++
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer m.Leave()
	wants := []protocol.SlotWant{}
	for i, p := range m.Participants()[:2] {
		wants = append(wants, protocol.SlotWant{Slot: protocol.SlotID(fmt.Sprint("v", i+1)), Participant: p.ID, MaxHeight: 360})
	}
	if err := m.Want(wants); err != nil {
		log.Fatal(err)
	}
	<-m.Done()
}
