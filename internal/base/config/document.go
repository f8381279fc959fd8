package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

// A document is a parsed file, kept to find the line of a field.
type document struct {
	file string
	data []byte
	body ast.Node // nil when the file holds nothing but comments
}

func parseDocument(file string, data []byte) (*document, error) {
	d := &document{file: file, data: data}
	parsed, err := parser.ParseBytes(data, 0)
	if err != nil {
		return nil, d.explain(err, nil)
	}
	if len(parsed.Docs) > 1 {
		return nil, d.fault(parsed.Docs[1].GetToken(), Issue{
			Problem: "a second document begins here", Remedy: "keep one document in the file",
		})
	}
	if len(parsed.Docs) == 1 {
		d.body = parsed.Docs[0].Body
	}
	return d, nil
}

func (d *document) decode(into any) error {
	dec := yaml.NewDecoder(bytes.NewReader(d.data), yaml.DisallowUnknownField())
	if err := dec.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return d.explain(err, reflect.TypeOf(into))
	}
	return nil
}

func (d *document) fault(at *token.Token, issue Issue) error {
	line := 1
	if at != nil && at.Position != nil {
		line = at.Position.Line
		if issue.Field == "" {
			issue.Field = d.pathOf(at)
		}
	}
	return &Fault{File: d.file, Line: line, Issue: issue}
}

// explain puts a decoder's error into words. root is the type decoded into.
func (d *document) explain(err error, root reflect.Type) error {
	var unknown *yaml.UnknownFieldError
	var mismatch *yaml.TypeError
	var overflow *yaml.OverflowError
	var located yaml.Error
	switch {
	case errors.As(err, &unknown):
		field := d.pathOf(unknown.Token)
		return d.fault(unknown.Token, Issue{field, "there is no such field", suggest(root, field)})
	case errors.As(err, &mismatch):
		return d.fault(mismatch.Token, Issue{"", "is not " + nameOf(mismatch.DstType), "write " + nameOf(mismatch.DstType)})
	case errors.As(err, &overflow):
		return d.fault(overflow.Token, Issue{"", overflow.SrcNum + " is out of range", "write a number that fits"})
	case errors.As(err, &located):
		return d.fault(located.GetToken(), Issue{"", firstLine(located.GetMessage()), "correct the YAML here"})
	}
	return d.fault(nil, Issue{"", firstLine(err.Error()), "correct this value"})
}

func firstLine(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	return s
}

// pathOf finds the field whose key or value begins at a token.
func (d *document) pathOf(at *token.Token) string {
	if d.body == nil || at == nil {
		return ""
	}
	found := ""
	ast.Walk(visitor(func(n ast.Node) bool {
		t := n.GetToken()
		if found == "" && t != nil && t.Position != nil && t.Position.Offset == at.Position.Offset {
			if _, composed := n.(*ast.MappingNode); !composed {
				found = strings.TrimPrefix(n.GetPath(), "$.")
			}
		}
		return found == ""
	}), d.body)
	return strings.TrimPrefix(found, "$")
}

type visitor func(ast.Node) bool

func (v visitor) Visit(n ast.Node) ast.Visitor {
	if v(n) {
		return v
	}
	return nil
}

// line finds the line of a field; a field that is not in the file has the
// line of the nearest section above it that is.
func (d *document) line(field string) int {
	line := 1
	node := d.body
	for node != nil && field != "" {
		next, at, rest := step(node, field)
		if next == nil {
			break
		}
		line, node, field = at, next, rest
	}
	return line
}

// step goes from a node to the child that field begins with. Keys may hold
// dots, so the whole key is compared rather than field cut at dots.
func step(node ast.Node, field string) (next ast.Node, line int, rest string) {
	switch n := node.(type) {
	case *ast.MappingNode:
		for _, v := range n.Values {
			if next, line, rest = stepInto(v, field); next != nil {
				return next, line, rest
			}
		}
	case *ast.MappingValueNode:
		return stepInto(n, field)
	case *ast.SequenceNode:
		var i int
		if _, err := fmt.Sscanf(field, "[%d]", &i); err != nil || i < 0 || i >= len(n.Values) {
			return nil, 0, ""
		}
		_, rest, _ = strings.Cut(field, "]")
		child := n.Values[i]
		return child, child.GetToken().Position.Line, strings.TrimPrefix(rest, ".")
	case *ast.AnchorNode:
		return step(n.Value, field)
	}
	return nil, 0, ""
}

func stepInto(v *ast.MappingValueNode, field string) (ast.Node, int, string) {
	key := v.Key.GetToken().Value
	rest, ok := strings.CutPrefix(field, key)
	if !ok || rest != "" && rest[0] != '.' && rest[0] != '[' {
		return nil, 0, ""
	}
	return v.Value, v.Key.GetToken().Position.Line, strings.TrimPrefix(rest, ".")
}
