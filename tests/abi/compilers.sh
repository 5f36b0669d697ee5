#!/usr/bin/env bash
# Builds the conformance filters and the examples with every compiler that the
# promise names, and runs the table of behaviour over each: see README.md.
# The proxy is SIDEGATE_BIN.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")/compilers
modules=$target/modules
frozen=tests/abi/v1.0
as_root=()
if [ "$(id -u)" -ne 0 ]; then as_root=(sudo); fi
updated=

update() {
    [ -n "$updated" ] || "${as_root[@]}" apt-get update -qq
    updated=yes
}

# Installs a package if its command is missing.
install_command() {
    command -v "$1" >/dev/null && return
    echo "installing $2"
    update
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$2" >/dev/null
}

# Unpacks a package, and what it needs and this machine lacks, beside a wrapper
# that finds its libraries: nothing on this machine's PATH changes.
unpack() {
    local package=$1 into=$target/debian/$1 lacking
    [ -x "$into/rustc" ] && return
    if dpkg -s "$package" >/dev/null 2>&1; then
        # Installed as it is: there would be nothing to fetch.
        mkdir -p "$into"
        ln -s "$(dpkg -L "$package" | grep -m 1 '/bin/rustc$')" "$into/rustc"
        return
    fi
    echo "fetching $package"
    update
    rm -rf "$into"
    mkdir -p "$into/packages"
    # What apt would install, in its own words.
    lacking=$(apt-get install -s --no-install-recommends "$package" | awk '/^Inst/ { print $2 }')
    # shellcheck disable=SC2086
    (cd "$into/packages" && apt-get download -qq $lacking 2>/dev/null)
    for file in "$into"/packages/*.deb; do dpkg-deb -x "$file" "$into"; done
    rm -r "$into/packages"
    cat >"$into/rustc" <<'WRAPPER'
#!/bin/sh
here=$(dirname "$0")
LD_LIBRARY_PATH=$(echo "$here"/usr/lib/*-linux-gnu) exec "$here/usr/bin/rustc" "$@"
WRAPPER
    chmod +x "$into/rustc"
}

# build_c NAME COMPILER [OPTION]...
build_c() {
    local to=$modules/$1 file name
    shift
    local line=("$@" -O2 -Wall -Wextra -Wpedantic -Werror -shared -fPIC)
    mkdir -p "$to"
    for file in "$frozen"/c/*.c; do
        name=$(basename "$file" .c)
        "${line[@]}" -I"$frozen/include" -o "$to/lib$name.so" "$file" -lpthread
    done
    # What is left on threads, for unloading.
    "${line[@]}" -Iffi-api/include -o "$to/libleaves.so" tests/modules/leaves.c -lpthread
    for file in so-examples/*-c/*.c; do
        [[ $file == *_test.c ]] && continue
        name=$(basename "$(dirname "$file")" | tr - _)
        "${line[@]}" -Iffi-api/include -o "$to/lib$name.so" "$file"
    done
}

# build_cpp NAME COMPILER [OPTION]...: what stands on sidegate.hpp.
build_cpp() {
    local to=$modules/$1
    shift
    local line=("$@" -std=c++17 -O2 -Wall -Wextra -Wpedantic -Werror -shared -fPIC -Iffi-api/include)
    mkdir -p "$to"
    "${line[@]}" -o "$to/libconform.so" tests/abi/cpp/conform.cpp -pthread
    "${line[@]}" -o "$to/libauth_cpp.so" so-examples/auth-cpp/auth.cpp
}

# build_tables NAME RUSTC: the module on the raw tables.
build_tables() {
    local to=$modules/$1 compiler=("$2" --edition 2021 -O -Dwarnings)
    mkdir -p "$to"
    "${compiler[@]}" --crate-type rlib --crate-name sidegate_abi -o "$to/libsidegate_abi.rlib" "$frozen/rust/abi/lib.rs"
    "${compiler[@]}" --crate-type cdylib --crate-name conform --extern sidegate_abi="$to/libsidegate_abi.rlib" \
        -o "$to/libconform.so" "$frozen/rust/conform/lib.rs"
    "${compiler[@]}" --crate-type cdylib --crate-name leaves --extern sidegate_abi="$to/libsidegate_abi.rlib" \
        -o "$to/libleaves.so" tests/modules/leaves.rs
}

# build_sdk NAME RUSTC: modules on the SDK, or says why not.
build_sdk() {
    local to=$modules/$1 built=$target/sdk-$1 have needs
    have=$("$2" -vV | sed -n 's/^release: //p')
    needs=$(sed -n 's/^rust-version = "\(.*\)"/\1/p' ffi-api/sdk/Cargo.toml)
    if [ "$(printf '%s\n' "$needs" "$have" | sort -V | head -1)" != "$needs" ]; then
        echo "not built: modules on the SDK by rustc $have: the SDK needs $needs"
        return
    fi
    # Cargo itself and not rustup's, which would tell the SDK that its toolchain is the compiler.
    RUSTC=$2 CARGO_TARGET_DIR=$built env -u RUSTUP_TOOLCHAIN "$cargo" build --quiet --release -p conform -p auth
    mkdir -p "$to"
    cp "$built"/release/libconform.so "$built"/release/libauth.so "$to/"
}

install_command g++ g++
install_command clang clang
unpack rustc
unpack rustc-web
rm -rf "$modules"
build_c gcc gcc -std=gnu11
build_c clang clang -std=gnu11
build_c g++ g++ -x c++ -std=c++17 -fno-gnu-unique
build_c clang++ clang++ -x c++ -std=c++17
build_cpp hpp-g++ g++ -fno-gnu-unique
build_cpp hpp-clang++ clang++
pinned=$(rustup which rustc 2>/dev/null || command -v rustc)
cargo=$(rustup which cargo 2>/dev/null || command -v cargo)
build_tables tables-debian "$target/debian/rustc/rustc"
build_tables tables-debian-web "$target/debian/rustc-web/rustc"
build_tables tables-pinned "$pinned"
build_sdk sdk-debian "$target/debian/rustc/rustc"
build_sdk sdk-debian-web "$target/debian/rustc-web/rustc"
build_sdk sdk-pinned "$pinned"

for file in "$modules"/*/lib{guard,conform}.so; do
    [ -e "$file" ] || continue
    # Every file names gcc, whose start files it has; another name is the compiler's.
    named=$(readelf -p .comment "$file")
    compiler=$(grep -oE '(rustc|clang) version [0-9.]+' <<<"$named" || grep -oE -m1 'GCC: .*' <<<"$named")
    printf '%-18s %s\n' "$(basename "$(dirname "$file")")" "$compiler"
done
# The templates of new-filter for languages whose compilers not everybody has.
command -v go >/dev/null || { echo "Go 1.21 or newer has to be installed" >&2; exit 1; }
if [ -z "${ZIG:-}" ] && ! command -v zig >/dev/null; then
    install_command python3 python3
    python=$target/zig/bin/python
    if ! "$python" -m ziglang version >/dev/null 2>&1; then
        echo "fetching ziglang"
        python3 -m venv "$target/zig"
        "$python" -m pip install --quiet 'ziglang==0.15.*'
    fi
    export ZIG="$python -m ziglang"
fi
SIDEGATE_TEST_COMPILERS=all cargo test --quiet -p sidegate-e2e --test e2e -- new_filter::
# Those of each compiler leave the process.
SIDEGATE_COMPILED=$modules cargo test --quiet -p sidegate-generic-filter --test unload -- --ignored of_every_compiler
SIDEGATE_COMPILED=$modules cargo test --quiet -p sidegate-e2e --test e2e -- --ignored modules::compilers
