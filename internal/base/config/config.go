// Package config reads strict YAML files into structs.
//
// A file that is wrong is told in one line per problem,
//
//	zone.yaml:12: zone.weight: is negative; use 0 or more
//
// so that whoever runs a server can fix it without reading code. Unknown and
// repeated fields are problems too. Durations are written as Go writes them
// ("10s"). It does no I/O but reading the file, and owns no goroutine.
package config

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// MaxSize bounds a configuration file, in bytes.
const MaxSize = 1 << 20

// An Issue is something wrong with one field. Field is its path, such as
// "tls.cert" or "networks[2]"; Problem and Remedy are parts of one sentence:
// "Problem; Remedy".
type Issue struct {
	Field, Problem, Remedy string
}

// A Checker is a config struct that knows what its fields may hold.
type Checker interface {
	// Check returns everything that is wrong; it does no I/O.
	Check() []Issue
}

// Prefix puts a section's name before the fields of its issues.
func Prefix(section string, issues []Issue) []Issue {
	out := make([]Issue, len(issues))
	for i, issue := range issues {
		issue.Field = strings.TrimSuffix(section+"."+issue.Field, ".")
		out[i] = issue
	}
	return out
}

// A Fault is an issue and the place where it is in a file.
type Fault struct {
	File string
	Line int
	Issue
}

// Error gives the line that people read.
func (f *Fault) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d: ", f.File, f.Line)
	if f.Field != "" {
		b.WriteString(f.Field + ": ")
	}
	b.WriteString(f.Problem)
	if f.Remedy != "" {
		b.WriteString("; " + f.Remedy)
	}
	return b.String()
}

// Load reads the file at path over the defaults. Its error is a *Fault, or
// several joined, unless the file cannot be read at all.
func Load[T any](path string, defaults T) (T, error) {
	data, err := Read(path)
	if err != nil {
		return defaults, err
	}
	return Parse(path, data, defaults)
}

// Read reads a configuration file.
func Read(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	if info.Size() > MaxSize {
		return nil, fmt.Errorf("read configuration: %s is larger than %d bytes", path, MaxSize)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read configuration: %w", err)
	}
	return data, nil
}

// Parse decodes data over the defaults; file stands in its errors.
func Parse[T any](file string, data []byte, defaults T) (T, error) {
	doc, err := parseDocument(file, data)
	if err != nil {
		return defaults, err
	}
	value := defaults
	if err := doc.decode(&value); err != nil {
		return defaults, err
	}
	checker, ok := any(value).(Checker)
	if !ok {
		checker, ok = any(&value).(Checker)
	}
	if !ok {
		return value, nil
	}
	var faults []error
	for _, issue := range checker.Check() {
		faults = append(faults, &Fault{File: file, Line: doc.line(issue.Field), Issue: issue})
	}
	slices.SortStableFunc(faults, func(a, b error) int { return a.(*Fault).Line - b.(*Fault).Line })
	return value, errors.Join(faults...)
}
