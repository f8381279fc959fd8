//go:build linux

// Package e2e tests whole systems of real processes: the causeway binary is
// built once and run as an operator would run it, web, zone controllers and
// router each on its own with PostgreSQL between them, or all in one with
// `causeway up`. It is tests only and nothing imports it.
//
// Every process dies with the test that started it, and with the test binary
// however that ends; what it said is shown when the test fails. Nothing here
// sleeps: tests wait for lines that processes print, for frames that arrive,
// and poll /readyz. It needs Linux, PostgreSQL (storetest) and ffmpeg.
package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"causeway/internal/store/storetest"
)

// patience bounds waits for what must happen; it is no measurement.
const patience = 60 * time.Second

var (
	postgres *storetest.Server
	program  string // the causeway that is tested
)

func TestMain(m *testing.M) { os.Exit(run(m)) }

// run builds the binary, runs the tests and cleans up.
func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "causeway-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
		return 1
	}
	defer func() { _ = os.RemoveAll(dir) }()
	program = filepath.Join(dir, "causeway")
	build := exec.Command("go", "build", "-o", program, "causeway/cmd/causeway")
	if out, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "e2e: build causeway: %v\n%s", err, out)
		return 1
	}
	// Ways into networks are remembered there, and nobody's proxy is ours.
	for name, value := range map[string]string{"XDG_CACHE_HOME": dir, "HTTPS_PROXY": "", "https_proxy": "", "ALL_PROXY": "", "all_proxy": ""} {
		if err := os.Setenv(name, value); err != nil {
			fmt.Fprintln(os.Stderr, "e2e:", err)
			return 1
		}
	}
	return storetest.Main(m, &postgres)
}
