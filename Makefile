# The commands of a developer and of CI. `make` alone lists them.

GENERATED := gen/property/property.gen.go gen/api.gen.go client/client.gen.go

# Static, and without the paths of this machine.
BUILD := CGO_ENABLED=0 go build -trimpath

# The race detector does not watch the memory of SQLite, which is C code in Go, so its checks in that code would find nothing. Nor would they in
# the hash of passwords, which is made to be slow, and in parsers that one goroutine calls when a program starts. Together they would take
# half of the time of the tests. Many tests wait, so more of them run at once than there are processors, and the many programs that they
# start need not wait for a second, each, for races at their end. Programs without the race detector are built without cgo everywhere, so that
# nothing is compiled in a third way. `make check` vets.
UNCHECKED := golang.org/x/crypto/argon2 github.com/alecthomas/kong regexp go.yaml.in/yaml/v4/... github.com/yuin/goldmark/...
TEST := GORACE=atexit_sleep_ms=10 go test -vet=off -p 3 -parallel 4 -race -gcflags=modernc.org/...=-d=checkptr=0 \
	'-gcflags=modernc.org/sqlite/lib=-d=checkptr=0 -race=false' $(UNCHECKED:%=-gcflags=%=-race=false)

SBOM := go run github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0

.DEFAULT_GOAL := help
.PHONY: help run test check generate fresh compatible lowest contract-diff contract-lint build reproducible dist vuln bench scale model fuzz torture upgrade

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

run: ## serve the demo on the embedded store, and print a command that works
	@$(BUILD) -o bin/carecycle-server ./server && exec bin/carecycle-server serve --demo

test: ## run every test, with the race detector
	@$(TEST) ./gen/... # a broken contract fails here, once, and nothing else runs
	@$(TEST) ./server/internal/schema # likewise a column that the contract needs and the stores lack
	$(TEST) ./...
	CGO_ENABLED=0 go test ./server/internal/scale # measures, which the race detector would disturb
	CGO_ENABLED=0 go -C client/compat test -count=1 ./...

check: fresh compatible lowest ## check format, vet, lint, module files, generated code, and the promise to consumers
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "gofmt -w these files:"; echo "$$unformatted"; exit 1; }
	go vet ./... && go vet -tags load ./server/bench
	go run honnef.co/go/tools/cmd/staticcheck ./...
	go mod tidy -diff

generate: ## generate gen/ and client/ from openapi.yaml
	go generate ./...

fresh:
	@before=$$(mktemp -d) && tar -cf - $(GENERATED) | tar -xf - -C "$$before" && go generate ./... && status=0 && \
	for file in $(GENERATED); do \
		cmp -s "$$file" "$$before/$$file" || { echo "$$file was stale: openapi.yaml or its generator settings changed; commit the file as it is now"; status=1; }; \
	done; rm -r "$$before"; exit $$status

lowest: # build the client with the lowest version of Go that go.mod allows, where that can be fetched
	@lowest=go$$(go list -m -f '{{.GoVersion}}'); \
	if GOTOOLCHAIN=$$lowest go version >/dev/null 2>&1; then GOTOOLCHAIN=$$lowest go build ./client/...; \
	else echo "$$lowest cannot be fetched, so nothing was built with it"; test -z "$$CI"; fi

bench: ## measure the server next to its bounds (needs wrk, and PostgreSQL for its part)
	go test -tags load ./server/bench
	go run ./server/bench

fuzz: FUZZTIME ?= 60s
fuzz: ## run each fuzz test for FUZZTIME (60s)
	@for package in $$(grep -rl --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		for test in $$(grep -h -o '^func Fuzz[A-Za-z]*' $$package/*_test.go | cut -c6-); do \
			go test $$package -run '^$$' -fuzz "^$$test$$" -fuzztime $(FUZZTIME) || exit 1; \
		done; \
	done

torture: TORTURE ?= 10m
torture: ## kill the server and its database under load for TORTURE (10m), and look for lost changes
	TORTURE=$(TORTURE) go test ./server -race -count=1 -v -timeout 0 -run '^TestCrash$$'

upgrade: ## replace the program before the newest migration by this one, under load (needs PostgreSQL and a complete clone)
	UPGRADE=1 go test ./server -race -count=1 -v -run '^TestRollingUpgrade$$'

model: CHECKS ?= 1000
model: ## compare both stores with a model in CHECKS (1000) random sequences of calls
	go test ./server/internal/sqlite ./server/internal/postgres -count=1 -timeout 0 -run '^(TestStore|TestReplicas)$$/^(Model|List)$$' -rapid.checks $(CHECKS)

scale: SCALE ?= 1000000
scale: ## measure every operation with SCALE records (1000000) next to a hundredth of them
	SCALE=$(SCALE) go test ./server/internal/scale -count=1 -v -timeout 0

compatible: # compare the contract and package client with the last released tag, and check the module that does
	@go -C client/compat run . check
	@go -C client/compat vet ./...
	@go build -o bin/staticcheck honnef.co/go/tools/cmd/staticcheck && cd client/compat && ../../bin/staticcheck ./...
	@go -C client/compat mod tidy -diff

contract-diff: ## print the release note: what openapi.yaml changes for consumers since the last tag, or since BASE
	@go -C client/compat run . note $(BASE)

contract-lint: ## check openapi.yaml with Redocly and Spectral (needs Node.js)
	npx --yes @redocly/cli@2.77.0 lint --extends recommended openapi.yaml
	@tools=$$(mktemp -d) && npm install --silent --prefix "$$tools" @stoplight/spectral-cli@6.16.3 @stoplight/spectral-owasp-ruleset@2.0.1 && \
	cp openapi.yaml .spectral.yaml "$$tools" && cd "$$tools" && npx spectral lint openapi.yaml --fail-severity=warn; status=$$?; rm -r "$$tools"; exit $$status

build: ## build bin/carecycle-server: static, and the same bytes for a commit in every directory
	$(BUILD) -buildvcs=true -o bin/carecycle-server ./server

reproducible: ## build the last commit in two directories, and compare the programs
	@scratch=$$(mktemp -d) && trap 'rm -rf "$$scratch"' EXIT && \
	for copy in one two/deeper; do \
		git clone --quiet . "$$scratch/$$copy" && $(MAKE) --silent --no-print-directory -C "$$scratch/$$copy" build || exit 1; \
	done && cd "$$scratch" && sha256sum one/bin/carecycle-server two/deeper/bin/carecycle-server && \
	cmp one/bin/carecycle-server two/deeper/bin/carecycle-server

dist: build ## write the release of the last commit to dist/: archives, a list of what is in each program, SHA256SUMS (needs GNU tar)
	@test -z "$$(git status --porcelain)" || { echo "commit or remove these changes first; a release is a commit:"; git status --short; exit 1; }
	@rm -rf dist && set -e && version=$$(git describe --tags --always) && \
	for arch in amd64 arm64; do \
		name=carecycle-server_$${version}_linux_$$arch && mkdir -p dist/$$name/completions && \
		GOOS=linux GOARCH=$$arch $(BUILD) -buildvcs=true -o dist/$$name/carecycle-server ./server && \
		git archive HEAD README.md LICENSE docs server/deploy | tar -xf - -C dist/$$name && \
		for shell in bash zsh fish; do bin/carecycle-server completion $$shell >dist/$$name/completions/carecycle-server.$$shell; done && \
		bin/carecycle-server man >dist/$$name/carecycle-server.1 && \
		$(SBOM) bin -json -std -noserial -notimestamp -output dist/$$name.cdx.json dist/$$name/carecycle-server && \
		tar -cf - -C dist --sort=name --format=ustar --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --mtime=@$$(git log -1 --format=%ct) $$name | gzip -9n >dist/$$name.tar.gz && \
		rm -r dist/$$name; \
	done && cd dist && sha256sum -- *.tar.gz *.json >SHA256SUMS && cat SHA256SUMS

vuln: ## look for known vulnerabilities in what the programs call (needs the network)
	go run golang.org/x/vuln/cmd/govulncheck@v1.9.0 ./...
