package route

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"runtime"
	"strings"
)

// FileCredentials reads a file of lines "host[:port] user password" (# begins
// a comment; * stands for any proxy). On systems with file modes nobody but
// the owner may read it.
func FileCredentials(path string) (Credentials, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open the proxy credentials: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("look at the proxy credentials: %w", err)
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&fs.FileMode(0o077) != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %04o); run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	type entry struct{ host, user, password string }
	var entries []entry
	in := bufio.NewScanner(f)
	for n := 1; in.Scan(); n++ {
		line := strings.TrimSpace(in.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		host, rest, ok1 := strings.Cut(line, " ")
		user, password, ok2 := strings.Cut(strings.TrimSpace(rest), " ")
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("%s:%d: write: host[:port] user password", path, n)
		}
		entries = append(entries, entry{host, user, password})
	}
	if err := in.Err(); err != nil {
		return nil, fmt.Errorf("read the proxy credentials: %w", err)
	}
	return func(_ context.Context, p Proxy) (string, string, bool) {
		host, _, _ := net.SplitHostPort(p.Address)
		for _, e := range entries {
			if e.host == p.Address || e.host == host || e.host == "*" {
				return e.user, e.password, true
			}
		}
		return "", "", false
	}, nil
}

// ParseUser reads "user:password".
func ParseUser(s string) (Credentials, error) {
	user, password, ok := strings.Cut(s, ":")
	if !ok || user == "" {
		return nil, errors.New("proxy credentials are written as user:password")
	}
	return func(context.Context, Proxy) (string, string, bool) { return user, password, true }, nil
}
