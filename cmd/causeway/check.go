package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"strings"

	"causeway/client/check"
	"causeway/client/connect"
	"causeway/internal/base/pki"
	"causeway/protocol"
)

// checkCmd is `causeway check`.
type checkCmd struct {
	URL  string `arg:"" name:"url" help:"A meeting's link, or the address of a server: https://HOST."`
	Full bool   `help:"Take up to three minutes to find out how long this network keeps UDP open."`
	JSON bool   `name:"json" help:"Print the report as JSON."`
	Lang string `help:"Language of the report: en or zh-TW; by default that of LANG." placeholder:"LANGUAGE"`
	CA   string `name:"ca" help:"Also trust the certificate authority in FILE." env:"CAUSEWAY_CA" placeholder:"FILE" type:"path"`
	proxyFlags
}

// Help is the longer help of `causeway check --help`.
func (*checkCmd) Help() string {
	return `Examples:

  causeway check https://meet.example.org
  causeway check 'https://meet.example.org/j/123456789?pwd=tulip' --full
  causeway check URL --json > report.json

It looks at every way into a meeting and says what works, what does not, and
what to do; the table at the end is for whoever runs the network's firewall.
With a meeting's link zones, tunnels and media are looked at too; nobody in the
meeting notices.

The exit status is 0 if meetings work from here, perhaps not by the best way,
and 1 if they do not.`
}

// Run looks and reports.
func (c *checkCmd) Run(ctx context.Context, to console) error {
	pool, err := pki.Pool(c.CA)
	if err != nil {
		return fmt.Errorf("%w; check --ca", err)
	}
	report, err := check.Run(ctx, c.URL, check.Options{
		Version: version(), Full: c.Full,
		Network: connect.Options{
			TLS: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, UserAgent: "causeway/" + version(),
			Proxy: c.proxyFlags.options(c.newPrompt(ctx, to).ask()),
		},
	})
	if err != nil {
		return err
	}
	language := languageOf(c.Lang, os.Getenv)
	report.Say(language)
	if c.JSON {
		err = printJSON(to.out, report)
	} else {
		err = report.Print(to.out, language)
	}
	if err == nil && report.Verdict == check.Fail {
		return errReported
	}
	return err
}

// languageOf is the language that a flag names or, if it does not, the
// environment (POSIX.1-2017, 8.2): zh-TW for Traditional Chinese, else en.
func languageOf(flag string, env func(string) string) protocol.Language {
	for _, v := range []string{flag, env("LC_ALL"), env("LC_MESSAGES"), env("LANG")} {
		if v == "" {
			continue
		}
		v = strings.ToLower(strings.ReplaceAll(v, "_", "-"))
		if strings.HasPrefix(v, "zh-tw") || strings.HasPrefix(v, "zh-hk") || strings.HasPrefix(v, "zh-hant") {
			return protocol.TraditionalChinese
		}
		return protocol.English
	}
	return protocol.English
}
