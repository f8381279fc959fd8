package config

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// nameOf names a type for people.
func nameOf(t reflect.Type) string {
	if t == nil {
		return "a value of this kind"
	}
	if t == reflect.TypeFor[time.Duration]() {
		return `a duration such as "10s"`
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "a section of fields"
	case reflect.Pointer:
		return nameOf(t.Elem())
	}
	return "a value of this kind"
}

// suggest says what to do about an unknown field: the field that was
// probably meant, or the fields that there are.
func suggest(root reflect.Type, field string) string {
	parent, name := "", field
	if i := strings.LastIndexByte(field, '.'); i >= 0 {
		parent, name = field[:i], field[i+1:]
	}
	known := fieldsOf(descend(root, parent))
	if len(known) == 0 {
		return "remove it"
	}
	best := slices.MinFunc(known, func(a, b string) int { return distance(name, a) - distance(name, b) })
	if distance(name, best) <= 1+len(name)/4 {
		return `did you mean "` + best + `"?`
	}
	return "remove it, or use one of: " + strings.Join(known, ", ")
}

// descend finds the type of a section.
func descend(t reflect.Type, path string) reflect.Type {
	t = plain(t)
	if path == "" || t == nil {
		return t
	}
	name, rest, _ := strings.Cut(path, ".")
	name, _, indexed := strings.Cut(name, "[")
	switch t.Kind() {
	case reflect.Struct:
		for f := range fields(t) {
			if f.name == name {
				t = plain(f.typ)
				if indexed && t.Kind() == reflect.Slice {
					t = t.Elem()
				}
				return descend(t, rest)
			}
		}
	case reflect.Map:
		return descend(t.Elem(), rest)
	}
	return nil
}

func plain(t reflect.Type) reflect.Type {
	for t != nil && t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t
}

func fieldsOf(t reflect.Type) []string {
	var names []string
	if t = plain(t); t != nil && t.Kind() == reflect.Struct {
		for f := range fields(t) {
			names = append(names, f.name)
		}
	}
	return names
}

type field struct {
	name string
	typ  reflect.Type
}

// fields yields a struct's fields as YAML names them, those of inlined
// structs among them.
func fields(t reflect.Type) func(yield func(field) bool) {
	return func(yield func(field) bool) {
		for f := range t.Fields() {
			tag, options, _ := strings.Cut(f.Tag.Get("yaml"), ",")
			switch {
			case tag == "-" || !f.IsExported():
				continue
			case strings.Contains(options, "inline"):
				for inner := range fields(plain(f.Type)) {
					if !yield(inner) {
						return
					}
				}
				continue
			case tag == "":
				tag = strings.ToLower(f.Name)
			}
			if !yield(field{tag, f.Type}) {
				return
			}
		}
	}
}

// distance is the Levenshtein distance of two short words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j+1]+1, row[j]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}
