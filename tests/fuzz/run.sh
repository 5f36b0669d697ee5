#!/usr/bin/env bash
# Lets libFuzzer look for inputs that break what src/ asks of every target, each
# for FUZZ_SECONDS (60), under AddressSanitizer; stops at the first finding.
# Arguments are targets; without any: all of them.
# New inputs go to the target folder; FUZZ_KEEP=1 keeps the small ones that reach
# new code in corpus/.
set -euo pipefail
cd "$(dirname "$0")"
target=$(realpath -m "${CARGO_TARGET_DIR:-../../target}")
tools=$target/tools
PATH=$tools/bin:$PATH
command -v cargo-fuzz >/dev/null || cargo install --quiet --locked --root "$tools" cargo-fuzz

# Its options of rustc are those of a nightly, which RUSTC_BOOTSTRAP=1 allows on
# the pinned toolchain.
export RUSTC_BOOTSTRAP=1
build=$target/fuzz
fuzz() {
    local what=$1
    shift
    cargo fuzz "$what" --fuzz-dir libfuzzer --target-dir "$build" "$@"
}
targets=("$@")
if ((${#targets[@]} == 0)); then mapfile -t targets < <(cargo fuzz list --fuzz-dir libfuzzer); fi

fuzz build
# What this run finds beyond the corpus.
for name in "${targets[@]}"; do
    found=$target/fuzz-corpus/$name
    mkdir -p "$found"
    echo "fuzzing $name for ${FUZZ_SECONDS:-60} s"
    # libFuzzer's watch of memory is a thread, which the sanitizer does not see
    # begin, as threads of this process begin by way of the generic filter; so
    # one allocation is bounded instead.
    # The sanitizer's own leak check takes what a process keeps to its end for lost.
    ASAN_OPTIONS="detect_leaks=0:${ASAN_OPTIONS:-}" fuzz run "$name" "$found" "corpus/$name" -- \
        -max_total_time="${FUZZ_SECONDS:-60}" -timeout=10 -rss_limit_mb=0 -malloc_limit_mb=1024 -max_len="${FUZZ_LENGTH:-16384}" \
        -print_final_stats=1 -verbosity=0
    if [ -n "${FUZZ_KEEP:-}" ]; then
        ASAN_OPTIONS=detect_leaks=0 fuzz run "$name" "corpus/$name" "$found" -- -merge=1 -max_len=2048 -verbosity=0
    fi
done
