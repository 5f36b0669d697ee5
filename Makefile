# The commands of the project; `make` alone lists them.

CARGO ?= cargo
CC ?= cc
CXX ?= c++
DEMO_PORT ?= 2046
# Set to 1 to end the demo after its requests.
CHECK ?=
# Set to 1 to have the demo speak HTTP/2 with its client and its origin.
HTTP2 ?=
# Set to 1 to have the demo put a second Sidegate between, and mutual TLS between both.
TLS ?=

TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
RELEASE := $(TARGET)/release
ABI_INCLUDE := ffi-api/include

# One C example per folder: so-examples/auth-c becomes libauth_c.so, from its .c files that are no tests.
C_EXAMPLES := $(patsubst so-examples/%/,%,$(sort $(dir $(wildcard so-examples/*/*.c))))
C_MODULES := $(foreach example,$(C_EXAMPLES),$(RELEASE)/lib$(subst -,_,$(example)).so)
c_sources = $(filter-out %_test.c,$(wildcard so-examples/$(1)/*.c))
# The same in C++: so-examples/auth-cpp becomes libauth_cpp.so.
CXX_EXAMPLES := $(patsubst so-examples/%/,%,$(sort $(dir $(wildcard so-examples/*/*.cpp))))
CXX_MODULES := $(foreach example,$(CXX_EXAMPLES),$(RELEASE)/lib$(subst -,_,$(example)).so)
cxx_sources = $(filter-out %_test.cpp,$(wildcard so-examples/$(1)/*.cpp))
# clang makes no unique symbols, and does not know the option.
CXX_UNIQUE = $(shell $(CXX) -fno-gnu-unique -x c++ -E /dev/null >/dev/null 2>&1 && echo -fno-gnu-unique)

.DEFAULT_GOAL := help
.PHONY: help build modules demo test test-slow test-peers test-plugins test-compilers fmt clippy test-rust test-c doc book clean

help:
	@echo "make build      release build: $(RELEASE)/sidegate and one lib<example>.so per example"
	@echo "make demo       build, run Sidegate with the auth module on 127.0.0.1:$(DEMO_PORT), show requests,"
	@echo "                replace the module while requests go through"
	@echo "                (DEMO_PORT=... for another port, CHECK=1 to end after the requests, HTTP2=1 for HTTP/2,"
	@echo "                TLS=1 for two Sidegates with mutual TLS between them)"
	@echo "make test       format, clippy, build and all tests"
	@echo "make test-slow  the tests that take long"
	@echo "make test-peers  foreign clients, servers and judges of HTTP/2 and TLS against the release build"
	@echo "make test-plugins  plugins in Go, Python, Java, Node and Rust behind the release build"
	@echo "make test-compilers  modules by gcc, clang and old and new Rust, all with one table of behaviour"
	@echo "make test-docker-build  modules by docker-build/build.sh: same bytes in two folders, old glibc, refusals"
	@echo "make fuzz       libFuzzer on the readers of foreign bytes (FUZZ=targets, FUZZ_SECONDS=60 each)"
	@echo "make install    binary, header with its pkg-config file, manual, completions (PREFIX=, DESTDIR=)"
	@echo "make dist       a release: binary, header, SDK, manual, licences, bill of materials, checksums"
	@echo "make doc        rustdoc of all crates"
	@echo "make book       the book in docs/, as HTML (needs mdbook)"
	@echo "make clean      remove build output"

build:
	$(CARGO) build --release --workspace
	@$(MAKE) --no-print-directory modules

modules: $(C_MODULES) $(CXX_MODULES)
	@:

# The one line that builds a module in C.
define c_module
$(RELEASE)/lib$(subst -,_,$(1)).so: $(call c_sources,$(1)) $(wildcard so-examples/$(1)/*.h $(ABI_INCLUDE)/*.h)
	$(CC) -std=c11 -O2 -Wall -Wextra -Werror -shared -fPIC -I$(ABI_INCLUDE) -o $$@ $(call c_sources,$(1))
endef
$(foreach example,$(C_EXAMPLES),$(eval $(call c_module,$(example))))

define cxx_module
$(RELEASE)/lib$(subst -,_,$(1)).so: $(call cxx_sources,$(1)) $(wildcard so-examples/$(1)/*.h so-examples/$(1)/*.hpp $(ABI_INCLUDE)/*)
	$(CXX) -std=c++17 -O2 -Wall -Wextra -Werror -shared -fPIC $$(CXX_UNIQUE) -I$(ABI_INCLUDE) -o $$@ $(call cxx_sources,$(1))
endef
$(foreach example,$(CXX_EXAMPLES),$(eval $(call cxx_module,$(example))))

demo: build
	@$(RELEASE)/sidegate-demo --port $(DEMO_PORT) --bin $(RELEASE)/sidegate --module $(RELEASE)/libauth.so \
		--next $(RELEASE)/libauth_c.so $(if $(CHECK),--check) $(if $(HTTP2),--http2) $(if $(TLS),--tls)

fmt:
	$(CARGO) fmt --all -- --check

clippy:
	$(CARGO) clippy --workspace --all-targets -- -D warnings

test: fmt clippy build test-c test-rust

# Unit tests run in the dev profile, end-to-end tests against the release build.
test-rust: build
	SIDEGATE_BIN=$(RELEASE)/sidegate $(CARGO) test --workspace --no-fail-fast

# Each example in C or C++ brings its own test.
test-c:
	@for example in $(C_EXAMPLES) $(CXX_EXAMPLES); do \
		echo "so-examples/$$example/test.sh"; CC="$(CC)" CXX="$(CXX)" so-examples/$$example/test.sh || exit 1; \
	done

test-slow: build test-compilers
	SIDEGATE_BIN=$(RELEASE)/sidegate $(CARGO) test --workspace -- --ignored --skip modules::compilers --skip of_every_compiler --skip a_long_random_walk
	tests/modules/asan.sh
	tests/modules/walk.sh
	python3 tests/attacks/run.py --sidegate $(RELEASE)/sidegate

# Installs compilers that are missing; see tests/abi/README.md.
test-compilers: build
	SIDEGATE_BIN=$(RELEASE)/sidegate tests/abi/compilers.sh

# Installs what is missing; PEERS="--only gRPC" runs some. See tests/peers/README.md.
test-peers: build
	python3 tests/peers/run.py --sidegate $(RELEASE)/sidegate --install $(PEERS)

# Installs what is missing below the target folder; PLUGINS="--only Python" runs some. See tests/plugins/README.md.
test-plugins: build
	python3 tests/plugins/run.py --sidegate $(RELEASE)/sidegate --work $(TARGET)/plugins $(PLUGINS)

# New inputs for the readers of foreign bytes, FUZZ_SECONDS for each; see tests/fuzz/README.md.
fuzz:
	tests/fuzz/run.sh $(FUZZ)
.PHONY: fuzz

PREFIX ?= /usr/local
DESTDIR ?=
# The SDK's version is that of the ABI which the header describes.
ABI_VERSION = $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' ffi-api/abi/Cargo.toml)

install: build install-header
	install -D -m 755 $(RELEASE)/sidegate $(DESTDIR)$(PREFIX)/bin/sidegate
	$(RELEASE)/sidegate man $(DESTDIR)$(PREFIX)/share/man/man1
	install -d $(DESTDIR)$(PREFIX)/share/bash-completion/completions $(DESTDIR)$(PREFIX)/share/zsh/site-functions \
		$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d
	$(RELEASE)/sidegate completions bash >$(DESTDIR)$(PREFIX)/share/bash-completion/completions/sidegate
	$(RELEASE)/sidegate completions zsh >$(DESTDIR)$(PREFIX)/share/zsh/site-functions/_sidegate
	$(RELEASE)/sidegate completions fish >$(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/sidegate.fish

# What a module in C needs; nothing is built.
install-header:
	install -d $(DESTDIR)$(PREFIX)/include $(DESTDIR)$(PREFIX)/share/pkgconfig
	install -m 644 $(wildcard $(ABI_INCLUDE)/*.h $(ABI_INCLUDE)/*.hpp) $(DESTDIR)$(PREFIX)/include/
	sed -e 's|@PREFIX@|$(PREFIX)|' -e 's|@VERSION@|$(ABI_VERSION)|' ffi-api/sidegate.pc.in >$(DESTDIR)$(PREFIX)/share/pkgconfig/sidegate.pc
.PHONY: install install-header

# dist/sidegate-VERSION-linux-ARCH.tar.gz; DIST="--binary FILE" takes one that is there.
dist:
	docker-build/dist.sh $(DIST)
.PHONY: dist

# build.sh without an engine; docker-build/test.sh tests the images, docker-build/arm64.sh aarch64.
test-docker-build: build
	docker-build/test-quick.sh --sidegate $(RELEASE)/sidegate $(DOCKER_BUILD)
.PHONY: test-docker-build

# rustdoc of the SDK and of the crates, without warnings.
doc:
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --workspace --no-deps

book:
	@command -v mdbook >/dev/null || { echo "mdbook is missing: cargo install mdbook"; exit 1; }
	mdbook build docs

clean:
	$(CARGO) clean

# Both take options: make bench BENCH="--seconds 2 --peers nginx,sidegate".
bench:
	python3 bench/run.py $(BENCH)

bench-h2:
	python3 bench/h2.py $(BENCH)

bench-tls:
	python3 bench/tls.py $(BENCH)

bench-plugin:
	python3 bench/plugin.py $(BENCH)

bench-gate:
	python3 bench/gate.py $(or $(GATE),--check)
.PHONY: bench bench-h2 bench-tls bench-plugin bench-gate
