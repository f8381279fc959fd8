package main

import (
	"context"
	"net/url"
	"os"
	"os/exec"
	"runtime"
)

// openBrowser opens an address in the person's browser and reports whether
// one was started. Only web addresses are handed on.
func openBrowser(ctx context.Context, address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return false
	}
	tool, args := browserCommand(runtime.GOOS, os.Getenv)
	if tool == "" {
		return false
	}
	// The opener hands over to the browser and ends; it is not to be killed
	// with this command.
	cmd := exec.CommandContext(context.WithoutCancel(ctx), tool, append(args, u.String())...)
	if cmd.Start() != nil {
		return false
	}
	_ = cmd.Process.Release()
	return true
}

// browserCommand opens addresses on a system; "" where there is no desktop.
func browserCommand(system string, env func(string) string) (string, []string) {
	switch system {
	case "darwin":
		return "open", nil
	case "windows":
		return "rundll32", []string{"url.dll,FileProtocolHandler"}
	}
	if env("DISPLAY") == "" && env("WAYLAND_DISPLAY") == "" {
		return "", nil
	}
	return "xdg-open", nil
}
