#!/usr/bin/env bash
# Runs the long random walk through the ABI (walk.c) with the proxy under
# AddressSanitizer, then under valgrind. The sanitizer sees what the host does
# with memory, valgrind also what the module reads of it and bytes that nobody
# wrote. Both need the C library's allocator in the proxy.
# WALK_SEED and WALK_REQUESTS say which walks, and how long.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
triple=$(rustc -vV | sed -n 's/^host: //p')
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

walk() {
    SIDEGATE_BIN=$1 WALK_REQUESTS=${WALK_REQUESTS:-$2} SIDEGATE_TEST_PATIENCE=180 \
        cargo test --quiet -p sidegate-e2e --test e2e -- --ignored a_long_random_walk
}

build() { cargo build --quiet -p sidegate-server --features system-allocator "$@"; }

# A nightly option of rustc, which RUSTC_BOOTSTRAP=1 allows on the pinned toolchain.
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address -Cforce-frame-pointers=yes" \
    build --target "$triple" --target-dir "$target/asan"
export ASAN_OPTIONS="detect_stack_use_after_return=1:strict_string_checks=1:${ASAN_OPTIONS:-}"
echo "walking under AddressSanitizer"
walk "$target/asan/$triple/debug/sidegate" 5000

build --target-dir "$target/checked"
cat >"$work/sidegate" <<WRAPPER
#!/bin/sh
exec valgrind --quiet --error-exitcode=99 --num-callers=30 "$target/checked/debug/sidegate" "\$@"
WRAPPER
chmod +x "$work/sidegate"
echo "walking under valgrind"
walk "$work/sidegate" 400
