package mmr

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"causeway/protocol"
)

func TestOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOnce()
		begun := 0
		slowly := func() (protocol.AdmitAnswer, error) {
			begun++
			n := begun
			<-time.After(time.Second)
			return protocol.AdmitAnswer{Session: fmt.Sprint(n)}, nil
		}
		results := make(chan string, 2)
		for range 2 {
			go func() {
				a, err := o.do(t.Context(), "a", time.Now(), slowly)
				results <- fmt.Sprint(a.Session, err)
			}()
		}
		synctest.Wait()
		hasty, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := o.do(hasty, "a", time.Now(), slowly); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who cannot wait gets %v", err)
		}
		if one, two := <-results, <-results; one != "1<nil>" || two != one {
			t.Errorf("the same request got %q and %q", one, two)
		}
		for i, id := range []string{"a", "b", "", ""} { // the same again, another, two without an id
			a, err := o.do(t.Context(), id, time.Now(), slowly)
			if want := fmt.Sprint(i + 1); a.Session != want || err != nil {
				t.Errorf("request %d got %q (%v), want %q", i, a.Session, err, want)
			}
		}
		refused := errors.New("refused")
		for range 2 {
			if _, err := o.do(t.Context(), "c", time.Now(), func() (protocol.AdmitAnswer, error) {
				begun++
				return protocol.AdmitAnswer{}, refused
			}); !errors.Is(err, refused) {
				t.Errorf("refused with %v", err)
			}
		}
		if begun != 5 {
			t.Errorf("%d requests were worked on, want 5", begun)
		}
		<-time.After(onceFor + time.Second)
		for i := range onceMax + 10 {
			_, _ = o.do(t.Context(), fmt.Sprint("x", i), time.Now(), func() (protocol.AdmitAnswer, error) { return protocol.AdmitAnswer{}, nil })
			if i == 0 && len(o.calls) != 1 {
				t.Errorf("%d old requests are remembered", len(o.calls)-1)
			}
		}
		if len(o.calls) > onceMax || len(o.order) > onceMax {
			t.Errorf("%d requests are remembered", len(o.calls))
		}
	})
}
