package route

import (
	"context"
	"os/exec"
)

// SystemSettings reads the network settings of macOS.
func SystemSettings(ctx context.Context) (System, error) {
	out, err := exec.CommandContext(ctx, "/usr/sbin/scutil", "--proxy").Output()
	if err != nil {
		return System{}, err
	}
	return parseSCUtil(string(out)), nil
}
