package main

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The architecture: imports go one way,
//
//	cmd → servers, client → peer, bus, route, port443 → media → protocol → base
//
// and servers never import each other: they meet on the wire.
var (
	servers = []string{"internal/web", "internal/zone", "internal/mmr", "internal/tunnel"}

	// layers are the packages from the bottom up; each may import from those
	// below it, and from its own where sameLayer allows it.
	layers = [][]string{
		{"internal/base", "internal/prefetch"},
		{"protocol"},
		{"internal/media"},
		{"internal/peer", "internal/bus", "internal/route", "internal/port443", "internal/nettest"},
		{"internal/token", "internal/store", "internal/turn", "internal/load", "internal/limit", "internal/drain"}, // what servers share
		append([]string{"client"}, servers...),
		{"cmd", "deploy", "lab", "e2e"},
	}

	// only says who alone may import what; "" stands for nobody.
	only = []struct {
		imported string
		by       []string
		why      string
	}{
		{"github.com/nats-io", []string{"internal/bus"}, "everybody else speaks the bus's words"},
		{"database/sql", []string{"internal/store"}, "SQL is in one place"},
		{"github.com/jackc/pgx", []string{"internal/store"}, "SQL is in one place"},
		{"modernc.org/sqlite", []string{"internal/store"}, "SQL is in one place"},
		{"github.com/pion/webrtc", nil, "a whole PeerConnection is only a peer in tests"},
		{"github.com/pion/ice", nil, "internal/peer has its own ICE"},
		{"github.com/alecthomas/kong", []string{"cmd"}, "flags end at the command"},
		{"github.com/goccy/go-yaml", []string{"internal/base/config", "cmd"}, "files are read in one way"},
		{"C", nil, "it builds without cgo"},
	}

	// pure packages do no I/O and read no clock.
	pure    = []string{"internal/media", "protocol"}
	impure  = []string{"net", "os", "syscall", "golang.org/x/sys", "golang.org/x/net"}
	skipped = []string{"internal/deps", "protocol/gen"} // tools
)

type goPackage struct {
	ImportPath, Dir  string
	Imports, GoFiles []string
}

// path is the package's path in the module.
func (p goPackage) path() string { return strings.TrimPrefix(p.ImportPath, "causeway/") }

func listPackages(t *testing.T) []goPackage {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-e", "-json=ImportPath,Dir,Imports,GoFiles", "causeway/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var all []goPackage
	for d := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p goPackage
		if err := d.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		if !isWithinAny(p.path(), skipped) {
			all = append(all, p)
		}
	}
}

// isWithin reports whether a package is another or lies below it.
func isWithin(path, root string) bool { return path == root || strings.HasPrefix(path, root+"/") }

func isWithinAny(path string, roots []string) bool {
	return slices.ContainsFunc(roots, func(root string) bool { return isWithin(path, root) })
}

// place finds a package's layer, and which of its packages it belongs to.
func place(path string) (layer int, root string) {
	for i, roots := range layers {
		for _, root := range roots {
			if isWithin(path, root) {
				return i, root
			}
		}
	}
	return -1, ""
}

func TestImportsGoOneWay(t *testing.T) {
	for _, p := range listPackages(t) {
		layer, root := place(p.path())
		if layer < 0 {
			t.Errorf("%s has no place in the architecture; give it one in layers", p.path())
			continue
		}
		for _, imported := range p.Imports {
			if !strings.HasPrefix(imported, "causeway/") {
				continue
			}
			below, other := place(strings.TrimPrefix(imported, "causeway/"))
			switch {
			case below < 0 || below > layer:
				t.Errorf("%s imports %s, which is above it", p.path(), imported)
			case below == layer && other != root && isWithinAny(root, append(servers, "client")):
				t.Errorf("%s imports %s: servers and client meet on the wire", p.path(), imported)
			}
		}
	}
}

func TestOnlyTheseImport(t *testing.T) {
	for _, p := range listPackages(t) {
		for _, imported := range p.Imports {
			for _, rule := range only {
				if isWithin(imported, rule.imported) && !isWithinAny(p.path(), rule.by) {
					t.Errorf("%s imports %s; only %v may: %s", p.path(), imported, rule.by, rule.why)
				}
			}
			if isWithinAny(p.path(), pure) && slices.Contains(impure, imported) {
				t.Errorf("%s is pure, yet imports %s", p.path(), imported)
			}
		}
	}
}

// TestClientExportsNothingInternal looks for types of internal packages in
// what client exports: nobody outside could name them.
func TestClientExportsNothingInternal(t *testing.T) {
	for _, p := range listPackages(t) {
		if !isWithin(p.path(), "client") || strings.Contains(p.path(), "/internal/") {
			continue
		}
		for _, name := range p.GoFiles {
			file, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, name), nil, 0)
			if err != nil {
				t.Error(err)
				continue
			}
			for _, leak := range leaks(file) {
				t.Errorf("%s/%s exports %s", p.path(), name, leak)
			}
		}
	}
}

// leaks lists the internal types in a file's exported declarations.
func leaks(file *ast.File) []string {
	internal := map[string]bool{} // names of imported internal packages
	for _, spec := range file.Imports {
		path, _ := strconv.Unquote(spec.Path.Value)
		if !strings.Contains(path, "/internal/") {
			continue
		}
		name := path[strings.LastIndexByte(path, '/')+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		internal[name] = true
	}
	var found []string
	look := func(owner string, part ast.Node) {
		ast.Inspect(part, func(n ast.Node) bool {
			if f, ok := n.(*ast.Field); ok && len(f.Names) > 0 && !slices.ContainsFunc(f.Names, (*ast.Ident).IsExported) {
				_, parameter := part.(*ast.FuncType)
				return parameter // an unexported field of a struct is nobody's business
			}
			if s, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := s.X.(*ast.Ident); ok && internal[x.Name] {
					found = append(found, owner+" with "+x.Name+"."+s.Sel.Name)
				}
			}
			return true
		})
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && (d.Recv == nil || receiverExported(d.Recv)) {
				look(d.Name.Name, d.Type)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					if s.Name.IsExported() {
						look(s.Name.Name, s.Type)
					}
				case *ast.ValueSpec:
					if s.Type != nil && slices.ContainsFunc(s.Names, (*ast.Ident).IsExported) {
						look(s.Names[0].Name, s.Type)
					}
				}
			}
		}
	}
	return found
}

func receiverExported(recv *ast.FieldList) bool {
	exported := false
	ast.Inspect(recv.List[0].Type, func(n ast.Node) bool {
		if id, ok := n.(*ast.Ident); ok {
			exported = exported || id.IsExported()
		}
		return true
	})
	return exported
}

// TestLeaks tests the test above.
func TestLeaks(t *testing.T) {
	const source = `package client
import ("causeway/internal/peer"; media "causeway/internal/media/offer"; "causeway/protocol")
type A struct { conn *peer.Conn; Name string }
type B struct { Conn *peer.Conn }
type c struct { Conn *peer.Conn }
func D(o media.Description) {}
func E() (protocol.Package, error) { return protocol.Package{}, peer.Err }
func (a *A) F() map[string]peer.Stats { return nil }
func (x *c) G() peer.Stats { return x.s }
func h(peer.Stats) {}
var I peer.Stats
type J interface { K(peer.Stats) }
`
	file, err := parser.ParseFile(token.NewFileSet(), "x.go", source, 0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"B with peer.Conn", "D with media.Description", "F with peer.Stats", "I with peer.Stats", "J with peer.Stats"}
	if got := leaks(file); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
