package site

import (
	"net/http"
	"strings"
)

// policy is the Content-Security-Policy of every page. Zones are at other
// addresses than web, so connections go anywhere; scripts come from here only.
var policy = strings.Join([]string{
	"default-src 'self'",
	"script-src 'self'",
	"style-src 'self' 'unsafe-inline'",
	"img-src 'self' data: blob:",
	"media-src 'self' blob:",
	"font-src 'self' data:",
	"worker-src 'self' blob:",
	"connect-src *",
	"object-src 'none'",
	"base-uri 'none'",
	"form-action 'self'",
	"frame-ancestors 'none'",
}, "; ")

// permissions is the Permissions-Policy of every page: what a meeting needs,
// for ourselves, and nothing else.
var permissions = strings.Join([]string{
	"camera=(self)", "microphone=(self)", "display-capture=(self)", "speaker-selection=(self)",
	"fullscreen=(self)", "screen-wake-lock=(self)", "picture-in-picture=(self)", "autoplay=(self)", "clipboard-write=(self)",
	"geolocation=()", "payment=()", "usb=()", "serial=()", "hid=()", "midi=()", "bluetooth=()",
}, ", ")

// Protect sets the headers that keep a page safe. The address of a meeting
// holds its passcode, so no other site is told it (Referrer-Policy).
func Protect(h http.Header) {
	h.Set("Content-Security-Policy", policy)
	h.Set("Permissions-Policy", permissions)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

const missingPage = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Causeway</title>
<h1>The web client is not in this binary</h1>
<p>The server works, but it was built without its web client. Run <code>make build</code> and start that binary.
<p>The API is there: <a href="/docs">its description</a>.
</html>
`

// missing answers with a page that says why there is no web client.
func missing(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusServiceUnavailable)
	_, _ = w.Write([]byte(missingPage)) // whoever asked may be gone
}
