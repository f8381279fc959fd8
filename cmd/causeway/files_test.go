package main

import (
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"causeway/deploy"
	"causeway/internal/base/config"
)

var update = flag.Bool("update", false, "write the golden files anew")

// TestSamples holds the samples equal to the defaults: but for what has no
// default, a sample says what holds without it.
func TestSamples(t *testing.T) {
	tlsFiles := TLSFields{Cert: "/etc/causeway/tls/fullchain.pem", Key: "/etc/causeway/tls/privkey.pem"}

	web := defaultWebFile()
	web.TLS = tlsFiles
	web.Database = "postgres://causeway:PASSWORD@localhost/causeway"
	web.Web.PublicURL = "https://meet.example.org"
	checkSample(t, kindWeb, web)

	zone := defaultZoneFile()
	zone.TLS, zone.Data = tlsFiles, "/var/lib/causeway/zone"
	zone.Bus.Hubs = []string{"meet.example.org:443"}
	zone.Zone.URL = "https://zc1.example.org"
	checkSample(t, kindZone, zone)

	mmr := defaultMMRFile()
	mmr.TLS, mmr.Data = tlsFiles, "/var/lib/causeway/mmr"
	mmr.Bus.Controllers = []string{"zc1.example.org:443"}
	mmr.MMR.ControlURL = "wss://mmr1.example.org/mmr/v1/control"
	checkSample(t, kindMMR, mmr)

	tunnel := defaultTunnelFile()
	tunnel.TLS, tunnel.Data = tlsFiles, "/var/lib/causeway/tunnel"
	tunnel.Bus.Hubs = []string{"meet.example.org:443"}
	tunnel.Tunnel.URL = "https://tunnel1.example.org"
	checkSample(t, kindTunnel, tunnel)
}

func checkSample[T config.Checker](t *testing.T, kind string, want T) {
	t.Run(kind, func(t *testing.T) {
		var empty T // so that the sample itself has to say everything
		got, err := config.Parse(kind+".yaml", []byte(deploy.Samples[kind]), empty)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the sample (+) is not the defaults (-):\n%s", diff)
		}
		for _, name := range fieldNames(reflect.TypeFor[T]()) {
			mentioned := regexp.MustCompile(`(?m)[\s{#]` + regexp.QuoteMeta(name) + `:`)
			if !mentioned.MatchString("\n" + deploy.Samples[kind]) {
				t.Errorf("the sample does not mention %s", name)
			}
		}
		if kind, err := checkFile(kind+".yaml", []byte(uncomment(deploy.Samples[kind]))); err != nil && strings.Contains(err.Error(), "no such field") {
			t.Errorf("what the %s sample has commented out: %v", kind, err)
		}
		if status, out, _ := command(t, "config", "sample", kind); status != 0 || out != deploy.Samples[kind] {
			t.Errorf("the sample is not printed")
		}
	})
}

// uncomment makes fields of those that a sample has commented out.
func uncomment(sample string) string {
	return regexp.MustCompile(`(?m)^( *)# ( *[\w./]+:( .*)?)$`).ReplaceAllStringFunc(sample, func(line string) string {
		if strings.HasSuffix(line, ".") || strings.Contains(line, "causeway config") {
			return line // a sentence
		}
		return strings.Replace(line, "# ", "", 1)
	})
}

// fieldNames are the names of all fields of a file.
func fieldNames(t reflect.Type) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct {
		return nil
	}
	var names []string
	for f := range t.Fields() {
		if tag, _, _ := strings.Cut(f.Tag.Get("yaml"), ","); tag != "" {
			names = append(names, tag)
		}
		names = append(names, fieldNames(f.Type)...)
	}
	return names
}

// TestConfigCheck checks testdata/config/NAME.yaml and compares what the
// command says with NAME.want.
func TestConfigCheck(t *testing.T) {
	files, err := filepath.Glob("testdata/config/*.yaml")
	if err != nil || len(files) == 0 {
		t.Fatal("no test data", err)
	}
	dir, err := filepath.Abs("testdata/config")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			status, out, stderr := command(t, "config", "check", file)
			if (status == 0) != (stderr == "") || (status == 0) == (out == "") {
				t.Errorf("status %d, printed %q, said %q", status, out, stderr)
			}
			got := strings.ReplaceAll(out+stderr, dir+string(filepath.Separator), "")
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

func TestConfigUnreadable(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.yaml")
	for _, args := range [][]string{{"config", "check", missing}, {"web", "--config", missing}, {"zone", "--config", missing}, {"mmr", "--config", missing}} {
		if status, _, stderr := command(t, args...); status != 1 || !strings.Contains(stderr, missing) {
			t.Errorf("%v: status %d, said %q", args, status, stderr)
		}
	}
}

func TestWrongServersFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "zone.yaml")
	if err := os.WriteFile(file, []byte(deploy.Samples[kindZone]), 0o600); err != nil {
		t.Fatal(err)
	}
	if status, _, stderr := command(t, "mmr", "--config", file); status != 1 || strings.Contains(stderr, "no such field") || !strings.Contains(stderr, "start this one with causeway zone") {
		t.Errorf("status %d, said %q", status, stderr)
	}
}
