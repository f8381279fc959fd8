package bwe

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write the plots and the table of docs/performance.md anew")

const docs = "../../../docs"

// series is one line of a plot.
type series struct {
	name, color, dash string
	at                func(bin int) float64
}

// plot draws rates above, and the queue below.
func plot(title string, seconds int, top float64, rates []series, queue func(bin int) float64) string {
	const width, left, right = 880, 60, 20
	var b strings.Builder
	x := func(bin int) float64 { return left + float64(bin)/float64(10*seconds)*(width-left-right) }
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d 420" font-family="sans-serif" font-size="12" fill="#333"><rect width="%d" height="420" fill="#fff"/>`+"\n", width, width)
	fmt.Fprintf(&b, `<text x="%d" y="18" font-size="14">%s</text>`+"\n", left, title)
	panel := func(y, height, top, step float64, unit string) func(v float64) float64 {
		at := func(v float64) float64 { return y + height - min(v, top)/top*height }
		for v := 0.0; v <= top; v += step {
			fmt.Fprintf(&b, `<line x1="%d" x2="%d" y1="%.1f" y2="%.1f" stroke="#ddd"/><text x="%d" y="%.1f" text-anchor="end">%g</text>`+"\n", left, width-right, at(v), at(v), left-6, at(v)+4, v)
		}
		fmt.Fprintf(&b, `<text x="%d" y="%.1f" fill="#777">%s</text>`+"\n", left+6, y+12, unit)
		return at
	}
	line := func(s series, at func(float64) float64) {
		fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="1.5" stroke-dasharray="%s" points="`, s.color, s.dash)
		for i := range 10 * seconds {
			fmt.Fprintf(&b, "%.1f,%.1f ", x(i), at(s.at(i)))
		}
		b.WriteString("\"/>\n")
	}
	up := panel(30, 220, top, top/4, "Mbit/s")
	for i, s := range rates {
		line(s, up)
		fmt.Fprintf(&b, `<text x="%d" y="18" fill="%s">%s</text>`+"\n", 470+i*135, s.color, s.name)
	}
	line(series{color: "#b03060", at: queue}, panel(275, 110, 200, 50, "queue, ms"))
	for s := 0; s <= seconds; s += max(1, seconds/12) {
		fmt.Fprintf(&b, `<text x="%.1f" y="405" text-anchor="middle">%d s</text>`+"\n", x(10*s), s)
	}
	b.WriteString("</svg>\n")
	return b.String()
}

// smooth is the mean of the bin and the two on either side, in Mbit/s.
func (f *flow) smooth(i int) float64 {
	from, to := max(0, i-2), min(len(f.bins), i+3)
	sum := 0
	for _, b := range f.bins[from:to] {
		sum += b.arrived
	}
	return float64(sum) * 8 / (float64(to-from) * binSize.Seconds()) / mbit
}

func (f *flow) queueAt(i int) float64 { return float64(f.bins[i].queue) / float64(ms) }

func (f *flow) lines() []series {
	return []series{
		{"capacity", "#999", "6 4", func(i int) float64 { return f.down.RateAt(time.Duration(i)*binSize) / mbit }},
		{"arrives", "#2060c0", "", f.smooth},
		{"estimate", "#e08020", "", func(i int) float64 { return float64(f.bins[i].estimate) / mbit }},
	}
}

func plots() map[string]string {
	start := (&trace{rate: 2 * mbit, delay: 25 * ms}).run(1)
	step := falling.run(1)
	f, g := share(1, 20*sec)
	h, _ := besides(1)
	other := func(f *flow, start int) func(int) float64 {
		return func(i int) float64 {
			if i < start || i >= len(f.bins) {
				return 0
			}
			return f.smooth(i)
		}
	}
	return map[string]string{
		"bwe-start.svg": plot("From a cold start, 2 Mbit/s, 50 ms round trip", 12, 4, start.lines(), start.queueAt),
		"bwe-step.svg":  plot("3 → 0.7 → 3 Mbit/s, 50 ms round trip", 60, 4, step.lines(), step.queueAt),
		"bwe-share.svg": plot("Two of its kind share 3 Mbit/s", 120, 4, []series{
			{"capacity", "#999", "6 4", func(int) float64 { return 3 }},
			{"first", "#2060c0", "", other(f, 0)},
			{"second", "#209040", "", other(g, 200)},
		}, f.queueAt),
		"bwe-tcp.svg": plot("Beside a flow like TCP, 20 s to 100 s", 120, 4, h.lines(), h.queueAt),
	}
}

// table is the table of docs/performance.md: the median of five runs.
func table() string {
	var b strings.Builder
	b.WriteString("| network (50 ms round trip unless told) | 95 % of it arrive after | used from 5 s on | queue: median | 95th percentile |\n|---|---|---|---|---|\n")
	for i := range traces {
		tr := &traces[i]
		var reach, median, p95 []time.Duration
		var use []float64
		for seed := range uint64(5) {
			f := tr.run(seed + 1)
			reach = append(reach, f.reaches(0.95*tr.carries(), 0))
			use = append(use, f.throughput(5*sec, duration)/tr.carries())
			median = append(median, f.percentile(0.5, 0, duration))
			p95 = append(p95, f.percentile(0.95, 0, duration))
		}
		fmt.Fprintf(&b, "| %s | %.1f s | %.0f %% | %d ms | %d ms |\n", tr.name, middle(reach).Seconds(), 100*middle(use), middle(median).Milliseconds(), middle(p95).Milliseconds())
	}
	b.WriteString("\n| 3 → 0.7 → 3 Mbit/s | queue below 100 ms again after | used of 0.7 Mbit/s | 95 % of 3 Mbit/s again after |\n|---|---|---|---|\n")
	for i := range fallings {
		tr := &fallings[i]
		var below, back []time.Duration
		var use []float64
		for seed := range uint64(5) {
			f := tr.run(seed + 1)
			below = append(below, f.below(100*ms, 20*sec))
			back = append(back, f.reaches(0.95*3*mbit*(1-tr.loss), 40*sec))
			use = append(use, f.throughput(22*sec, 40*sec)/(0.7*mbit*(1-tr.loss)))
		}
		_, conditions, _ := strings.Cut(tr.name, ", ")
		if conditions == "" {
			conditions = "clean"
		}
		fmt.Fprintf(&b, "| %s | %.2f s (worst of five %.2f s) | %.0f %% | %.1f s (%.1f s) |\n", conditions,
			middle(below).Seconds(), slices.Max(below).Seconds(), 100*middle(use), middle(back).Seconds(), slices.Max(back).Seconds())
	}
	return b.String()
}

func middle[T time.Duration | float64](list []T) T {
	slices.Sort(list)
	return list[len(list)/2]
}

// Between these lines of docs/performance.md stands the table.
const (
	tableBegins = "<!-- internal/media/bwe: go test -run Docs -update -->\n"
	tableEnds   = "<!-- end -->\n"
)

// TestDocs: docs/performance.md has a row for each trace; -update writes the
// table and the plots. Figures are not compared: they differ in the last place
// where the processor fuses multiplication and addition.
func TestDocs(t *testing.T) {
	page := filepath.Join(docs, "performance.md")
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := bytes.Cut(text, []byte(tableBegins))
	old, after, ok2 := bytes.Cut(rest, []byte(tableEnds))
	if !ok || !ok2 {
		t.Fatalf("%s lacks the lines around the table", page)
	}
	if *update {
		write(t, page, slices.Concat(before, []byte(tableBegins), []byte(table()), []byte(tableEnds), after))
		for name, svg := range plots() {
			write(t, filepath.Join(docs, name), []byte(svg))
		}
		return
	}
	for i := range traces {
		if !strings.Contains(string(old), "| "+traces[i].name+" |") {
			t.Errorf("%s lacks %q: go test ./internal/media/bwe -run Docs -update", page, traces[i].name)
		}
	}
}

func write(t *testing.T, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
}
