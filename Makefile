# make help lists the targets. make demo and make test install what they need.

STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
FUZZTIME ?= 8s
CASES = ../shared/cases
PACKAGES = postfix
# Packages that ./... leaves out, because they stand under testdata.
HARNESS = ./testdata/postfix ./testdata/demo

.PHONY: help build test demo bench conformance lint unit fuzz postfix packages-needed

help:
	@echo "make build         the binary gatepost, in this folder"
	@echo "make demo          real mail through a private Postfix with Gatepost behind it"
	@echo "make test          every check: lint, tests with -race, short fuzzing, real Postfix, conformance"
	@echo "make bench         the benchmarks"
	@echo "make conformance   the cases of other projects, where ../shared/cases is there"

build:
	CGO_ENABLED=0 go build -trimpath -o gatepost ./cmd/gatepost

test: packages-needed lint unit fuzz postfix demo conformance
	@echo "make test: all passed"

# Installs what is missing as root or by sudo; the system's Postfix is not started.
packages-needed:
	@./testdata/install.sh $(PACKAGES)

lint:
	@unformatted=$$(gofmt -l cmd filter policy testdata); if [ -n "$$unformatted" ]; then echo "not gofmt-ed: $$unformatted"; exit 1; fi
	go mod tidy -diff
	go vet ./... $(HARNESS)
	go run $(STATICCHECK) ./... $(HARNESS)

unit:
	go test -race ./...

# Each fuzz target runs for FUZZTIME.
fuzz:
	@./testdata/fuzz.sh $(FUZZTIME)

postfix:
	go test -count=1 -timeout 10m ./testdata/postfix

demo: packages-needed
	@go run ./testdata/demo

bench:
	go test -run '^$$' -bench . -benchmem ./...

conformance: build
	@./testdata/conformance.sh $(CASES)
