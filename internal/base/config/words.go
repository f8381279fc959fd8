package config

import (
	"reflect"
	"slices"
	"strings"
	"time"
)

// nameOf names a type for people.
func nameOf(t reflect.Type) string {
	if t == reflect.TypeFor[time.Duration]() {
		return `a duration such as "10s"`
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "true or false"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "a section of fields"
	}
	return "a whole number"
}

// suggest says what to do about an unknown field of a section: the field that
// was probably meant, or the fields that there are.
func suggest(section reflect.Type, name string) string {
	var known []string
	for f := range fields(section) {
		known = append(known, f.name)
	}
	if len(known) == 0 {
		return "remove it"
	}
	best := slices.MinFunc(known, func(a, b string) int { return distance(name, a) - distance(name, b) })
	if distance(name, best) <= 1+min(len(name), 20)/4 {
		return `did you mean "` + best + `"?`
	}
	return "remove it, or use one of: " + strings.Join(known, ", ")
}

// fieldOf finds the type of a section's field, nil if there is none.
func fieldOf(section reflect.Type, name string) reflect.Type {
	for f := range fields(section) {
		if f.name == name {
			return f.typ
		}
	}
	return nil
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
				for inner := range fields(f.Type) {
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
	const long = 64
	a, b = a[:min(len(a), long)], b[:min(len(b), long)]
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
