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
		return nil, d.explain(err)
	}
	if len(parsed.Docs) > 1 {
		return nil, d.fault(parsed.Docs[1].Start, "a second document begins here", "keep one document in the file")
	}
	if len(parsed.Docs) == 1 {
		d.body = parsed.Docs[0].Body
	}
	return d, nil
}

func (d *document) decode(into any) error {
	if err := d.check(reflect.TypeOf(into)); err != nil {
		return err
	}
	dec := yaml.NewDecoder(bytes.NewReader(d.data), yaml.DisallowUnknownField())
	if err := dec.Decode(into); err != nil && !errors.Is(err, io.EOF) {
		return d.explain(err)
	}
	return nil
}

func (d *document) fault(at *token.Token, problem, remedy string) error {
	line := 1
	if at != nil && at.Position != nil {
		line = at.Position.Line
	}
	return &Fault{File: d.file, Line: line, Issue: Issue{Problem: problem, Remedy: remedy}}
}

// explain puts an error of the YAML library into the form of all others.
func (d *document) explain(err error) error {
	var at *token.Token
	text := err.Error()
	var located yaml.Error
	if errors.As(err, &located) {
		at, text = located.GetToken(), located.GetMessage()
	}
	text, _, _ = strings.Cut(strings.TrimSpace(text), "\n")
	return d.fault(at, text, "correct the YAML here")
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
