package loadtest

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"
)

// Report is what a test has found.
type Report struct {
	At           time.Time      `json:"at"` // of the beginning
	Mix          Mix            `json:"mix"`
	Participants int            `json:"participants"` // that were to join
	Joined       int            `json:"joined"`
	Failed       int            `json:"failed"`
	Failures     map[string]int `json:"failures,omitempty"` // by code
	Ended        int            `json:"ended"`              // participations that ended too early
	JoinTime     Delays         `json:"join_time"`
	JoinsPerS    float64        `json:"joins_per_s"`
	// Routers tells how many were on each at the end, Listed on how many
	// participants' lists how many people were. Heard tells how many
	// participants heard so many others while all were there.
	Routers map[string]int `json:"routers"`
	Listed  map[int]int    `json:"listed"`
	Heard   map[int]int    `json:"heard"`
	// The rest but the delays is of the time when all were there.
	Seconds  float64 `json:"seconds"`
	Packets  uint64  `json:"packets"` // received by all
	Lost     uint64  `json:"lost"`    // packets that were never repaired
	BPS      float64 `json:"bits_per_s"`
	SentBPS  float64 `json:"sent_bits_per_s"`
	Sound    Delays  `json:"sound"`
	Pictures Delays  `json:"pictures"`
	// Waited is how long goroutines of this process itself waited for a
	// processor, from the beginning.
	Waited Delays `json:"waited"`
	// Server is what it cost; nil when it could not be seen.
	Server  *Cost      `json:"server,omitempty"`
	Journal []Progress `json:"journal"` // by second
}

// Cost is what a test cost the server.
type Cost struct {
	Cores        float64 `json:"cores"`                   // in use
	MicrosPerOut float64 `json:"us_per_packet"`           // processor time for each packet that participants received
	MicrosPerAll float64 `json:"us_per_packet_in_or_out"` // for each that went in or out
	ResidentMB   float64 `json:"resident_mb"`
}

// Short reports whether this process was short of processor time, so that it
// has measured itself as well.
func (r Report) Short() bool { return r.Waited.P95 >= ownDelay }

// LossShare is the share of packets that were never repaired, 0…1.
func (r Report) LossShare() float64 {
	if r.Packets+r.Lost == 0 {
		return 0
	}
	return float64(r.Lost) / float64(r.Packets+r.Lost)
}

// report makes the report of a test that has ended.
func (t *test) report(before, after totals, seen look) Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := after.at.Sub(before.at).Seconds()
	r := Report{
		At: time.Time(t.clock).UTC(), Mix: t.cfg.Mix, Participants: t.cfg.Participants,
		Joined: len(t.people), Failed: int(t.failed.Load()), Failures: t.failures, Ended: t.ended,
		JoinTime: t.whole.joins.take(), JoinsPerS: float64(len(t.people)) / max(before.at.Sub(time.Time(t.clock)).Seconds(), 1e-3),
		Routers: seen.routers, Listed: seen.listed, Heard: seen.heard,
		Seconds: s, Packets: after.received - before.received, Lost: after.lost - min(before.lost, after.lost),
		BPS: 8 * float64(after.bytesReceived-before.bytesReceived) / s, SentBPS: 8 * float64(after.bytesSent-before.bytesSent) / s,
		Sound: t.whole.sound.take(), Pictures: t.whole.picture.take(), Journal: t.seconds,
	}
	if t.server != nil {
		spent := after.serverSeconds - before.serverSeconds
		sent := after.sent - before.sent
		r.Server = &Cost{
			Cores: spent / s, ResidentMB: after.serverResidentMB,
			MicrosPerOut: spent * 1e6 / max(1, float64(r.Packets)), MicrosPerAll: spent * 1e6 / max(1, float64(r.Packets+sent)),
		}
	}
	return r
}

// counts says how many participants have what.
func counts[K cmp.Ordered](of map[K]int) string {
	var words []string
	for _, k := range slices.Sorted(maps.Keys(of)) {
		words = append(words, fmt.Sprintf("%v: %d", k, of[k]))
	}
	return strings.Join(words, ", ")
}

// WriteText prints the report for a person.
func (r Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d joined", r.Joined, r.Participants)
	for _, code := range slices.Sorted(maps.Keys(r.Failures)) {
		fmt.Fprintf(&b, ", %d failed: %s", r.Failures[code], code)
	}
	if r.Ended > 0 {
		fmt.Fprintf(&b, ", %d were sent away too early", r.Ended)
	}
	fmt.Fprintf(&b, "; %.1f joins/s\n\n", r.JoinsPerS)
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(table, "\tcount\tp50 ms\tp95 ms\tp99 ms\tmax ms")
	for _, d := range []struct {
		name string
		Delays
	}{{"joining", r.JoinTime}, {"delay of sound", r.Sound}, {"delay of pictures", r.Pictures}} {
		_, _ = fmt.Fprintf(table, "%s\t%d\t%.0f\t%.0f\t%.0f\t%.0f\n", d.name, d.Count, d.P50, d.P95, d.P99, d.Max)
	}
	_ = table.Flush()
	if len(r.Routers) > 0 {
		fmt.Fprintf(&b, "\non routers: %s\nvoices heard: %s\npeople on the list: %s\n", counts(r.Routers), counts(r.Heard), counts(r.Listed))
	}
	fmt.Fprintf(&b, "\nover %.0f s: %d packets received (%.0f a second), %d never came (%.3f %%)\n",
		r.Seconds, r.Packets, float64(r.Packets)/max(r.Seconds, 1e-3), r.Lost, 100*r.LossShare())
	fmt.Fprintf(&b, "%.1f Mbit/s received, %.1f Mbit/s sent\n", r.BPS/1e6, r.SentBPS/1e6)
	if r.Server != nil {
		fmt.Fprintf(&b, "server: %.2f cores, %.1f us for each packet received (%.1f us in or out), %.0f MB resident\n",
			r.Server.Cores, r.Server.MicrosPerOut, r.Server.MicrosPerAll, r.Server.ResidentMB)
	}
	if r.Short() {
		fmt.Fprintf(&b, "this process itself was short of processor time: one step in 20 waited %.0f ms or more, one in 100 %.0f ms, so that delays and failures are its own as well\n",
			r.Waited.P95, r.Waited.P99)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the report: %w", err)
	}
	return nil
}
