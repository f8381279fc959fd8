package route

import (
	"net"
	"strings"
)

// parseGNOME reads `gsettings list-recursively org.gnome.system.proxy`: lines
// of schema, key and a GVariant in text form.
func parseGNOME(out string) System {
	v := map[string]string{}
	for line := range strings.Lines(out) {
		w := strings.SplitN(strings.TrimSpace(line), " ", 3)
		if len(w) == 3 {
			v[strings.TrimPrefix(w[0], "org.gnome.system.proxy")+"/"+w[1]] = strings.Trim(w[2], "'")
		}
	}
	s := System{Bypass: variantStrings(v["/ignore-hosts"])}
	switch v["/mode"] {
	case "auto":
		s.PAC = v["/autoconfig-url"]
		if s.PAC == "" {
			s.PAC = "auto"
		}
	case "manual":
		for _, by := range []struct{ schema, scheme string }{{".https", "http://"}, {".http", "http://"}, {".socks", "socks5://"}} {
			if host := v[by.schema+"/host"]; host != "" && v[by.schema+"/port"] != "0" {
				s.Proxy = by.scheme + net.JoinHostPort(host, v[by.schema+"/port"])
				break
			}
		}
	}
	return s
}

// variantStrings reads a GVariant array of strings: ['a', 'b'].
func variantStrings(s string) []string {
	var out []string
	for _, w := range strings.Split(strings.Trim(strings.TrimPrefix(s, "@as "), "[]"), ",") {
		if w = strings.Trim(strings.TrimSpace(w), "'"); w != "" {
			out = append(out, w)
		}
	}
	return out
}

// parseSCUtil reads `scutil --proxy` of macOS.
func parseSCUtil(out string) System {
	v := map[string]string{}
	var s System
	inList := false
	for line := range strings.Lines(out) {
		key, value, ok := strings.Cut(strings.TrimSpace(line), " : ")
		switch {
		case !ok:
			if strings.TrimSpace(line) == "}" {
				inList = false
			}
		case strings.HasPrefix(value, "<array>"):
			inList = key == "ExceptionsList"
		case inList:
			s.Bypass = append(s.Bypass, value)
		default:
			v[key] = value
		}
	}
	if v["ExcludeSimpleHostnames"] == "1" {
		s.Bypass = append(s.Bypass, "<local>")
	}
	switch {
	case v["ProxyAutoConfigEnable"] == "1":
		s.PAC = v["ProxyAutoConfigURLString"]
	case v["ProxyAutoDiscoveryEnable"] == "1":
		s.PAC = "auto"
	case v["HTTPSEnable"] == "1":
		s.Proxy = "http://" + net.JoinHostPort(v["HTTPSProxy"], v["HTTPSPort"])
	case v["SOCKSEnable"] == "1":
		s.Proxy = "socks5://" + net.JoinHostPort(v["SOCKSProxy"], v["SOCKSPort"])
	}
	return s
}

// fromWindows reads the values of Windows' internet settings. ProxyServer is
// host:port, or scheme=host:port for several, separated by semicolons.
func fromWindows(enabled bool, server, override, script string) System {
	s := System{PAC: script}
	if !enabled {
		return s
	}
	for _, o := range strings.Split(override, ";") {
		if o != "" {
			s.Bypass = append(s.Bypass, o)
		}
	}
	if !strings.Contains(server, "=") {
		s.Proxy = server
		return s
	}
	for _, e := range strings.Split(server, ";") {
		scheme, address, _ := strings.Cut(e, "=")
		switch {
		case scheme == "https":
			s.Proxy = address
		case scheme == "socks" && s.Proxy == "":
			s.Proxy = "socks5://" + address
		}
	}
	return s
}
