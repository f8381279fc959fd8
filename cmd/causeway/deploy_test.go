package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"text/template"

	"github.com/Masterminds/sprig/v3"
	"github.com/goccy/go-yaml"
)

// chart renders the templates of the Helm chart as Helm does, for one release.
func chart(t *testing.T, change func(values map[string]any)) string {
	t.Helper()
	dir := filepath.Join("..", "..", "deploy", "helm", "causeway")
	values := readYAML(t, filepath.Join(dir, "values.yaml"))
	if change != nil {
		change(values)
	}
	all := template.New("chart").Option("missingkey=zero")
	funcs := sprig.TxtFuncMap()
	funcs["toYaml"] = func(v any) (string, error) {
		text, err := yaml.Marshal(v)
		return strings.TrimSuffix(string(text), "\n"), err
	}
	funcs["include"] = func(name string, data any) (string, error) {
		var b strings.Builder
		err := all.ExecuteTemplate(&b, name, data)
		return b.String(), err
	}
	all.Funcs(funcs)
	files, err := filepath.Glob(filepath.Join(dir, "templates", "*.*"))
	if err != nil || len(files) == 0 {
		t.Fatalf("templates: %v, %v", files, err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := all.New(filepath.Base(file)).Parse(string(text)); err != nil {
			t.Fatal(err)
		}
	}
	data := map[string]any{
		"Values": values, "Release": map[string]any{"Name": "x"}, "Chart": readYAML(t, filepath.Join(dir, "Chart.yaml")),
	}
	data["Chart"].(map[string]any)["AppVersion"] = "1"
	var out strings.Builder
	for _, file := range files {
		if filepath.Ext(file) != ".yaml" {
			continue
		}
		out.WriteString("\n---\n")
		if err := all.ExecuteTemplate(&out, filepath.Base(file), data); err != nil {
			t.Fatal(err)
		}
	}
	return out.String()
}

func readYAML(t *testing.T, file string) map[string]any {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var v map[string]any
	if err := yaml.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	return v
}

// TestChart: the chart's documents can be read, and every server's file in
// them is one that the server takes.
func TestChart(t *testing.T) {
	t.Setenv("CAUSEWAY_DATABASE", "postgres://causeway@localhost/causeway")
	rendered := chart(t, func(v map[string]any) {
		v["tunnels"] = []any{map[string]any{"name": "t1", "url": "https://t1.example.org", "enrollSecret": "t1-token"}}
		zone := v["zones"].([]any)[0].(map[string]any)
		zone["location"] = map[string]any{"lat": 25.03, "lon": 121.57}
		zone["onPremises"], zone["networks"] = true, []any{"10.0.0.0/8"}
	})
	kinds, files := map[string]int{}, map[string]int{}
	for _, document := range strings.Split(rendered, "\n---\n") {
		var d struct {
			Kind     string
			Metadata struct{ Name string }
			Data     map[string]string
		}
		if err := yaml.Unmarshal([]byte(document), &d); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if d.Kind == "" {
			continue
		}
		kinds[d.Kind]++
		if d.Kind != "ConfigMap" {
			continue
		}
		kind, err := checkFile(d.Metadata.Name, []byte(d.Data["causeway.yaml"]))
		if err != nil {
			t.Errorf("%s:\n%v\n%s", d.Metadata.Name, err, d.Data["causeway.yaml"])
		}
		files[kind]++
	}
	if files[kindWeb] != 1 || files[kindZone] != 2 || files[kindMMR] != 2 || files[kindTunnel] != 1 || kinds["StatefulSet"] != 6 || kinds["Service"] != 5 {
		t.Errorf("files %v, documents %v", files, kinds)
	}
}

// TestExamples: the files of the examples are ones that servers take.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join("..", "..", "deploy", "examples", "*", "*.yaml"))
	if err != nil || len(files) < 8 {
		t.Fatalf("only %d examples, %v", len(files), err)
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := checkFile(file, text); err != nil {
			t.Errorf("%v", err)
		}
	}
}
