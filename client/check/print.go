package check

import (
	"fmt"
	"io"
	"strings"

	"causeway/protocol"
)

// Print writes a report for a person to read. Say must have been called with
// the same language.
func (r *Report) Print(w io.Writer, language protocol.Language) error {
	if phrases[language] == nil {
		language = protocol.English
	}
	say, title := phrases[language], titles[language]
	var b strings.Builder
	fmt.Fprintf(&b, say["heading"]+"\n\n", r.Target)
	margin := 0
	for _, l := range r.Lines {
		margin = max(margin, width(title[l.Check]))
	}
	for _, l := range r.Lines {
		fmt.Fprintf(&b, "  %s  %s  %s\n", pad(say[string(l.Verdict)], 4), pad(title[l.Check], margin), l.Text)
		if l.Remedy != "" {
			fmt.Fprintf(&b, "  %s  → %s\n", strings.Repeat(" ", 4+2+margin), l.Remedy)
		}
	}
	fmt.Fprintf(&b, "\n%s\n", r.Text)
	if len(r.Rules) > 0 {
		fmt.Fprintf(&b, "\n%s\n\n", say["rules"])
		rows := [][]string{{say["host"], say["port"], say["protocol"], say["for"], say["state"]}}
		for _, rule := range r.Rules {
			state := say["closed"]
			switch {
			case rule.Open:
				state = say["open"]
			case rule.Untrusted:
				state = say["untrusted"]
			}
			rows = append(rows, []string{rule.Host, rule.Port, rule.Protocol, rule.Purpose, state})
		}
		writeTable(&b, rows)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("print report: %w", err)
	}
	return nil
}

func writeTable(b *strings.Builder, rows [][]string) {
	widths := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], width(cell))
		}
	}
	for _, row := range rows {
		line := " "
		for i, cell := range row {
			line += " " + pad(cell, widths[i]+1)
		}
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
}

// pad fills up with spaces to a width in columns.
func pad(s string, columns int) string { return s + strings.Repeat(" ", max(columns-width(s), 0)) }

// width is how many columns of a terminal a text takes: Chinese characters
// and their punctuation take two.
func width(s string) int {
	n := 0
	for _, r := range s {
		if n++; r >= 0x1100 && (r <= 0x115f || r >= 0x2e80 && r <= 0xa4cf || r >= 0xac00 && r <= 0xd7a3 || r >= 0xf900 && r <= 0xfaff || r >= 0xfe30 && r <= 0xfe6f || r >= 0xff00 && r <= 0xff60 || r >= 0xffe0 && r <= 0xffe6) {
			n++
		}
	}
	return n
}
