package config

import (
	"encoding"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
)

// check compares the document with the type that it is decoded into, and
// finds all that does not fit. The decoder would stop at the first, and takes
// 1.5 for a whole number.
func (d *document) check(t reflect.Type) error {
	var c checker
	c.file = d.file
	if d.body != nil {
		c.value(d.body, t, "")
	}
	return errors.Join(c.faults...)
}

type checker struct {
	file   string
	faults []error
}

func (c *checker) fault(n ast.Node, path, problem, remedy string) {
	line := 1
	if t := n.GetToken(); t != nil && t.Position != nil {
		line = t.Position.Line
	}
	c.faults = append(c.faults, &Fault{c.file, line, Issue{path, problem, remedy}})
}

// mismatch says that a node is of another kind than its field.
func (c *checker) mismatch(n ast.Node, t reflect.Type, path string) {
	c.fault(n, path, "is not "+nameOf(t), "write "+nameOf(t))
}

// value checks the value of a field of type t.
func (c *checker) value(n ast.Node, t reflect.Type, path string) {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch v := n.(type) {
	case *ast.AnchorNode:
		c.value(v.Value, t, path)
		return
	case *ast.NullNode, *ast.AliasNode, *ast.TagNode:
		return // absent, checked where it is anchored, or left to the decoder
	}
	switch {
	case decodesItself(t):
	case t == reflect.TypeFor[time.Duration]():
		s, ok := n.(*ast.StringNode)
		if !ok {
			c.mismatch(n, t, path)
		} else if _, err := time.ParseDuration(s.Value); err != nil {
			c.mismatch(n, t, path)
		}
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Map:
		c.section(n, t, path)
	case t.Kind() == reflect.Slice || t.Kind() == reflect.Array:
		c.list(n, t, path)
	case t.Kind() != reflect.Interface:
		c.scalar(n, t, path)
	}
}

func decodesItself(t reflect.Type) bool {
	p := reflect.PointerTo(t)
	return p.Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) ||
		p.Implements(reflect.TypeFor[yaml.BytesUnmarshaler]()) ||
		p.Implements(reflect.TypeFor[yaml.InterfaceUnmarshaler]())
}

func (c *checker) section(n ast.Node, t reflect.Type, path string) {
	var entries []*ast.MappingValueNode
	switch v := n.(type) {
	case *ast.MappingNode:
		entries = v.Values
	case *ast.MappingValueNode:
		entries = []*ast.MappingValueNode{v}
	default:
		c.mismatch(n, t, path)
		return
	}
	for _, e := range entries {
		if e.Key.IsMergeKey() {
			continue
		}
		name := e.Key.GetToken().Value
		at := name
		if path != "" {
			at = path + "." + name
		}
		if t.Kind() == reflect.Map {
			c.value(e.Value, t.Elem(), at)
		} else if typ := fieldOf(t, name); typ != nil {
			c.value(e.Value, typ, at)
		} else {
			c.fault(e.Key, at, "there is no such field", suggest(t, name))
		}
	}
}

func (c *checker) list(n ast.Node, t reflect.Type, path string) {
	s, ok := n.(*ast.SequenceNode)
	if !ok {
		c.mismatch(n, t, path)
		return
	}
	for i, v := range s.Values {
		c.value(v, t.Elem(), fmt.Sprintf("%s[%d]", path, i))
	}
}

func (c *checker) scalar(n ast.Node, t reflect.Type, path string) {
	fits := false
	switch t.Kind() {
	case reflect.Bool:
		_, fits = n.(*ast.BoolNode)
	case reflect.String:
		_, fits = n.(ast.ScalarNode)
	case reflect.Float32, reflect.Float64:
		switch n.(type) {
		case *ast.FloatNode, *ast.IntegerNode:
			fits = true
		}
	default: // whole numbers
		var whole *ast.IntegerNode
		if whole, fits = n.(*ast.IntegerNode); fits && !inRange(whole.Value, t) {
			c.fault(n, path, whole.Token.Value+" is out of range", "write a number that fits")
			return
		}
	}
	if !fits {
		c.mismatch(n, t, path)
	}
}

// inRange reports whether a whole number, an int64 or uint64, fits a type.
func inRange(v any, t reflect.Type) bool {
	zero := reflect.Zero(t)
	switch n := v.(type) {
	case int64:
		if zero.CanUint() {
			return n >= 0 && !zero.OverflowUint(uint64(n))
		}
		return zero.CanInt() && !zero.OverflowInt(n)
	case uint64:
		if zero.CanUint() {
			return !zero.OverflowUint(n)
		}
		return zero.CanInt() && n <= 1<<63-1 && !zero.OverflowInt(int64(n))
	}
	return false
}
