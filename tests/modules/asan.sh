#!/bin/sh
# Runs the loader's tests under AddressSanitizer. The sanitizer is a nightly
# option of rustc, which RUSTC_BOOTSTRAP=1 allows on the pinned toolchain.
# Modules are compiled without it: their memory is the host's allocator's, so
# that what they lend is watched as well.
set -eu
cd "$(dirname "$0")/../.."
target=$(rustc -vV | sed -n 's/^host: //p')
suppressions=$(mktemp)
trap 'rm -f "$suppressions"' EXIT
# The tests' own modules with wrong tables give some that stay.
printf 'leak:tables.c\n' >"$suppressions"
export RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address -Cforce-frame-pointers=yes"
export ASAN_OPTIONS="detect_stack_use_after_return=1:strict_string_checks=1:${ASAN_OPTIONS:-}"
export LSAN_OPTIONS="suppressions=$suppressions:print_suppressions=0"
cargo test -p sidegate-generic-filter --target "$target" --target-dir "${CARGO_TARGET_DIR:-target}/asan" "$@"
