package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files anew")

// Base is inlined into sample, as servers' common fields are.
type Base struct {
	Listen string `yaml:"listen"`
}

type place struct {
	Lat float64 `yaml:"lat"`
	Lon float64 `yaml:"lon"`
}

type section struct {
	Cert    string        `yaml:"cert"`
	Timeout time.Duration `yaml:"timeout"`
	Tries   uint8         `yaml:"tries"`
}

type sample struct {
	Base     `yaml:",inline"`
	TLS      section          `yaml:"tls"`
	Weight   float64          `yaml:"weight"`
	Open     bool             `yaml:"open"`
	Names    []string         `yaml:"names"`
	Networks map[string]place `yaml:"networks"`
	Sites    []place          `yaml:"sites"`
	Center   *place           `yaml:"center"`
	Hidden   int              `yaml:"-"`
}

func defaults() sample {
	return sample{Base: Base{":443"}, TLS: section{Timeout: 10 * time.Second}, Weight: 1}
}

// Check implements Checker.
func (s sample) Check() []Issue {
	var issues []Issue
	if s.Weight < 0 {
		issues = append(issues, Issue{"weight", "is negative", "use 0 or more"})
	}
	for i, n := range s.Names {
		if n == "" {
			issues = append(issues, Issue{"names[" + string(rune('0'+i)) + "]", "is empty", "remove it"})
		}
	}
	for cidr, at := range s.Networks {
		if at.Lat > 90 {
			issues = append(issues, Issue{"networks." + cidr + ".lat", "is beyond the pole", "use -90 to 90"})
		}
	}
	return append(issues, Prefix("tls", s.TLS.check())...)
}

func (s section) check() []Issue {
	if s.Cert == "" {
		return []Issue{{"cert", "is missing", "name a file"}}
	}
	if s.Cert == "none" {
		return []Issue{{"", "is not configured", "configure it"}}
	}
	return nil
}

// TestGolden reads each testdata/NAME.yaml and compares what is said about it
// with NAME.want.
func TestGolden(t *testing.T) {
	files, err := filepath.Glob("testdata/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			got := "no problems\n"
			if _, err := Parse(name+".yaml", data, defaults()); err != nil {
				got = err.Error() + "\n"
			}
			golden := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestLoadOverDefaults(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.yaml")
	text := "tls: {cert: a.pem, tries: 3}\nnames: [x]\nnetworks:\n  10.0.0.0/8: {lat: 1, lon: 2}\ncenter: {lat: 5}\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := Load(file, defaults())
	if err != nil {
		t.Fatal(err)
	}
	want := sample{
		Base: Base{":443"}, TLS: section{Cert: "a.pem", Timeout: 10 * time.Second, Tries: 3}, Weight: 1,
		Names: []string{"x"}, Networks: map[string]place{"10.0.0.0/8": {1, 2}}, Center: &place{Lat: 5},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestLoadUnreadable(t *testing.T) {
	dir := t.TempDir()
	big := filepath.Join(dir, "big.yaml")
	if err := os.WriteFile(big, make([]byte, MaxSize+1), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "none.yaml"), dir, big} {
		if _, err := Load(path, defaults()); err == nil {
			t.Errorf("loaded %s", path)
		}
	}
}

func TestFaultsAreTyped(t *testing.T) {
	_, err := Parse("f.yaml", []byte("\nweight: -1\ntls: {cert: x}\n"), defaults())
	var f *Fault
	if !errors.As(err, &f) || f.Line != 2 || f.Field != "weight" || f.File != "f.yaml" {
		t.Errorf("got %#v", err)
	}
}

func FuzzParse(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.yaml")
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		_, err := Parse("f.yaml", data, defaults())
		if err == nil {
			return
		}
		for line := range strings.Lines(err.Error()) {
			if !strings.HasPrefix(line, "f.yaml:") {
				t.Errorf("said %q of %q", line, data)
			}
		}
	})
}
