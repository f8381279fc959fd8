// Command gen writes the TypeScript types of the wire protocol to the file
// named by its argument. It is run by go generate in package protocol.
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"time"

	"causeway/protocol"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen FILE.ts")
		os.Exit(2)
	}
	if err := os.MkdirAll(filepath.Dir(os.Args[1]), 0o755); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := os.WriteFile(os.Args[1], []byte(generate()), 0o644); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// enums are the string types whose values TypeScript should know.
var enums = map[string][]string{
	"MediaKind":      strs(protocol.Audio, protocol.Video, protocol.Content),
	"Source":         strs(protocol.Mic, protocol.Camera, protocol.CameraScalable, protocol.Screen, protocol.ScreenAudio),
	"Transport":      strs(protocol.UDP, protocol.TCP, protocol.TLS),
	"Role":           strs(protocol.Host, protocol.Guest, protocol.Attendee),
	"MeetingKind":    strs(protocol.KindMeeting, protocol.KindWebinar),
	"ZoneStatus":     strs(protocol.ZoneOpen, protocol.ZoneFull, protocol.ZoneDraining, protocol.ZoneEmpty),
	"HostVerb":       strs(protocol.HostMute, protocol.HostMuteAll, protocol.HostLowerHand, protocol.HostRemove, protocol.HostEnd, protocol.HostPromote, protocol.HostDemote),
	"FarewellReason": strs(protocol.FarewellLeft, protocol.FarewellRemoved, protocol.FarewellEnded, protocol.FarewellLost, protocol.FarewellResumed, protocol.FarewellMoved, protocol.FarewellAudience),
	"PathState":      strs(protocol.PathConnecting, protocol.PathOK, protocol.PathSilent, protocol.PathLost),
	"PhaseName":      strs(protocol.PhaseLookup, protocol.PhaseZone, protocol.PhaseMMR, protocol.PhaseMedia),
	"ResumeReason":   strs(protocol.ResumeDead, protocol.ResumeDrain, protocol.ResumeMedia),
	"Health":         strs(protocol.Healthy, protocol.Draining, protocol.Waiting, protocol.Stopping, protocol.Silent),
	"ServerKind":     strs(protocol.KindWeb, protocol.KindController, protocol.KindMMR, protocol.KindTunnel),
	"EventKind":      strs(protocol.EventAppeared, protocol.EventSilent, protocol.EventReturned, protocol.EventStopped, protocol.EventDraining, protocol.EventHealthy, protocol.EventFull, protocol.EventRoom),
	"Ailment":        strs(protocol.AilsSilent, protocol.AilsNoMedia, protocol.AilsLeft),
	"Language":       strs(protocol.English, protocol.TraditionalChinese),
	"Code":           codes(),
}

// roots are the messages that the web client sends or reads; what they refer
// to follows.
var roots = []any{
	protocol.LookupRequest{},
	protocol.Package{},
	protocol.CreateMeeting{},
	protocol.Meeting{},
	protocol.SiteConfig{},
	protocol.ProbeAnswer{},
	protocol.JoinRequest{},
	protocol.JoinAnswer{},
	protocol.Report{},
	protocol.SystemStatus{},
	protocol.EventList{},
	protocol.DrainServer{},
	protocol.Problem{},
	protocol.ProblemEntry{},
}

func strs[T ~string](values ...T) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = string(v)
	}
	return out
}

func codes() []string {
	var out []string
	for c := range protocol.Problems {
		out = append(out, string(c))
	}
	sort.Strings(out)
	return out
}

type generator struct {
	queue []reflect.Type
	seen  map[reflect.Type]bool
	used  map[string]bool
}

func generate() string {
	g := &generator{seen: map[reflect.Type]bool{}, used: map[string]bool{}}
	var body strings.Builder
	for _, r := range roots {
		g.want(reflect.TypeOf(r))
	}
	union := func(name, doc string, messages []protocol.ControlMessage) {
		fmt.Fprintf(&body, "/** %s */\nexport type %s =", doc, name)
		for _, m := range messages {
			t := reflect.TypeOf(m)
			g.want(t)
			fmt.Fprintf(&body, "\n  | ({ type: %q } & %s)", m.ControlType(), t.Name())
		}
		body.WriteString(";\n\n")
	}
	union("FromClient", "What a client sends on the control channel.", protocol.FromClient)
	union("FromRouter", "What a router sends on the control channel.", protocol.FromRouter)
	var structs []string
	for len(g.queue) > 0 {
		t := g.queue[0]
		g.queue = g.queue[1:]
		structs = append(structs, g.structure(t))
	}
	sort.Strings(structs)

	var out strings.Builder
	out.WriteString("// Generated from package protocol by `go generate ./protocol`. Do not edit.\n\n")
	var names []string
	for n := range g.used {
		names = append(names, n)
	}
	sort.Strings(names)
	for _, n := range names {
		if len(enums[n]) == 0 {
			fmt.Fprintf(&out, "export type %s = string;\n", n)
			continue
		}
		fmt.Fprintf(&out, "export type %s = %s;\n", n, `"`+strings.Join(enums[n], `" | "`)+`"`)
	}
	fmt.Fprintf(&out, "\nexport const maxChat = %d;\nexport const audioSlots = %d;\n\n", protocol.MaxChat, protocol.AudioSlots)
	out.WriteString(body.String())
	out.WriteString(strings.Join(structs, "\n"))
	return out.String()
}

func (g *generator) want(t reflect.Type) {
	if !g.seen[t] {
		g.seen[t] = true
		g.queue = append(g.queue, t)
	}
}

func (g *generator) structure(t reflect.Type) string {
	if t.NumField() == 0 {
		return fmt.Sprintf("export type %s = Record<never, never>;\n", t.Name())
	}
	var b strings.Builder
	fmt.Fprintf(&b, "export interface %s {\n", t.Name())
	for f := range t.Fields() {
		tag := strings.Split(f.Tag.Get("json"), ",")
		if !f.IsExported() || tag[0] == "-" {
			continue
		}
		optional := ""
		if f.Type.Kind() == reflect.Pointer || strings.Contains(f.Tag.Get("json"), ",omit") {
			optional = "?"
		}
		fmt.Fprintf(&b, "  %s%s: %s;\n", tag[0], optional, g.typ(f.Type))
	}
	b.WriteString("}\n")
	return b.String()
}

func (g *generator) typ(t reflect.Type) string {
	if t == reflect.TypeFor[time.Time]() {
		return "string"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return g.typ(t.Elem())
	case reflect.Slice:
		return g.typ(t.Elem()) + "[]"
	case reflect.Map:
		return fmt.Sprintf("Partial<Record<%s, %s>>", g.typ(t.Key()), g.typ(t.Elem()))
	case reflect.Struct:
		g.want(t)
		return t.Name()
	case reflect.String:
		if t.Name() != "string" {
			g.used[t.Name()] = true
			return t.Name()
		}
		return "string"
	case reflect.Bool:
		return "boolean"
	}
	return "number"
}
