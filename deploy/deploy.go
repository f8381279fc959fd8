// Package deploy holds the sample configuration of each server, commented.
// The command prints them; a test holds them equal to the servers' defaults.
package deploy

import _ "embed"

var (
	//go:embed web.yaml
	web string
	//go:embed zone.yaml
	zone string
	//go:embed mmr.yaml
	mmr string
	//go:embed tunnel.yaml
	tunnel string
)

// Samples are the sample files by kind of server.
var Samples = map[string]string{"web": web, "zone": zone, "mmr": mmr, "tunnel": tunnel}
