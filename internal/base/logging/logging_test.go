package logging

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
)

func TestText(t *testing.T) {
	var b bytes.Buffer
	log := New(&b, Text, slog.LevelInfo)
	log.Debug("hidden")
	log.Info("shown", "meeting", "123")
	if got := b.String(); !strings.Contains(got, "msg=shown meeting=123") || strings.Contains(got, "hidden") || strings.Contains(got, "\x1b") {
		t.Errorf("logged %q", got)
	}
}

func TestJSON(t *testing.T) {
	var b bytes.Buffer
	New(&b, JSON, slog.LevelWarn).Warn("shown", "meeting", "123")
	var line struct{ Level, Msg, Meeting string }
	if err := json.Unmarshal(b.Bytes(), &line); err != nil {
		t.Fatalf("%v in %q", err, b.String())
	}
	if line.Level != "WARN" || line.Msg != "shown" || line.Meeting != "123" {
		t.Errorf("logged %+v", line)
	}
}
