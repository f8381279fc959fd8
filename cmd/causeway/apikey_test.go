package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"causeway/internal/web"
)

// TestAPIKeyCreate makes keys before the server runs and while it runs.
func TestAPIKeyCreate(t *testing.T) {
	a := &apart{t: t, dir: t.TempDir(), ports: map[string]string{}}
	server := a.web()
	var line serverReady
	server.ready(&line)
	file := filepath.Join(a.dir, "web.yaml")
	status, out, stderr := command(t, "apikey", "create", "--config", file, "--name", " operator ", "--json")
	made := decode[web.APIKey](t, out)
	if status != 0 || stderr != "" || made.Name != "operator" || made.ID == "" || made.CreatedAt.IsZero() || strings.Count(out, "\n") != 1 {
		t.Errorf("status %d, printed %q, said %q", status, out, stderr)
	}
	_, out, _ = command(t, "apikey", "create", "--config", file, "--name", "second")
	for _, key := range []string{made.Key, strings.TrimSpace(out)} {
		api := []string{"--server", "https://localhost:" + a.port("web"), "--ca", filepath.Join(a.dir, "ca", "ca.pem"), "--api-key", key}
		if status, _, stderr := command(t, append([]string{"meeting", "list"}, api...)...); status != 0 {
			t.Errorf("key %q: %s", key, stderr)
		}
	}
}

// TestAPIKeyRefuses asks for keys that cannot be made.
func TestAPIKeyRefuses(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "web.yaml")
	text := "server: web\ntls: {own_ca: " + dir + "}\ndatabase: sqlite:"
	if err := os.WriteFile(file, []byte(text+filepath.Join(dir, "web.db")), 0o600); err != nil {
		t.Fatal(err)
	}
	broken := filepath.Join(dir, "broken.yaml")
	if err := os.WriteFile(broken, []byte(text+filepath.Join(file, "web.db")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, file, key, want string
		status                int
	}{
		{"blank name", file, " ", "name", 1},
		{"long name", file, strings.Repeat("x", 65), "64", 1},
		{"no such file", filepath.Join(dir, "absent.yaml"), "x", "absent.yaml", 1},
		{"no database", broken, "x", "web.db", 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			status, out, stderr := command(t, "apikey", "create", "--config", c.file, "--name", c.key)
			if status != c.status || out != "" || !strings.Contains(stderr, c.want) {
				t.Errorf("status %d, printed %q, said %q", status, out, stderr)
			}
		})
	}
}
