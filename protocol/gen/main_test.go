package main

import (
	"os"
	"testing"
)

// TestGeneratedIsFresh holds the committed TypeScript equal to what the
// generator makes of package protocol now.
func TestGeneratedIsFresh(t *testing.T) {
	have, err := os.ReadFile("../../webclient/src/protocol/messages.ts")
	if err != nil {
		t.Fatal(err)
	}
	if string(have) != generate() {
		t.Error("webclient/src/protocol/messages.ts is stale: run `go generate ./protocol`")
	}
}
