# Bearhug. `make help` lists what there is.

GO      ?= go
BIN     := bin/bearhug
FUZZ    ?= 5m
STATIC  := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.DEFAULT_GOAL := help
.PHONY: help demo test check build bench peers peers-quick fuzz torture race docs tools lint clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## the program, bin/bearhug
	$(GO) build -trimpath -o $(BIN) ./cmd/bearhug

demo: ## a server with a living organisation of 60 people; Ctrl-C ends it
	@echo "building (the first time this fetches modules and compiles the database engine)…"
	@$(MAKE) --no-print-directory build
	@exec $(BIN) demo

test: tools ## everything: unit tests, scripts on both databases, real clients, crashes
	CI=1 BEARHUG_TEST_MARIADB=must $(GO) test -timeout 20m ./...

check: ## what must hold of every commit: format, vet, staticcheck, house test, generated docs
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo "gofmt -w these files"; exit 1; }
	$(GO) vet ./...
	@$(MAKE) --no-print-directory lint
	$(GO) test -count=1 .
	@$(MAKE) --no-print-directory docs
	git diff --exit-code -- docs

lint: ## staticcheck
	$(GO) run $(STATIC) ./...

race: ## the tests of all packages under the race detector
	$(GO) test -race -short -timeout 30m ./...

docs: ## docs/config.md, docs/xeps.md and docs/levers.md, from the code
	$(GO) run ./docs/generate

bench: build ## the figures of docs/benchmarks.md; 45 minutes, on a machine that does nothing else
	$(GO) run ./tests/bench -bearhug $(BIN)

peers: build ## the same work for ejabberd, Prosody and this server, into docs/benchmarks.md; an hour, at rest
	@tests/tools peers
	$(GO) build -trimpath -o bin/peers ./tests/peers
	bin/peers -bearhug $(BIN) -docs docs/benchmarks.md

peers-quick: build ## the same with few people and one run each, only printed; 15 minutes
	@tests/tools peers
	$(GO) build -trimpath -o bin/peers ./tests/peers
	bin/peers -bearhug $(BIN) -quick

fuzz: ## every fuzz target for FUZZ (5m) each
	@for p in $$(git ls-files '*_test.go' | xargs grep -l '^func Fuzz' | xargs -n1 dirname | sort -u); do \
	  for f in $$(grep -oh '^func Fuzz[A-Za-z0-9_]*' $$p/*_test.go | sed 's/^func //'); do \
	    echo "== $$p $$f"; $(GO) test ./$$p -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZ) -fuzzminimizetime 5s || exit 1; \
	  done; done

torture: tools ## the crash tests at length: 1,000 kills on each database, and of who sends invitations (docs/torture.md)
	CI=1 BEARHUG_TEST_MARIADB=must BEARHUG_TEST_KILLS=1000 $(GO) test -count=1 -timeout 12h -v ./tests/crash ./tests/invitations

tools: ## what the tests need of Debian and npm
	@tests/tools

clean: ## what was built
	rm -rf bin
