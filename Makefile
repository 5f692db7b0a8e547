# make help lists the targets. make demo and make test install what they need.

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
# Seconds: each fuzz target, and all together at most.
FUZZTIME ?= 8
FUZZALL ?= 240
CASES = ../shared/cases
PACKAGES = postfix redis-server prometheus lintian rpmlint rpm mmdebstrap mandoc groff-base systemd systemd-container iproute2 chromium
# Packages that ./... leaves out, because they stand under testdata.
HARNESS = ./testdata/postfix ./testdata/debian ./testdata/sendmail ./testdata/demo ./testdata/bench ./testdata/simulate ./testdata/clocked ./testdata/soak ./testdata/packages ./testdata/page
# A Postfix is started by root: tests that need one are built by the user and run by sudo.
SUDO = $(shell [ "$$(id -u)" = 0 ] || echo '-exec "sudo --preserve-env=GATEPOST_CI,GATEPOST_BINARY,GATEPOST_CLOCKED,GATEPOST_SOAK,GATEPOST_SEED,GATEPOST_SYSTEMD"')

.PHONY: help build replay test demo bench reloads conformance lint unit fuzz-short postfix sendmail simulate clocked faults soak page pictures packages packages-test packages-needed systemd

help:
	@echo "make build         the binary gatepost, in this folder"
	@echo "make demo          real mail through a private Postfix with Gatepost behind it"
	@echo "make test          every check: lint, unit, fuzz-short, postfix, sendmail, faults, page, demo, simulate, packages-test, conformance"
	@echo "make lint          gofmt, go mod tidy, go vet, staticcheck"
	@echo "make unit          tests with -race"
	@echo "make fuzz-short    every fuzz target for FUZZTIME seconds, all of them for FUZZALL at most"
	@echo "make postfix       tests with a real Postfix"
	@echo "make sendmail      tests with a real Sendmail, in a Debian tree and a network of its own"
	@echo "make faults        what must hold when things go wrong, for a moment each; make soak: for SOAK (1h), with more of each; RUN=TestMix: the mix alone"
	@echo "make page          the status page in a browser; make pictures: its pictures and that of the demo, in packaging/pictures"
	@echo "make conformance   the cases of other projects, where ../shared/cases is there"
	@echo "make replay        a recorded day of DAY sessions (20000) and what three other policies would have made of it; RECORDS=1000000: how long so many take"
	@echo "make simulate      a month of mail through the filter, under policy.toml and under fixed limits"
	@echo "make packages      deb and rpm for amd64 and arm64, in dist/"
	@echo "make packages-test the packages: lintian, rpmlint, two equal builds, a life of each in a clean Debian 12, mail through its Postfix"
	@echo "make systemd       the deb on a Debian whose first process is systemd, in a container"
	@echo "make bench         the benchmarks, and how cost grows with what a sender or an admin chooses"
	@echo "make reloads       a thousand reloads under load"

build:
	CGO_ENABLED=0 go build -trimpath -o gatepost ./cmd/gatepost

test: packages-needed lint unit fuzz-short postfix sendmail faults page demo simulate packages-test conformance
	@echo "make test: all passed"

# Installs what is missing as root or by sudo; the system's Postfix is not started.
packages-needed:
	@./testdata/install.sh $(PACKAGES)

lint:
	@unformatted=$$(gofmt -l cmd filter packaging policy testdata); if [ -n "$$unformatted" ]; then echo "not gofmt-ed: $$unformatted"; exit 1; fi
	go mod tidy -diff
	go vet ./... $(HARNESS)
	go run $(STATICCHECK) ./... $(HARNESS)
	cd packaging/tools && go mod tidy -diff && go vet ./... && go run $(STATICCHECK) ./...

unit:
	go test -race ./...

fuzz-short:
	@./testdata/fuzz.sh $(FUZZTIME) $(FUZZALL)

postfix: packages-needed build
	GATEPOST_BINARY=$(CURDIR)/gatepost go test -count=1 -timeout 10m $(SUDO) ./testdata/postfix

sendmail: packages-needed build
	GATEPOST_BINARY=$(CURDIR)/gatepost go test -count=1 -timeout 10m $(SUDO) ./testdata/sendmail

# The same daemon with a wall clock that a test can step.
CLOCKED = .cache/gatepost-clocked
clocked:
	mkdir -p .cache
	go run ./testdata/clocked $(CLOCKED)

faults: build clocked
	GATEPOST_CLOCKED=$(CURDIR)/$(CLOCKED) GATEPOST_BINARY=$(CURDIR)/gatepost go test -count=1 -timeout 10m $(SUDO) ./testdata/soak

page: packages-needed build
	GATEPOST_BINARY=$(CURDIR)/gatepost go test -count=1 -timeout 10m ./testdata/page

pictures: packages-needed build
	mkdir -p packaging/pictures .cache
	go run ./testdata/demo >.cache/demo.txt
	GATEPOST_DEMO=$(CURDIR)/.cache/demo.txt GATEPOST_PICTURES=$(CURDIR)/packaging/pictures GATEPOST_BINARY=$(CURDIR)/gatepost go test -count=1 -timeout 10m ./testdata/page

DAY ?= 20000
RECORDS ?=
replay: build
	GATEPOST_DAY=$(DAY) GATEPOST_RECORDS=$(RECORDS) GATEPOST_BINARY=$(CURDIR)/gatepost go test -count=1 -v -timeout 1h -run TestRecordedDay ./testdata/soak

SOAK ?= 1h
RUN ?= .
soak: build clocked
	GATEPOST_SOAK=$(SOAK) GATEPOST_CLOCKED=$(CURDIR)/$(CLOCKED) GATEPOST_BINARY=$(CURDIR)/gatepost go test -count=1 -v -timeout 6h -run '$(RUN)' $(SUDO) ./testdata/soak

demo: packages-needed
	@go run ./testdata/demo

simulate:
	@go run ./testdata/simulate

# In short form it is one of the unit tests.
reloads:
	GATEPOST_RELOADS=1000 go test -count=1 -v -run TestReloadUnderLoad ./cmd/gatepost

# The tools are a module of their own, so that what packing needs is no requirement of the daemon.
packages:
	go -C packaging/tools run . packages

# The user builds and compares, root installs.
packages-test: packages-needed packages
	go -C packaging/tools run . upgrade
	go -C packaging/tools test -count=1 -timeout 10m ./...
	go test -count=1 -timeout 10m $(SUDO) ./testdata/packages

# Not among the checks of make test: a container that boots asks more of a machine than they do.
systemd: packages-needed packages
	go -C packaging/tools run . upgrade
	GATEPOST_SYSTEMD=1 go test -count=1 -v -timeout 20m -run TestSystemd $(SUDO) ./testdata/packages

bench:
	go test -run '^$$' -bench . -benchmem ./...
	@go run ./testdata/bench

conformance: build
	@./testdata/conformance.sh $(CASES)
