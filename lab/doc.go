// Package lab tries Causeway on real kernel networks: hosts are network
// namespaces, firewalls are nftables, proxies are squid, browsers are
// Chromium. It holds tests only; nothing of the product imports it. It needs
// root on Linux and the Debian packages that `make test-deps` installs.
//
// One World is one small internet:
//
//	web, zone, mmr, tunnel … 203.0.113.0/24 ── gateway ── 10.77.0.0/24 … client, proxy
//
// The gateway masquerades the client's site and applies a Policy to it. More
// sites can be joined to it by long lines (AddSite). A World belongs to one
// test, which takes it down.
package lab
