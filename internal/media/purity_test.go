package media

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// allowed are the imports of these packages besides each other.
var allowed = map[string]bool{
	"crypto/aes": true, "crypto/cipher": true, "encoding/binary": true, "encoding/hex": true, "errors": true, "fmt": true, "hash/fnv": true, "math": true,
	"net/netip": true, "reflect": true, "slices": true, "strconv": true, "strings": true, "sync": true, "time": true, "unsafe": true,
	"causeway/internal/prefetch": true,
	"github.com/pion/sdp/v3":     true, "github.com/pion/rtcp": true,
}

// TestPurity holds what the package comment says: no sockets, no clock, no
// goroutines.
func TestPurity(t *testing.T) {
	files, err := filepath.Glob("*/*.go")
	if err != nil || len(files) < 30 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		set := token.NewFileSet()
		f, err := parser.ParseFile(set, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			if !allowed[path] && !strings.HasPrefix(path, "causeway/internal/media/") {
				t.Errorf("%s imports %s", name, path)
			}
		}
		ast.Inspect(f, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.GoStmt:
				t.Errorf("%s starts a goroutine", set.Position(n.Pos()))
			case *ast.SelectorExpr:
				x, ok := n.X.(*ast.Ident)
				if ok && x.Name == "time" && (n.Sel.Name == "Now" || n.Sel.Name == "Since" || n.Sel.Name == "Until" || n.Sel.Name == "Sleep" || n.Sel.Name == "After") {
					t.Errorf("%s: time.%s", set.Position(n.Pos()), n.Sel.Name)
				}
			}
			return true
		})
	}
}

// TestListed: the package comment lists every package.
func TestListed(t *testing.T) {
	doc, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if e.IsDir() && !strings.Contains(string(doc), "//\t"+e.Name()+" ") {
			t.Errorf("doc.go does not list %s", e.Name())
		}
	}
}
