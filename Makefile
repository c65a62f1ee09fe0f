# Everything is done through these targets, by .ci/run too.

# The nginx to build for: its source, and the folder it was configured in. By default Debian's own, from nginx-dev.
NGINX_SOURCE_DIR ?= /usr/share/nginx/src
NGINX_BUILD_DIR  ?= target/nginx/debian

# The nginx to run, and where it finds the modules.
TEST_NGINX_BINARY ?= /usr/sbin/nginx
MODULES_DIR       ?= target/modules

CARGO_TARGET_DIR ?= target

# The tests to run, how many at a time, and the folder of the original nginx-tests library to run them with.
T           ?= t/*.t
JOBS        ?= 2
NGINX_TESTS ?=

# The newest nginx that is tested, and the version of the crate nginx-src that holds it.
NEW_VERSION := 1.28.3
NEW_CRATE   := 1.28.5

MODULES  := ngx_http_memcache_module ngx_http_memcache_kv_module ngx_http_memcache_rate_limit_module \
            ngx_http_memcache_tokio_bridge_module
PACKAGES := ngx-http-memcache ngx-http-memcache-kv ngx-http-memcache-rate-limit
# Built apart, so that the others do not get what only these need.
TOKIO_PACKAGES := ngx-http-memcache-tokio-bridge

# Siblings for the tests alone, and for the benchmark.
TEST_MODULES   := ngx_http_memcache_test_module
TEST_PACKAGES  := ngx-http-memcache-test
BENCH_MODULES  := ngx_http_memcache_bench_module ngx_http_memcache_naive_module
BENCH_PACKAGES := ngx-http-memcache-bench ngx-http-memcache-naive

# What uses the crate memcache needs a newer Rust than Cargo.toml promises; nothing else depends on it.
NEWER_RUST_PACKAGES := memcache-crate-peer ngx-http-memcache-naive

# Crates whose modules import downwards only, by build/imports/rooms.txt.
IMPORTS_CHECKED := api/src bits/src engine/src src status/src

# Debian packages. With an nginx of one's own its source and libraries are one's own affair.
BUILD_DEPS := gcc libc6-dev libclang-dev $(if $(filter file,$(origin NGINX_SOURCE_DIR)),nginx-dev dpkg-dev)
RUN_DEPS   := nginx memcached curl perl iproute2
# Whose memcached the tests use too, beside the one that is installed: 1.6.9, 1.6.38, and the newest.
SUITES := bullseye trixie sid
# What depends on what memcached does. key_names.t, old.t, refused.t, sizes.t and ttl.t take all versions by themselves.
VERSION_TESTS := $(addprefix t/,failover.t fetch.t keys.t kv_etag.t kv_sizes.t kv_stale.t leases.t ops.t rate_limit.t session.t session_down.t values.t version.t)
# The clients that t/peers*.t compare with, and what t/messages.t takes for memcached.
PEER_DEPS  := libmemcached-dev libaprutil1-dev php-cli php-memcached nutcracker redis-server openssl \
              libio-socket-ssl-perl stunnel4 socat
# promtool, for what Prometheus reads.
METRICS_DEPS := prometheus
BROWSER_DEPS := chromium chromium-driver fonts-dejavu-core
# What the benchmark compares with, and measures by. The tracepoint needs perf; without it there is strace.
BENCH_DEPS := wrk util-linux valgrind strace linux-perf python3 libnginx-mod-http-memc libnginx-mod-http-lua \
              lua-nginx-memcached stunnel4 openssl apache2 apache2-dev libaprutil1-dev
NEW_DEPS   := make libpcre2-dev zlib1g-dev libssl-dev

# ---

# Build scripts run in folders of their own: they need absolute paths.
override NGINX_SOURCE_DIR := $(abspath $(NGINX_SOURCE_DIR))
override NGINX_BUILD_DIR  := $(abspath $(NGINX_BUILD_DIR))
override CARGO_TARGET_DIR := $(abspath $(CARGO_TARGET_DIR))
override MODULES_DIR      := $(abspath $(MODULES_DIR))
export NGINX_SOURCE_DIR NGINX_BUILD_DIR CARGO_TARGET_DIR

DEBIAN_BUILD_DIR := $(abspath target/nginx/debian)

TEST_LIB := $(if $(NGINX_TESTS),$(abspath $(NGINX_TESTS)/lib),$(abspath t/dialect/lib))

# Another run of make, for an nginx built from source in folder $(1).
for_nginx = $(MAKE) --no-print-directory NGINX_SOURCE_DIR=$(1) NGINX_BUILD_DIR=$(1)/objs \
            CARGO_TARGET_DIR=target/cargo-$(NEW_VERSION) MODULES_DIR=target/modules-$(NEW_VERSION)

# The same, for the one of another release of Debian.
SUITE_DIR    = $(abspath target/nginx/$(or $(RELEASE),$(error RELEASE is trixie or sid)))
SUITE_SOURCE = $(SUITE_DIR)/dev/usr/share/nginx/src
for_suite    = $(MAKE) --no-print-directory NGINX_SOURCE_DIR=$(SUITE_SOURCE) NGINX_BUILD_DIR=$(SUITE_DIR)/objs \
               CARGO_TARGET_DIR=target/cargo-$(RELEASE) MODULES_DIR=target/modules-$(RELEASE)

# Installed, not copied over: a running nginx keeps the old file that it has mapped.
install_modules = @mkdir -p $(MODULES_DIR) && cd $(CARGO_TARGET_DIR)/$(CARGO_BUILD_TARGET)/release && \
                  for m in $(1); do install lib$$m.so $(MODULES_DIR)/$$m.so || exit; done

NEW_DIR      := target/nginx/$(NEW_VERSION)
VALGRIND_DIR := target/nginx/$(NEW_VERSION)-valgrind
ASAN_DIR     := target/nginx/$(NEW_VERSION)-asan

# The target's name makes cargo leave build scripts as they are. Rust's sanitizers are of its unstable part. Memory that
# is kept for the next request hides what uses it after its own has ended: no spare tasks.
ASAN_TARGET := $(shell rustc -vV 2>/dev/null | sed -n 's/^host: //p')
ASAN_RUST   := RUSTC_BOOTSTRAP=1 CARGO_BUILD_TARGET=$(ASAN_TARGET) RUSTFLAGS="-Zsanitizer=address -Cforce-frame-pointers=yes --cfg no_spare_tasks" \
               CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16

.DEFAULT_GOAL := help
# Whatever has a description below makes no file of its name.
.PHONY: $(shell sed -n 's/^\([a-z-]*\):.*\#\# .*/\1/p' $(firstword $(MAKEFILE_LIST)))

help: ## this list
	@echo "make TARGET [VARIABLE=value]..."
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))
	@echo "Variables: T, JOBS, RELEASE, GOALS, NGINX_TESTS, ONCE, QUICK, ROWS, NGINX_SOURCE_DIR, NGINX_BUILD_DIR, TEST_NGINX_BINARY, MODULES_DIR"

deps: ## install the Debian packages that are missing
	@bash build/deps.sh $(BUILD_DEPS) $(RUN_DEPS)

nginx-headers: ## configure the headers of Debian's nginx, for building modules
	@bash build/deps.sh $(BUILD_DEPS)
ifeq ($(NGINX_BUILD_DIR),$(DEBIAN_BUILD_DIR))
	@bash build/nginx-headers.sh $(NGINX_BUILD_DIR)
endif

build: nginx-headers ## build the modules into target/modules/
	cargo build --release $(addprefix -p ,$(PACKAGES))
	cargo build --release $(addprefix -p ,$(TOKIO_PACKAGES))
	$(call install_modules,$(MODULES))
	@bash build/session.sh $(NGINX_SOURCE_DIR) $(NGINX_BUILD_DIR) $(MODULES_DIR)/ngx_http_memcache_session_module.so
	@ls -l $(MODULES_DIR)/*.so

siblings: build ## build the modules of t/siblings/, too
	cargo build --release $(addprefix -p ,$(TEST_PACKAGES))
	$(call install_modules,$(TEST_MODULES))

examples: ## build the programs that tell what server has a key, for t/peers*.t
	cargo build -p memcache-engine --examples
	@bash build/crate-peer.sh

ring: ## what each hash costs: memory and time for SERVERS=1000
	cargo run --release -p memcache-engine --example ring -- $(or $(SERVERS),1000)

bench-link: build ## large and small items over a link that is full, memcached_pass beside, a minute; COLD=1
	@bash build/deps.sh python3 memcached util-linux
	@NGINX_BINARY=$(TEST_NGINX_BINARY) MODULES_DIR=$(MODULES_DIR) COLD=$(COLD) python3 bench/link.py

bench-shares: build ## a module that asks 100 times a second beside one that floods, with and without shares, two minutes; SECONDS=15
	@bash build/deps.sh python3 memcached gcc
	@NGINX_BINARY=$(TEST_NGINX_BINARY) MODULES_DIR=$(MODULES_DIR) python3 bench/shares.py $(or $(SECONDS),15)

bench-engine: ## what the engine costs without I/O, by criterion; T=get for what has that in its name
	cargo bench -p memcache-engine --bench engine -- $(filter-out t/%,$(T))

instructions-engine: ## instructions per get in the engine and where they are, by callgrind; VALUE=100
	@bash build/deps.sh valgrind
	@bash build/instructions.sh $(or $(VALUE),100)

instructions: deps build ## what a request costs in the worker; CHECK=1: no more than in bench/worker.json; KEEP=1 writes that
	@bash build/deps.sh valgrind strace python3 util-linux openssl
	cargo build --release -p ngx-http-memcache-bench
	$(call install_modules,ngx_http_memcache_bench_module)
	@NGINX_BINARY=$(TEST_NGINX_BINARY) MODULES_DIR=$(MODULES_DIR) python3 bench/worker.py \
	$(if $(CHECK),--check bench/worker.json) $(if $(KEEP),--write $(if $(filter 1,$(KEEP)),bench/worker.json,$(KEEP)))

unit: ## test the engine and the status alone: needs no nginx and no memcached
	cargo test -p memcache-engine -p memcache-status
	cargo test --manifest-path fuzz/Cargo.toml --no-default-features

sim: ## look for schedules that break the engine, for SECONDS=60; RUNS=n: always the same n; SIM_SEED=n replays one
	$(if $(SIM_SEED),SIM_SEED=$(SIM_SEED),$(if $(RUNS),SIM_RUNS=$(RUNS),SIM_SECONDS=$(or $(SECONDS),60))) \
	cargo test --release -p memcache-engine --test sim -- --nocapture simulation

mutants: ## break the engine in one place at a time, and see the simulation find it within SECONDS=60
	@bash build/mutants.sh $(or $(SECONDS),60) "$(WORD)"

# Needs nightly Rust and a C++ compiler; installs cargo-fuzz.
fuzz: ## look for inputs that break the engine, SECONDS=60 per target; T=replies or T=operations for one
	@bash build/fuzz.sh $(or $(SECONDS),60) $(or $(filter-out t/%,$(T)),replies operations)

test: deps unit nginx-headers ## test everything with Debian's nginx; T=t/ops.t for one file of t/
	cargo test --workspace $(addprefix --exclude ,memcache-engine memcache-status $(NEWER_RUST_PACKAGES))
	@$(MAKE) --no-print-directory prove

browser: deps build ## test the page of memcache_status in a browser, without a window
	@bash build/deps.sh $(BROWSER_DEPS)
	TEST_NGINX_BINARY=$(TEST_NGINX_BINARY) TEST_NGINX_MEMCACHE_MODULES=$(MODULES_DIR) \
	prove -I $(TEST_LIB) -I $(abspath t/lib) t/browser/*.t

screenshots: ## pictures of that page with made-up numbers, into target/screenshots/
	@bash build/deps.sh $(BROWSER_DEPS)
	cargo build -p memcache-status --example page
	@mkdir -p target/screenshots
	perl -I $(TEST_LIB) t/browser/screenshots.pl $(CARGO_TARGET_DIR)/debug/examples/page target/screenshots

test-all: test browser ## the same, in a browser too, then t/ again with the newest nginx, built from source
	@bash build/deps.sh $(NEW_DEPS)
	@bash build/nginx-src.sh $(NEW_CRATE) $(NEW_DIR)
	@$(call for_nginx,$(NEW_DIR)) TEST_NGINX_BINARY=$(abspath $(NEW_DIR)/objs/nginx) prove
	@$(MAKE) --no-print-directory session-config

session-config: ## build examples/session by its script "config", and test that
	@bash build/deps.sh $(NEW_DEPS)
	@bash build/nginx-src.sh $(NEW_CRATE) $(NEW_DIR)
	@mkdir -p target/session
	@cp target/modules-$(NEW_VERSION)/*.so target/session
	@bash build/session-config.sh $(NEW_DIR) target/session/ngx_http_memcache_session_module.so
	TEST_NGINX_BINARY=$(abspath $(NEW_DIR)/objs/nginx) TEST_NGINX_MEMCACHE_MODULES=$(abspath target/session) \
	prove -I $(TEST_LIB) -I $(abspath t/lib) t/session.t t/session_config.t t/session_down.t t/session_text.t

doc: nginx-headers ## the documentation of the crates: that of ngx-memcache is for siblings, in target/doc/ngx_memcache/
	cargo doc --no-deps -p memcache-engine -p memcache-status -p ngx-memcache --features ngx-memcache/tokio
	@echo "For siblings: $(CARGO_TARGET_DIR)/doc/ngx_memcache/index.html"

readme: nginx-headers ## build the sibling that README.md shows
	@bash api/tests/readme.sh $(CARGO_TARGET_DIR)/readme/visits.so

memcacheds: ## fetch the memcacheds of other suites of Debian into target/memcached/, for t/
	@for suite in $(SUITES); do bash build/suite.sh $$suite target/memcached/$$suite memcached || exit; done

versions: memcacheds ## run the tests that depend on memcached's version with each that was fetched and is not too old
	@for suite in $(filter-out bullseye,$(SUITES)); do \
	TEST_NGINX_MEMCACHED="$(abspath target/memcached)/$$suite/run memcached" \
	$(MAKE) --no-print-directory prove T="$(VERSION_TESTS)" || exit; done

prove: siblings examples memcacheds $(if $(filter t/readme_rust.t,$(wildcard $(T))),readme) ## build, and run t/ alone
	@bash build/deps.sh $(PEER_DEPS) $(METRICS_DEPS)
	TEST_NGINX_BINARY=$(TEST_NGINX_BINARY) TEST_NGINX_MEMCACHE_MODULES=$(MODULES_DIR) \
	TEST_NGINX_MEMCACHE_EXAMPLES=$(CARGO_TARGET_DIR)/$(CARGO_BUILD_TARGET)/debug/examples \
	TEST_NGINX_MEMCACHE_README=$(CARGO_TARGET_DIR)/readme/visits.so \
	prove -j$(JOBS) -I $(TEST_LIB) -I $(abspath t/lib) $(T)

# From Debian's packages of that release, which are not installed.
prove-nginx: ## the same with the nginx of another Debian: RELEASE=trixie or sid, T=t/ops.t
	@bash build/deps.sh $(NEW_DEPS) dpkg-dev
	@bash build/nginx-suite.sh $(RELEASE) $(SUITE_DIR)
	NGINX_SOURCE_DIR=$(SUITE_SOURCE) NGINX_BUILD_DIR=$(SUITE_DIR)/objs CARGO_TARGET_DIR=target/cargo-$(RELEASE) \
	cargo test -p memcache-bits
	@$(for_suite) TEST_NGINX_BINARY=$(SUITE_DIR)/nginx prove

check: nginx-headers ## formatting, lints, where unsafe is, imports, sizes of files, what mutants break, documentation, the header as C and as C++, dependencies
	@bash build/deps.sh g++
	cargo fmt --all --check
	cargo fmt --manifest-path fuzz/Cargo.toml --check
	@bash build/check-unsafe.sh
	@bash build/check-docs.sh
	@bash build/check-size.sh
	@bash build/mutants.sh 0
	@$(MAKE) --no-print-directory imports
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy --manifest-path fuzz/Cargo.toml --no-default-features --all-targets -- -D warnings
	@RUSTDOCFLAGS="-D warnings" $(MAKE) --no-print-directory doc
	@bash build/check-header.sh $(NGINX_SOURCE_DIR) $(NGINX_BUILD_DIR)
	@if cargo deny --version >/dev/null 2>&1; then cargo deny check; \
	else echo "check: cargo-deny is not installed, so nobody looked at licenses and advisories"; fi

imports: ## whether modules import downwards only; build/imports/rooms.txt has the order of the rooms
	@cargo test -q -p check-imports
	@cargo run -q -p check-imports -- build/imports/rooms.txt $(IMPORTS_CHECKED)

run: deps build ## show it at work until Ctrl-C: nginx, memcached, a REST store; ONCE=1 ends by itself
	@NGINX_BINARY=$(TEST_NGINX_BINARY) MODULES_DIR=$(MODULES_DIR) bash build/run.sh $(if $(ONCE),once)

clean-room: ## make run and make test on a new Debian, RELEASE=12, 13 or sid; GOALS="run unit", T=t/ops.t
	@bash build/clean-room.sh "$(RELEASE)" $(or $(GOALS),run test) ONCE=1 $(if $(filter command,$(origin T)),"T=$(T)")

bench: deps build ## every way to memcached side by side, 20 minutes; QUICK=1: 3; ROWS=, WAYS=, ROUNDS=, DURATION=
	@bash build/deps.sh $(BENCH_DEPS)
	cargo build --release $(addprefix -p ,$(BENCH_PACKAGES))
	@cd $(CARGO_TARGET_DIR)/release && for m in $(BENCH_MODULES); do install lib$$m.so $(MODULES_DIR)/$$m.so || exit; done
	@NGINX_BINARY=$(TEST_NGINX_BINARY) MODULES_DIR=$(MODULES_DIR) QUICK=$(QUICK) ROWS='$(ROWS)' WAYS=$(WAYS) \
	ROUNDS=$(ROUNDS) DURATION=$(DURATION) python3 bench/run.py

# Each allocation from a pool is one of its own there, so that valgrind knows its bounds and its end.
valgrind: deps ## run t/ with nginx under valgrind
	@bash build/deps.sh $(NEW_DEPS) valgrind
	@bash build/nginx-src.sh $(NEW_CRATE) $(VALGRIND_DIR) "-O1 -g -DNGX_DEBUG_PALLOC=1"
	@bash build/valgrind.sh $(abspath $(VALGRIND_DIR)/objs/nginx) \
	$(call for_nginx,$(VALGRIND_DIR)) TEST_NGINX_BINARY=$(CURDIR)/build/valgrind-nginx.sh prove

# nginx and siblings in C get the runtime of gcc; what is in Rust finds it in the process.
asan: deps ## run t/ with nginx, modules and siblings built with AddressSanitizer; T=t/ops.t, LEAKS=0
	@bash build/deps.sh $(NEW_DEPS) libasan8
	@ASAN_OPTIONS=detect_leaks=0 bash build/nginx-src.sh $(NEW_CRATE) $(ASAN_DIR) \
	"-O1 -g -fno-omit-frame-pointer -fsanitize=address -DNGX_DEBUG_PALLOC=1" "-fsanitize=address"
	@$(ASAN_RUST) bash build/asan.sh $(MAKE) --no-print-directory prove \
	NGINX_SOURCE_DIR=$(ASAN_DIR) NGINX_BUILD_DIR=$(ASAN_DIR)/objs CARGO_TARGET_DIR=target/cargo-asan \
	MODULES_DIR=target/modules-asan TEST_NGINX_BINARY=$(abspath $(ASAN_DIR)/objs/nginx)

miri: nginx-headers ## run the unit tests of the crates without nginx in Miri; skipped without nightly Rust
	@bash build/miri.sh

soak: deps build ## mixed load with faults and a checker for MINUTES=5; SEED=n, CLIENTS=12, TLS=1; see target/soak/
	@bash build/deps.sh python3 $(if $(TLS),openssl)
	@MINUTES=$(MINUTES) SEED=$(SEED) CLIENTS=$(CLIENTS) TLS=$(TLS) NGINX_BINARY=$(TEST_NGINX_BINARY) MODULES_DIR=$(MODULES_DIR) \
	python3 -B t/soak/soak.py target/soak

soak-changes: deps build ## load while the list of servers changes CHANGES=200 times in MINUTES=60; SEED=n, CLIENTS=8; see target/soak/
	@bash build/deps.sh python3
	@MINUTES=$(or $(MINUTES),60) CHANGES=$(CHANGES) SEED=$(SEED) CLIENTS=$(CLIENTS) NGINX_BINARY=$(TEST_NGINX_BINARY) \
	MODULES_DIR=$(MODULES_DIR) python3 -B t/soak/changes.py target/soak

clean: ## remove everything that was built
	rm -rf target
