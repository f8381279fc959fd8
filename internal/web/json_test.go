package web

import (
	"encoding/json"
	"reflect"
	"testing"
)

// depth is how deep a decoded value is nested.
func depth(v any) int {
	deepest := 0
	switch v := v.(type) {
	case []any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
	case map[string]any:
		for _, e := range v {
			deepest = max(deepest, depth(e))
		}
	default:
		return 0
	}
	return deepest + 1
}

// FuzzUnmarshal: whatever is not too deep is read as encoding/json reads it,
// and nothing deeper is.
func FuzzUnmarshal(f *testing.F) {
	for _, s := range []string{`{}`, ` {"a":"\"[[\\"} `, `[[[1]]]`, `"`, `{"a":[{"b":null}]}`, `]]]`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		var want, got any
		wantErr, err := json.Unmarshal([]byte(s), &want), unmarshal([]byte(s), &got)
		switch {
		case err == nil && (wantErr != nil || !reflect.DeepEqual(want, got) || depth(got) > maxDepth):
			t.Errorf("%q became %v, want %v, %v", s, got, want, wantErr)
		case err != nil && wantErr == nil && depth(want) <= maxDepth:
			t.Errorf("%q: %v", s, err)
		}
	})
}
