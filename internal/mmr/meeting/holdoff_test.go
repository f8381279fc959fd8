package meeting

import (
	"testing"
	"time"
)

// TestHoldoff: a codec is given up at once when somebody comes who lacks it, and
// gone back to later and later when that happens again and again.
func TestHoldoff(t *testing.T) {
	type visit struct{ after, stay time.Duration } // after it has been used for so long
	const soon, rare = 10 * time.Second, 2 * time.Minute
	for _, c := range []struct {
		name   string
		visits []visit
		holds  []time.Duration // after each visit, how long it is held off
	}{
		{"nobody lacks it", nil, nil},
		{"once", []visit{{soon, time.Second}}, []time.Duration{holdAtLeast}},
		{"seldom", []visit{{rare, time.Hour}, {rare, time.Second}}, []time.Duration{holdAtLeast, holdAtLeast}},
		{
			"again and again",
			[]visit{{rare, soon}, {soon, soon}, {soon, rare}, {soon, soon}, {soon, soon}, {soon, soon}, {rare, soon}},
			[]time.Duration{5 * time.Second, 10 * time.Second, 20 * time.Second, 40 * time.Second, holdAtMost, holdAtMost, holdAtLeast},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			var h holdoff
			now := time.Unix(1_800_000_000, 0)
			for i, v := range c.visits {
				for end := now.Add(v.after); now.Before(end); now = now.Add(time.Second) {
					if !h.allows(true, now) {
						t.Fatalf("before visit %d: not allowed", i)
					}
				}
				for end := now.Add(v.stay); now.Before(end); now = now.Add(time.Second) {
					if h.allows(false, now) {
						t.Fatalf("visit %d: allowed", i)
					}
				}
				left := now
				for !h.allows(true, now) {
					now = now.Add(time.Second)
				}
				if held := now.Sub(left); held != c.holds[i] {
					t.Errorf("after visit %d it is held off for %v, want %v", i, held, c.holds[i])
				}
			}
			if !h.allows(true, now) {
				t.Error("not allowed in the end")
			}
		})
	}
}

// TestHoldoffMeanwhile: who comes before it is gone back to makes that later.
func TestHoldoffMeanwhile(t *testing.T) {
	var h holdoff
	now := time.Unix(1_800_000_000, 0)
	for range 3 {
		h.allows(false, now)
		now = now.Add(time.Second)
		h.allows(true, now)
		now = now.Add(time.Second)
	}
	if now = now.Add(4*holdAtLeast - 2*time.Second); h.allows(true, now) {
		t.Error("allowed too early")
	}
	if now = now.Add(time.Second); !h.allows(true, now) {
		t.Error("not allowed when its time had come")
	}
}
