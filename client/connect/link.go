package connect

import (
	"fmt"
	"net/netip"
	"net/url"
	"strings"

	"causeway/protocol"
)

// maxLink bounds a meeting link, in bytes.
const maxLink = 2048

// A Link is a meeting link taken apart.
type Link struct {
	Base       string // https://HOST[:PORT]; http:// only on this machine
	Number     string // 9 to 11 digits
	Passcode   string // "" if the link has none
	Invitation string // the secret that makes a host or a panellist, "" if the link has none
	Panel      bool   // Invitation is a panellist's
}

// ParseLink reads https://HOST[:PORT]/j/NUMBER[?pwd=PASSCODE][&host=SECRET]; a panellist's link has
// panel=SECRET.
// Plain http is accepted for loopback hosts only. Its error is the problem
// bad_link.
func ParseLink(s string) (Link, error) {
	l, err := parseLink(strings.TrimSpace(s))
	if err != nil {
		return Link{}, protocol.Wrap(protocol.ProblemBadLink, err)
	}
	return l, nil
}

func parseLink(s string) (Link, error) {
	if len(s) > maxLink {
		return Link{}, fmt.Errorf("longer than %d characters", maxLink)
	}
	u, err := url.Parse(s)
	if err != nil {
		return Link{}, fmt.Errorf("not an address: %w", err)
	}
	if u.Scheme != "https" && u.Scheme != "http" {
		return Link{}, fmt.Errorf("it does not begin with https://")
	}
	if err := checkBase(u); err != nil {
		return Link{}, err
	}
	number, ok := strings.CutPrefix(strings.TrimSuffix(u.Path, "/"), "/j/")
	if !ok {
		return Link{}, fmt.Errorf("its path is not /j/NUMBER")
	}
	if !isNumber(number) {
		return Link{}, fmt.Errorf("%q is not a meeting number of 9 to 11 digits", number)
	}
	query, err := url.ParseQuery(u.RawQuery)
	if err != nil {
		return Link{}, fmt.Errorf("not an address: %w", err)
	}
	l := Link{
		Base: (&url.URL{Scheme: u.Scheme, Host: u.Host}).String(), Number: number,
		Passcode: query.Get("pwd"), Invitation: query.Get("host"),
	}
	if panel := query.Get("panel"); panel != "" && l.Invitation == "" {
		l.Invitation, l.Panel = panel, true
	}
	if len(l.Passcode) > 64 || len(l.Invitation) > 128 {
		return Link{}, fmt.Errorf("its passcode or invitation is too long")
	}
	return l, nil
}

// String gives the link back. It holds secrets: not for logs.
func (l Link) String() string {
	q := url.Values{}
	if l.Passcode != "" {
		q.Set("pwd", l.Passcode)
	}
	if l.Invitation != "" {
		name := "host"
		if l.Panel {
			name = "panel"
		}
		q.Set(name, l.Invitation)
	}
	s := l.Base + "/j/" + l.Number
	if len(q) > 0 {
		s += "?" + q.Encode()
	}
	return s
}

// isNumber reports whether s is a meeting number.
func isNumber(s string) bool {
	return len(s) >= 9 && len(s) <= 11 && strings.Trim(s, "0123456789") == ""
}

// checkBase accepts https addresses, and http ones of this machine: passcodes
// and tokens must not cross a network in the clear.
func checkBase(u *url.URL) error {
	if strings.Contains(u.Host, "%") {
		return fmt.Errorf("its host has a zone or an escape, which means nothing to others")
	}
	if u.Hostname() == "" || u.Opaque != "" || u.User != nil {
		return fmt.Errorf("it names no host, or more than a host")
	}
	switch u.Scheme {
	case "https", "wss":
		return nil
	case "http", "ws":
		if isLoopback(u.Hostname()) {
			return nil
		}
		return fmt.Errorf("plain %s to another machine is not safe", u.Scheme)
	}
	return fmt.Errorf("%q is not https", u.Scheme)
}

// isLoopback reports whether host names this machine.
func isLoopback(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && a.IsLoopback()
}
