package loadtest

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
)

//go:embed page.html
var pageText string

// plot is one drawing: lines over the seconds of the test.
type plot struct {
	Title, Unit string
	Lines       []line
	Top         float64 // value at the upper edge
	Seconds     float64
}

type line struct {
	Name  string
	Class string
	of    func(Progress) float64
	// Points is the line in the drawing's coordinates: 0…width, 0…height.
	Points string
}

// Size of a drawing.
const (
	plotWidth  = 600
	plotHeight = 160
)

// WriteHTML writes the report as a page that needs nothing else.
func (r Report) WriteHTML(w io.Writer) error {
	page, err := template.New("page").Funcs(template.FuncMap{
		"share":   func(x float64) string { return fmt.Sprintf("%.3f %%", 100*x) },
		"mega":    func(x float64) string { return fmt.Sprintf("%.1f", x/1e6) },
		"round":   func(x float64) string { return fmt.Sprintf("%.1f", x) },
		"persec":  func(n uint64, s float64) string { return fmt.Sprintf("%.0f", float64(n)/max(s, 1e-3)) },
		"instant": func(t time.Time) string { return t.Format("2006-01-02 15:04:05 UTC") },
		"people":  func(of map[int]int) string { return counts(of) },
		"places":  func(of map[string]int) string { return counts(of) },
		"row": func(name string, d Delays) map[string]any {
			return map[string]any{"Name": name, "D": d}
		},
	}).Parse(pageText)
	if err != nil {
		return fmt.Errorf("write the report's page: %w", err)
	}
	var b strings.Builder
	if err := page.Execute(&b, map[string]any{"R": r, "Plots": r.plots(), "Width": plotWidth, "Height": plotHeight}); err != nil {
		return fmt.Errorf("write the report's page: %w", err)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write the report's page: %w", err)
	}
	return nil
}

// plots are the drawings of the report.
func (r Report) plots() []plot {
	all := []plot{
		{Title: "Participants", Lines: []line{
			{Name: "in the meeting", of: func(p Progress) float64 { return float64(p.Joined) }},
			{Name: "failed", of: func(p Progress) float64 { return float64(p.Failed) }},
		}},
		{Title: "Delay of sound", Unit: "ms", Lines: []line{
			{Name: "half", of: func(p Progress) float64 { return p.Sound.P50 }},
			{Name: "95 %", of: func(p Progress) float64 { return p.Sound.P95 }},
			{Name: "99 %", of: func(p Progress) float64 { return p.Sound.P99 }},
		}},
		{Title: "Delay of pictures", Unit: "ms", Lines: []line{
			{Name: "half", of: func(p Progress) float64 { return p.Pictures.P50 }},
			{Name: "95 %", of: func(p Progress) float64 { return p.Pictures.P95 }},
			{Name: "99 %", of: func(p Progress) float64 { return p.Pictures.P99 }},
		}},
		{Title: "Bit rate", Unit: "Mbit/s", Lines: []line{
			{Name: "received", of: func(p Progress) float64 { return p.BPS / 1e6 }},
			{Name: "sent", of: func(p Progress) float64 { return p.SentBPS / 1e6 }},
		}},
		{Title: "Packets received", Unit: "a second", Lines: []line{{Name: "packets", of: func(p Progress) float64 { return p.Packets }}}},
		{Title: "Packets that never came", Unit: "a second", Lines: []line{{Name: "lost", of: func(p Progress) float64 { return p.Lost }}}},
	}
	if r.Server != nil {
		all = append(all, plot{Title: "Server", Unit: "cores", Lines: []line{{Name: "in use", of: func(p Progress) float64 { return p.Cores }}}})
	}
	for i := range all {
		all[i].draw(r.Journal)
	}
	return all
}

// draw puts the journal into the plot's coordinates.
func (p *plot) draw(journal []Progress) {
	p.Top = 1e-9
	for _, l := range p.Lines {
		for _, s := range journal {
			p.Top = max(p.Top, l.of(s))
			p.Seconds = max(p.Seconds, s.Second)
		}
	}
	p.Top = ceil(p.Top)
	for i := range p.Lines {
		var points []string
		for _, s := range journal {
			x, y := s.Second/p.Seconds*plotWidth, plotHeight-p.Lines[i].of(s)/p.Top*plotHeight
			points = append(points, fmt.Sprintf("%.1f,%.1f", x, y))
		}
		p.Lines[i].Points, p.Lines[i].Class = strings.Join(points, " "), fmt.Sprintf("line-%d", i)
	}
}

// ceil is the next of 1, 2, 5, 10, 20, … that is not less than x.
func ceil(x float64) float64 {
	for step := 1e-3; ; step *= 10 {
		for _, m := range []float64{1, 2, 5} {
			if m*step >= x {
				return m * step
			}
		}
	}
}
