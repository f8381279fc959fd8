package porttest

import "testing"

// Two runs are never given the same port, though neither uses its own yet.
func TestFree(t *testing.T) {
	var a, b block
	defer func() {
		for _, ln := range append(a.claims, b.claims...) {
			_ = ln.Close()
		}
	}()
	given := map[int]bool{}
	for range 3 * size {
		for _, run := range []*block{&a, &b} {
			port := run.free(t)
			if given[port] || port < lowest || port >= lowest+blocks*size {
				t.Errorf("%d is given, again: %v", port, given[port])
			}
			given[port] = true
		}
	}
}
