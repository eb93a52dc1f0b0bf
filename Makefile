# Millrace. `make help` lists the goals.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

TARGET   := $(or $(CARGO_TARGET_DIR),target)
BINARY   := $(TARGET)/release/millrace
FEATURES := gateway/gstreamer,gateway/s3
# Whether a change passes is not left to dice: random tests throw the same ones, `make test SEED=…` others.
SEED     := 1
VENV     := tests/.venv
# 75: all that failed may be run again, alone (tests/e2e/conftest.py).
E2E       = MILLRACE=$(abspath $(BINARY)) $(VENV)/bin/python -m pytest tests/e2e -q
CLIENTS  := tests/clients
PAGE     := console/dist/index.html
# Not `npm ci`: it demands lock entries for the native packages of every platform, also of those that
# a registry's mirror does not have. The lock file is followed all the same.
NPM_INSTALL := npm install --no-save --no-audit --no-fund --loglevel=error

##@ Using it
run: build ## Build, then start with a demo camera; prints the page's address
	exec $(BINARY) serve --demo

build: apt-build apt-run page cargo ## Build what `make run` starts: page and release binary, every feature
	cargo build --release --locked --features $(FEATURES) -p gateway

##@ Checking it
test: build rust-test e2e ## Everything: Rust tests, then the whole system under real clients

rust-test: apt-build apt-run apt-test page cargo ## Rust tests (unit, property, crash, layout)
	PROPTEST_RNG_SEED=$(SEED) BOLERO_RANDOM_SEED=$(SEED) cargo test --workspace --locked --features $(FEATURES)
	cargo test --locked -p fragment-log --features shuttle --test shuttle

e2e: build clients $(VENV)/installed ## The released binary under ffmpeg, GStreamer, AWS SDKs, Chromium
	$(E2E) --durations=10 -n 3 --dist loadfile $(PYTEST) || { [ $$? = 75 ] && $(E2E) --last-failed; }

check: apt-build page cargo ## Format, lints, licences and advisories
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked --features $(FEATURES),tests/kinesis-client -- -D warnings
	@if cargo deny --version >/dev/null 2>&1; then cargo deny --locked check; \
	else echo "cargo-deny is not installed (cargo install cargo-deny): licences and advisories not checked"; fi

bench: build apt-test $(VENV)/installed ## Measure, as ratios within one run, with their spread
	cargo build --release --locked --features $(FEATURES),fixtures/whip -p gateway -p fixtures --bins
	MILLRACE=$(abspath $(BINARY)) $(VENV)/bin/python tests/bench/run.py $(BENCH)

torture: build apt-test $(VENV)/installed ## The crash, fault, flip and kill tests at full size: hours
	MILLRACE_TORTURE=1 cargo test --release --locked -p fragment-log -- --nocapture
	MILLRACE_TORTURE=1 cargo test --release --locked -p fragment-log --features shuttle --test shuttle -- --nocapture
	MILLRACE_TORTURE=1 MILLRACE=$(abspath $(BINARY)) $(VENV)/bin/python -m pytest tests/e2e/test_checker.py -q

fuzz: apt-build cargo ## Fuzz every parser by coverage, SECONDS each (default 60); TARGETS="…" for some
	tests/fuzz.sh $(or $(SECONDS),60) $(TARGETS)

##@ Parts
console: apt-build ## Build the page again (npm)
	cd console && $(NPM_INSTALL) && npm run build

help: ## This list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {printf "\n%s\n", substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The page is built when a source of it is newer than what stands in dist/.
page: $(PAGE)
$(PAGE): $(shell find console/src console/public -type f) console/index.html console/package-lock.json console/vite.config.ts | apt-build
	cd console && $(NPM_INSTALL) && npm run build
	touch $@

$(VENV)/installed: tests/requirements.txt | apt-test
	python3 -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --requirement tests/requirements.txt
	touch $@

# The clients of tests/e2e/test_clients.py. What is installed is not fetched again.
clients: apt-test $(CLIENTS)/js/node_modules/installed $(CLIENTS)/java/target/installed cargo
	cargo build --locked -p tests --features kinesis-client --bin kinesis_client

$(CLIENTS)/js/node_modules/installed: $(CLIENTS)/js/package-lock.json | apt-build
	cd $(CLIENTS)/js && $(NPM_INSTALL)
	touch $@

$(CLIENTS)/java/target/installed: $(CLIENTS)/java/pom.xml $(wildcard $(CLIENTS)/java/src/main/java/*.java) | apt-test
	cd $(CLIENTS)/java && mvn --quiet --batch-mode compile
	touch $@

apt-%:
	@packaging/install-apt.sh $*

cargo:
	@command -v cargo >/dev/null || { echo "Millrace needs Rust 1.95 or newer: https://rustup.rs"; exit 1; }

.PHONY: run build test rust-test e2e check bench torture fuzz console help page clients cargo
