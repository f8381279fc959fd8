package check

import "causeway/protocol"

// Verdict is what a finding means.
type Verdict string

// The verdicts, best first.
const (
	OK   Verdict = "ok"
	Skip Verdict = "skipped" // not looked at
	Warn Verdict = "warn"
	Fail Verdict = "fail"
)

// ID names what is looked at.
type ID string

// What is looked at, in this order.
const (
	Name        ID = "name"
	Web         ID = "web"
	Certificate ID = "certificate"
	Clock       ID = "clock"
	Proxy       ID = "proxy"
	Lookup      ID = "lookup"
	Controller  ID = "controller"
	Tunnel      ID = "tunnel"
	Join        ID = "join"
	Control     ID = "control"
	UDP         ID = "udp"
	TCP         ID = "tcp"
	TLS         ID = "tls"
	NAT         ID = "nat"
)

// A Line is one finding.
type Line struct {
	Check   ID      `json:"check"`
	Verdict Verdict `json:"verdict"`
	Target  string  `json:"target,omitempty"`
	Via     string  `json:"via,omitempty"` // direct, or the proxy or tunnel
	MS      float64 `json:"ms,omitempty"`
	// Code is the problem that it is, with words of its own.
	Code protocol.Code `json:"code,omitempty"`
	// Detail says what exactly happened, in English.
	Detail string `json:"detail,omitempty"`
	// Words names the row of the table of words; Args fill it in.
	Words string   `json:"words,omitempty"`
	Args  []string `json:"args,omitempty"`
	// Text and Remedy are filled in by Report.Say.
	Text   string `json:"text"`
	Remedy string `json:"remedy,omitempty"`
}

// A Rule is what a firewall must let out.
type Rule struct {
	Host     string `json:"host"`
	Port     string `json:"port"`
	Protocol string `json:"protocol"` // TCP or UDP
	For      ID     `json:"for"`
	Open     bool   `json:"open"` // it is let out already
	// Untrusted says that something answers, with a certificate that is not trusted.
	Untrusted bool   `json:"untrusted,omitempty"`
	Purpose   string `json:"purpose"`
}

// A Report is everything that was found.
type Report struct {
	Target  string  `json:"target"`
	Verdict Verdict `json:"verdict"`
	Words   string  `json:"words"` // row of the table of words
	Text    string  `json:"text"`
	Lines   []Line  `json:"lines"`
	Rules   []Rule  `json:"rules"`
}
