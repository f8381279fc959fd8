// Package run gives the services of a process one life: the first to stop
// stops all, and the end of all is waited for.
package run

import (
	"context"
	"errors"
	"fmt"
)

// A Group is a set of services that live and end together. The zero Group is
// empty and ready. It is not safe for concurrent use.
type Group struct {
	services []service
}

type service struct {
	name string
	run  func(context.Context) error
}

// Add adds a service. Its run must return soon after its context ends, and
// only when all its goroutines have ended. The name stands before its error;
// it may be "".
func (g *Group) Add(name string, run func(context.Context) error) {
	g.services = append(g.services, service{name, run})
}

// Run runs every service in a goroutine of its own. When one returns, with
// an error or without, the context of the others ends; Run waits for all of
// them. It returns their errors, in the order in which they stopped, without
// those that only say that the context has ended. A group without services
// waits for ctx.
func (g *Group) Run(ctx context.Context) error {
	if len(g.services) == 0 {
		<-ctx.Done()
		return nil
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	ended := make(chan error)
	for _, s := range g.services {
		go func() { ended <- s.call(ctx) }()
	}
	var failures []error
	for range g.services {
		err := <-ended
		if err != nil && !(ctx.Err() != nil && errors.Is(err, context.Canceled)) {
			failures = append(failures, err)
		}
		stop()
	}
	return errors.Join(failures...)
}

func (s service) call(ctx context.Context) error {
	err := s.run(ctx)
	if err != nil && s.name != "" {
		return fmt.Errorf("%s: %w", s.name, err)
	}
	return err
}

// All runs services as a Group without names does.
func All(ctx context.Context, services ...func(ctx context.Context) error) error {
	var g Group
	for _, s := range services {
		g.Add("", s)
	}
	return g.Run(ctx)
}
