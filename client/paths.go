package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"

	"causeway/protocol"
)

// Bounds of what is remembered.
const (
	maxPaths    = 64
	maxPathFile = 64 << 10 // bytes
	// pathsKeptFor is how long a network's memory lasts: firewalls change
	// rarely, but they do.
	pathsKeptFor = 30 * 24 * time.Hour
)

// paths remember by which rung of the ladder media went on which network, so
// that the next join begins with it. What is remembered wrongly, because two
// networks look alike, costs nothing: better rungs are tried at the same time.
type paths struct {
	Paths []remembered `json:"paths"` // the latest last
}

// remembered is the outcome on one network.
type remembered struct {
	Network   string             `json:"network"` // our subnet, and the zone
	Zone      string             `json:"zone"`
	Transport protocol.Transport `json:"transport"`
	At        time.Time          `json:"at"`
}

// prefer returns the rung to begin with; "" if nothing is known.
func (p *paths) prefer(network, zone string, now time.Time) protocol.Transport {
	for _, r := range p.Paths {
		if age := now.Sub(r.At); r.Network == network && r.Zone == zone && age < pathsKeptFor && age > -pathsKeptFor {
			return r.Transport
		}
	}
	return ""
}

// learn takes the outcome on a network in; the oldest one gives way.
func (p *paths) learn(network, zone string, t protocol.Transport, now time.Time) {
	p.Paths = slices.DeleteFunc(p.Paths, func(r remembered) bool { return r.Network == network && r.Zone == zone })
	p.Paths = append(p.Paths, remembered{network, zone, t, now.UTC().Truncate(time.Second)})
	if n := len(p.Paths) - maxPaths; n > 0 {
		p.Paths = slices.Delete(p.Paths, 0, n)
	}
}

// readPaths reads a file of paths. One that is missing or damaged is as good
// as empty.
func readPaths(file string) *paths {
	p := &paths{}
	info, err := os.Stat(file)
	if err != nil || info.Size() > maxPathFile {
		return p
	}
	data, err := os.ReadFile(file)
	if err != nil || json.Unmarshal(data, p) != nil {
		return &paths{}
	}
	known := func(r remembered) bool {
		return slices.Contains([]protocol.Transport{protocol.UDP, protocol.TCP, protocol.TLS}, r.Transport)
	}
	p.Paths = slices.DeleteFunc(p.Paths, func(r remembered) bool { return !known(r) })
	return p
}

// write replaces the file in one step: two programs may write at once.
func (p *paths) write(file string) error {
	data, err := json.MarshalIndent(p, "", "  ")
	if err != nil {
		return fmt.Errorf("remember the path: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		return fmt.Errorf("remember the path: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(file), "paths-*.json") // 0600
	if err != nil {
		return fmt.Errorf("remember the path: %w", err)
	}
	_, err = f.Write(append(data, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), file)
	}
	if err != nil {
		_ = os.Remove(f.Name())
		return fmt.Errorf("remember the path: %w", err)
	}
	return nil
}

// pathsFile is where paths are remembered; "" if this system has no place.
func pathsFile() string {
	dir, err := os.UserCacheDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "causeway", "paths.json")
}

// networkTo names the network by which the system would send to an address:
// the subnet of ours that leads there. "" means one that need not be
// remembered: this machine itself, or none.
func networkTo(target netip.Addr) string {
	if !target.IsValid() || target.IsLoopback() {
		return ""
	}
	own := sourceTo(target)
	if !own.IsValid() || own == target.Unmap() {
		return ""
	}
	all, err := net.InterfaceAddrs()
	if err != nil {
		return ""
	}
	for _, a := range all {
		prefix, err := netip.ParsePrefix(a.String())
		if err == nil && prefix.Addr().Unmap() == own {
			return prefix.Masked().String()
		}
	}
	return own.String()
}
