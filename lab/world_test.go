//go:build linux

package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

// TestMain makes the test binary a server of the lab when it is told to be one.
func TestMain(m *testing.M) {
	if address := os.Getenv("CAUSEWAY_LAB_LISTEN"); address != "" {
		l, err := net.Listen("tcp", address)
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("listening")
		for {
			if c, err := l.Accept(); err == nil {
				_ = c.Close()
			}
		}
	}
	if address := os.Getenv("CAUSEWAY_LAB_MIDDLEBOX"); address != "" {
		fmt.Println(inspect(address, os.Getenv("CAUSEWAY_LAB_ROOT"), os.Getenv("CAUSEWAY_LAB_REFUSE") == "true"))
		os.Exit(1)
	}
	if link := os.Getenv("CAUSEWAY_LAB_JOIN"); link != "" {
		d, err := time.ParseDuration(os.Getenv("CAUSEWAY_LAB_FOR"))
		if err == nil {
			err = listen(link, os.Getenv("CAUSEWAY_LAB_PROXY"), os.Getenv("CAUSEWAY_LAB_CA"), d)
		}
		if err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	if link := os.Getenv("CAUSEWAY_LAB_ATTEND"); link != "" {
		if err := takePart(link, os.Getenv("CAUSEWAY_LAB_NAME"), os.Getenv("CAUSEWAY_LAB_CA"), os.Getenv("CAUSEWAY_LAB_RECORD")); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestPolicies checks the lab itself: what each policy lets out.
func TestPolicies(t *testing.T) {
	w := NewWorld(t)
	for _, host := range []string{"web", "zone", "mmr"} {
		for _, port := range []string{"443", "8801"} {
			p := w.Start(host, "env", "CAUSEWAY_LAB_LISTEN=:"+port, os.Args[0])
			if !p.Until("listening", startWithin) {
				t.Fatalf("no server in %s", host)
			}
		}
	}
	// What is dropped is waited for in vain, so not for long; what must answer
	// may take its time.
	reach := func(from, address string, want bool) bool {
		patience := map[bool]string{true: "20", false: "1"}[want]
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		host, port, _ := strings.Cut(address, ":")
		return w.command(ctx, from, "bash", "-c", "timeout "+patience+" bash -c '</dev/tcp/"+addresses[host]+"/"+port+"'").Run() == nil
	}
	for _, tc := range []struct {
		name   string
		policy Policy
		want   map[string]bool
	}{
		{"open", Open, map[string]bool{"web:443": true, "mmr:8801": true, "zone:443": true}},
		{"only 443", Only443, map[string]bool{"web:443": true, "mmr:8801": false}},
		{"only 443, refusing", Only443Refusing, map[string]bool{"web:443": true, "mmr:8801": false}},
		{"proxy only", ProxyOnly, map[string]bool{"web:443": false, "mmr:8801": false}},
		{"controllers gone", ControllersGone, map[string]bool{"web:443": true, "zone:443": false, "mmr:8801": true}},
		{"only web", OnlyWeb, map[string]bool{"web:443": true, "zone:443": false, "mmr:443": false}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w.Apply(tc.policy)
			for address, want := range tc.want {
				if got := reach("client", address, want); got != want {
					t.Errorf("client to %s: %v", address, got)
				}
				if !reach("proxy", address, true) {
					t.Errorf("the proxy does not reach %s", address)
				}
			}
		})
	}
}
