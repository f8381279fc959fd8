package run

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var errBroken = errors.New("broken")

// after returns err after d, or the context's error when that ends first.
func after(d time.Duration, err error) func(context.Context) error {
	return func(ctx context.Context) error {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(d):
			return err
		}
	}
}

// slow takes d to end after its context has.
func slow(d time.Duration, err error) func(context.Context) error {
	return func(ctx context.Context) error {
		<-ctx.Done()
		<-time.After(d)
		return err
	}
}

func TestAll(t *testing.T) {
	const forever = 1000 * time.Hour
	for _, c := range []struct {
		name     string
		services []func(context.Context) error
		stopAt   time.Duration // when the parent ends; 0 never
		want     string
		took     time.Duration
	}{
		{"first error stops all", []func(context.Context) error{after(forever, nil), after(time.Second, errBroken)}, 0, "broken", time.Second},
		{"first end stops all", []func(context.Context) error{after(forever, nil), after(time.Second, nil)}, 0, "", time.Second},
		{"parent ends", []func(context.Context) error{after(forever, nil), after(forever, nil)}, time.Minute, "", time.Minute},
		{"all are waited for", []func(context.Context) error{slow(time.Hour, nil), after(time.Second, errBroken)}, 0, "broken", time.Hour + time.Second},
		{"errors of the end are told", []func(context.Context) error{slow(time.Second, errors.New("torn")), after(time.Second, errBroken)}, 0, "broken\ntorn", 2 * time.Second},
		{"error at the end that was asked for", []func(context.Context) error{slow(time.Second, errBroken)}, time.Second, "broken", 2 * time.Second},
		{"canceled before the end is an error", []func(context.Context) error{after(time.Second, context.Canceled), after(forever, nil)}, 0, "context canceled", time.Second},
		{"no services wait for the end", nil, time.Minute, "", time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.stopAt > 0 {
					time.AfterFunc(c.stopAt, cancel)
				}
				began := time.Now()
				got := ""
				if err := All(ctx, c.services...); err != nil {
					got = err.Error()
				}
				if got != c.want {
					t.Errorf("got %q, want %q", got, c.want)
				}
				if took := time.Since(began); took != c.took {
					t.Errorf("took %v, want %v", took, c.took)
				}
			})
		})
	}
}

func TestGroupNames(t *testing.T) {
	var g Group
	g.Add("clock", func(context.Context) error { return fmt.Errorf("wound down: %w", errBroken) })
	g.Add("bell", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	err := g.Run(t.Context())
	if err == nil || err.Error() != "clock: wound down: broken" || !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

func TestEndedBefore(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	ran := false
	err := All(ctx, func(ctx context.Context) error {
		ran = true
		<-ctx.Done()
		return ctx.Err()
	})
	if err != nil || !ran {
		t.Errorf("err %v, ran %v", err, ran)
	}
}
