# Causeway. `make up` starts everything, `make test` checks everything.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO       ?= go
BIN      := bin/causeway
SITE     := internal/web/site/dist
WEB_SRC  := $(shell find webclient/src webclient/public webclient/index.html webclient/*.ts webclient/*.json protocol/problems.json -type f 2>/dev/null)
GO_SRC   := $(shell find . -name '*.go' -not -path './webclient/*' -not -path './.tools/*' 2>/dev/null) go.mod go.sum
VERSION  ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
LDFLAGS  := -s -w -X main.buildVersion=$(VERSION)
# Linux, macOS and Windows, without cgo.
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64
# A number of inputs, not a time: with a time the fuzzer can end on its own deadline and call that a failure.
FUZZTIME ?= 300x

.PHONY: help
help: ## this text
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 14

# --- building ---------------------------------------------------------------

webclient/node_modules/.installed: webclient/package-lock.json
	cd webclient && npm ci --no-audit --no-fund
	touch $@

$(SITE)/index.html: webclient/node_modules/.installed $(WEB_SRC)
	cd webclient && npm run --silent build

$(BIN): $(SITE)/index.html $(GO_SRC)
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $@ ./cmd/causeway

.PHONY: build up release
build: $(BIN) ## the binary with the web client inside: bin/causeway

up: $(BIN) ## build what is needed and start everything on this machine
	$(BIN) up $(ARGS)

release: $(SITE)/index.html ## binaries for all systems in dist/
	@for p in $(PLATFORMS); do \
		out=dist/causeway-$${p%/*}-$${p#*/}; [[ $$p == windows/* ]] && out=$$out.exe; \
		echo "$$out"; CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $$out ./cmd/causeway; \
	done

# --- checking ---------------------------------------------------------------

.PHONY: test test-deps lint test-go test-web lab fuzz cross e2e bench
test: test-deps lint test-web $(BIN) test-go lab fuzz cross e2e ## install what the tests need, then run all of them
	@echo "all checks passed"

# What the tests run besides Go and Node: a browser, a database, tools to look into recordings; for the lab firewalls, proxies
# and a key distribution centre. COMMAND:PACKAGE.
NEEDED := chromium:chromium ffmpeg:ffmpeg postgres:postgresql nft:nftables squid:squid krb5kdc:krb5-kdc kadmin.local:krb5-admin-server \
	openssl:openssl ip:iproute2 sysctl:procps certutil:libnss3-tools tcpdump:tcpdump tinyproxy:tinyproxy
test-deps: ## install the Debian packages that the tests use (as root; skipped when present)
	@export PATH="$$PATH:/usr/sbin:/sbin:$$(echo /usr/lib/postgresql/*/bin)"; missing=""; \
	for n in $(NEEDED); do command -v "$${n%%:*}" >/dev/null || missing="$$missing $${n#*:}"; done; \
	if [ -n "$$missing" ]; then \
		if [ "$$(id -u)" != 0 ]; then echo "The tests need these packages: apt-get install$$missing"; exit 1; fi; \
		apt-get update -qq; DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $$missing; \
	fi

lint: webclient/node_modules/.installed ## vet, staticcheck, gofumpt, Biome, tsc
	@unformatted=$$($(GO) tool gofumpt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "not formatted (go tool gofumpt -w FILE):"; echo "$$unformatted"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	cd webclient && npm run --silent lint && npm run --silent check

test-web: webclient/node_modules/.installed ## the web client's unit tests
	cd webclient && npm test --silent

test-go: ## Go tests with the race detector
	$(GO) test -race -timeout 30m $$($(GO) list ./... | grep -v -e '/lab$$' -e '/e2e$$')
	$(GO) test -race -count 1 -timeout 30m ./e2e # real processes of a binary that the cache of results does not know

lab: $(BIN) ## real networks in kernel namespaces: firewalls, proxies, browsers (root on Linux)
	@if [ "$$(uname)" != Linux ] || [ "$$(id -u)" != 0 ]; then echo "lab: left out, it sets up network namespaces and needs root on Linux"; \
	else CAUSEWAY_BIN=$(abspath $(BIN)) $(GO) test -count 1 -timeout 40m -v ./lab; fi

# Every fuzz target for a short while, from its committed corpus.
fuzz: ## short fuzz runs of every parser
	@for pkg in $$(grep -rlE '^func Fuzz' --include='*_test.go' . | xargs -n1 dirname | sort -u); do \
		for f in $$(grep -hoE '^func Fuzz[A-Za-z0-9_]+' $$pkg/*_test.go | sed 's/func //'); do \
			echo "fuzz $$pkg $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$pkg > /tmp/causeway-fuzz.$$$$ 2>&1 \
				|| { cat /tmp/causeway-fuzz.$$$$; exit 1; }; rm -f /tmp/causeway-fuzz.$$$$; \
		done; \
	done

cross: $(SITE)/index.html ## the binary builds for every system without cgo
	@for p in $(PLATFORMS); do echo "build $$p"; CGO_ENABLED=0 GOOS=$${p%/*} GOARCH=$${p#*/} $(GO) build -o /dev/null ./cmd/causeway; done

e2e: $(BIN) ## real browsers and native clients against real servers
	cd webclient && CAUSEWAY_BIN=$(abspath $(BIN)) npm run --silent e2e

bench: ## what a router costs, against the least that sending costs here (Linux, two cores, five minutes)
	$(GO) test -run '^$$' -bench '^BenchmarkCost$$' -benchtime 1x -timeout 10m ./internal/mmr

.PHONY: bench-parts
bench-parts: ## Go benchmarks of the parts
	$(GO) test -run '^$$' -bench . -skip '^BenchmarkCost$$' -benchmem ./internal/... ./lab/...
