package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
)

// errTerminated is why a command's context ends after SIGTERM: a server that
// can drains first. Ctrl-C ends it without that.
var errTerminated = errors.New("terminated by a signal")

// untilSignal is a context that ends with the first SIGINT or SIGTERM; the
// second one ends the process at once.
func untilSignal() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer signal.Stop(signals)
		select {
		case s := <-signals:
			cause := context.Canceled
			if s == syscall.SIGTERM {
				cause = errTerminated
			}
			cancel(cause)
		case <-ctx.Done():
		}
	}()
	return ctx, func() { cancel(nil) }
}

// untilDrained is the context of a server's services. It ends with ctx, unless
// that was for SIGTERM and the server can drain: then the services go on until
// the server has drained, and so ends them.
func (s served) untilDrained(ctx context.Context) (context.Context, context.CancelFunc) {
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if s.drain != nil && errors.Is(context.Cause(ctx), errTerminated) {
			s.drain("SIGTERM")
			return
		}
		cancel()
	})
	return serving, func() {
		stop()
		cancel()
	}
}
