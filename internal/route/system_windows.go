package route

import (
	"context"
	"fmt"

	"golang.org/x/sys/windows/registry"
)

// SystemSettings reads the person's internet settings of Windows.
func SystemSettings(context.Context) (System, error) {
	k, err := registry.OpenKey(registry.CURRENT_USER, `Software\Microsoft\Windows\CurrentVersion\Internet Settings`, registry.QUERY_VALUE)
	if err != nil {
		return System{}, fmt.Errorf("open the internet settings: %w", err)
	}
	defer k.Close()
	enabled, _, _ := k.GetIntegerValue("ProxyEnable")
	server, _, _ := k.GetStringValue("ProxyServer")
	override, _, _ := k.GetStringValue("ProxyOverride")
	script, _, _ := k.GetStringValue("AutoConfigURL")
	return fromWindows(enabled != 0, server, override, script), nil
}
