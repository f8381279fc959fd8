package main

import (
	"errors"
	"fmt"

	"github.com/goccy/go-yaml"

	"causeway/deploy"
	"causeway/internal/base/config"
)

// configCmd is `causeway config`.
type configCmd struct {
	Check  configCheckCmd  `cmd:"" help:"Check a server's configuration file."`
	Sample configSampleCmd `cmd:"" help:"Print a commented configuration file to begin with."`
}

type configCheckCmd struct {
	File string `arg:"" help:"The file; its field 'server' says of which server." type:"path"`
}

// Help is the longer help of `causeway config check --help`.
func (*configCheckCmd) Help() string {
	return `Every problem is one line: FILE:LINE: FIELD: PROBLEM; WHAT TO DO. The exit status
is 0 when there is none.

Example:

  causeway config check /etc/causeway/zone.yaml`
}

// Run checks a file.
func (c *configCheckCmd) Run(to console) error {
	data, err := config.Read(c.File)
	if err != nil {
		return err
	}
	kind, err := checkFile(c.File, data)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(to.out, "%s: no problems (%s server)\n", c.File, kind)
	return err
}

// checkFile checks the file of any kind of server and tells which it is.
func checkFile(file string, data []byte) (string, error) {
	var err error
	kind := kindOf(data)
	switch kind {
	case kindWeb:
		_, err = config.Parse(file, data, defaultWebFile())
	case kindZone:
		_, err = config.Parse(file, data, defaultZoneFile())
	case kindMMR:
		_, err = config.Parse(file, data, defaultMMRFile())
	case kindTunnel:
		_, err = config.Parse(file, data, defaultTunnelFile())
	default:
		_, err = config.Parse(file, data, anyFile{})
	}
	return kind, err
}

// kindOf tells what kind of server a file says it is for.
func kindOf(data []byte) string {
	var head struct {
		Server any `yaml:"server"`
	}
	_ = yaml.Unmarshal(data, &head) // whatever is wrong is found when all of it is read
	kind, _ := head.Server.(string)
	return kind
}

// loadFile reads the file of a server of a kind. Of the file of another kind
// it says just that, and not that its fields are unknown.
func loadFile[T any](path, kind string, defaults T) (T, error) {
	data, err := config.Read(path)
	if err != nil {
		return defaults, err
	}
	if is := kindOf(data); is != kind && deploy.Samples[is] != "" {
		_, err = config.Parse(path, data, otherFile{is, kind})
		return defaults, err
	}
	return config.Parse(path, data, defaults)
}

// otherFile stands for the file of another kind of server than is wanted.
type otherFile struct{ is, want string }

// UnmarshalYAML takes any file.
func (otherFile) UnmarshalYAML([]byte) error { return nil }

// Check implements config.Checker.
func (f otherFile) Check() []config.Issue {
	return []config.Issue{{Field: "server", Problem: fmt.Sprintf("%q is another kind of server", f.is), Remedy: "name the file of a " + f.want + " server, or start this one with causeway " + f.is}}
}

// anyFile stands for a file that does not say whose it is.
type anyFile map[string]any

// Check implements config.Checker.
func (f anyFile) Check() []config.Issue {
	problem := "it does not say which server it is for"
	if kind, ok := f["server"]; ok {
		problem = fmt.Sprintf("there is no server called %v", kind)
	}
	return []config.Issue{{Field: "server", Problem: problem, Remedy: "write server: web, zone, mmr or tunnel"}}
}

type configSampleCmd struct {
	Server string `arg:"" enum:"web,zone,mmr,tunnel" help:"Which server: web, zone, mmr or tunnel."`
}

// Help is the longer help of `causeway config sample --help`.
func (*configSampleCmd) Help() string {
	return `Example:

  causeway config sample zone > zone.yaml`
}

// Run prints a sample.
func (c *configSampleCmd) Run(to console) error {
	sample, ok := deploy.Samples[c.Server]
	if !ok {
		return errors.New("there is no such sample")
	}
	_, err := fmt.Fprint(to.out, sample)
	return err
}
