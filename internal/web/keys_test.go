package web

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"causeway/protocol"
)

func TestAPIKeys(t *testing.T) {
	both(t, func(t *testing.T, dsn string) {
		n := startNode(t, dsn, testConfig())
		made := get[APIKey](n, 201, request{method: "POST", path: keysPath, key: n.key, body: `{"name":" ci\u0000 "}`})
		if made.Name != "ci" || !strings.HasPrefix(made.Key, keyPrefix) || len(made.Key) < 50 {
			t.Errorf("created %+v", made)
		}
		list := get[APIKeyList](n, 200, request{method: "GET", path: keysPath, key: made.Key})
		if len(list.Keys) != 2 || list.Keys[0].Name != "test" || list.Keys[1].ID != made.ID || !list.Keys[1].CreatedAt.Equal(made.CreatedAt) {
			t.Errorf("list %+v", list)
		}
		if w := n.do(request{method: "GET", path: keysPath, key: made.Key}); strings.Contains(w.Body.String(), made.Key) {
			t.Error("the key is told again")
		}
		if w := n.do(request{method: "DELETE", path: keysPath + "/" + made.ID, key: made.Key}); w.Code != http.StatusNoContent {
			t.Errorf("revoke: %d %s", w.Code, w.Body)
		}
		n.fails(protocol.ProblemUnauthorized, request{method: "GET", path: keysPath, key: made.Key})
		for _, id := range []string{made.ID, "none", "N%00", "%ff"} {
			n.fails(protocol.ProblemNotFound, request{method: "DELETE", path: keysPath + "/" + id, key: n.key})
		}
		for key, want := range map[string]bool{n.key: true, made.Key: false, "": false, "x": false} {
			if got, err := n.ValidAPIKey(context.Background(), key); got != want || err != nil {
				t.Errorf("key %q: %t, %v, want %t", key, got, err, want)
			}
		}
	})
}

func TestBadKeysAreLimited(t *testing.T) {
	cfg := testConfig()
	cfg.Limits.Keys.Burst, cfg.Limits.Keys.PerMinute = 3, 0.001
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", cfg)
	r := request{method: "GET", path: keysPath}
	for range 5 {
		n.fails(protocol.ProblemUnauthorized, r) // without a key is no attempt
	}
	for _, key := range []string{"cwk_guess", "guess", "\x01"} {
		r.key = key
		n.fails(protocol.ProblemUnauthorized, r)
	}
	n.fails(protocol.ProblemRateLimited, r)
	r.key = n.key
	n.fails(protocol.ProblemRateLimited, r)
	r.from = "198.51.100.99:1"
	get[APIKeyList](n, 200, r)
}

func TestCredentialForms(t *testing.T) {
	n := startNode(t, "sqlite:"+t.TempDir()+"/web.db", testConfig())
	for header, ok := range map[string]bool{
		"Bearer " + n.key: true, "bearer  " + n.key + " ": true, n.key: false, "Basic " + n.key: false, "Bearer": false, "Bearer ": false, "": false,
	} {
		w := n.do(request{method: "GET", path: keysPath, header: map[string]string{"Authorization": header}})
		if (w.Code == 200) != ok {
			t.Errorf("Authorization %q: %d", header, w.Code)
		}
	}
}
