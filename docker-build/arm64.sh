#!/usr/bin/env bash
# Builds the proxy, the demo and all example modules for aarch64 with Debian's cross
# tools, and runs the demo there, under qemu: real requests through real modules,
# load, a reload to another module, an unload; over HTTP/1, HTTP/2 and TLS.
# Nothing is installed on this machine but what debootstrap puts below --work.
#
#   --work DIR       where everything goes and stays (target/arm64), some 6 GB
#   --root DIR       a Debian bookworm that is there, instead of making one
#   --mirror URL     of Debian
#   --registry DIR   crates that cargo has fetched (registry/ of a CARGO_HOME)
#   --release        the release profile; the dev profile is quicker to build
#   --jobs N         (2)
#   --tests          tests of the crates that touch the processor, under qemu
#
# Needs root, debootstrap and unshare. Every step is bounded in time.
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
work=$source/target/arm64
root=
mirror=http://deb.debian.org/debian
registry=
profile=dev
jobs=2
tests=
while (($#)); do
    case $1 in
    --work) work=${2:?} && shift ;;
    --root) root=$(realpath "${2:?}") && shift ;;
    --mirror) mirror=${2:?} && shift ;;
    --registry) registry=$(realpath "${2:?}") && shift ;;
    --release) profile=release ;;
    --jobs) jobs=${2:?} && shift ;;
    --tests) tests=yes ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" && exit 0 ;;
    *) echo "arm64.sh: expected an option of arm64.sh --help, found $1" >&2 && exit 2 ;;
    esac
    shift
done
[ "$(id -u)" = 0 ] || { echo "arm64.sh: needs root, for debootstrap and chroot" >&2; exit 1; }
for tool in debootstrap unshare chroot timeout; do
    command -v "$tool" >/dev/null || { echo "arm64.sh: $tool is missing" >&2; exit 1; }
done
mkdir -p "$work"
work=$(realpath "$work")
root=${root:-$work/root}

step() {
    local limit=$1 name=$2 start=$SECONDS
    shift 2
    echo "== $name"
    if nice -n 19 timeout -k 10 "$limit" "$@"; then
        echo "ok      $name ($((SECONDS - start)) s)"
    else
        echo "FAILED  $name (code $?, $((SECONDS - start)) s)"
        exit 1
    fi
}

if [ ! -x "$root/usr/bin/apt-get" ]; then
    step 1200 "a Debian bookworm" unshare --mount debootstrap --variant=minbase --include=ca-certificates bookworm "$root" "$mirror"
fi
# A copy, with the times of its files: what is edited meanwhile is another build.
copy_sources() {
    rm -rf "$work/source"
    mkdir -p "$work/build" "$work/source"
    git -C "$source" -c safe.directory='*' ls-files -z --cached --others --exclude-standard |
        tar -C "$source" --null --ignore-failed-read -T - -c | tar -C "$work/source" -xp
}
export -f copy_sources
export work source
step 120 "a copy of the sources" bash -euo pipefail -c copy_sources

# Mounts of this are gone when it ends. Its first process is a shell: the proxy is
# no init here.
inside() {
    unshare --mount --pid --fork --kill-child bash -euc '
        root=$1 source=$2 build=$3 registry=$4
        shift 4
        mount --make-rprivate /
        mkdir -p "$root"/{proc,dev,source,build,build/cargo/registry}
        mount -t proc proc "$root/proc"
        mount --rbind /dev "$root/dev"
        mount --bind "$source" "$root/source"
        mount -o remount,bind,ro "$root/source"
        mount --bind "$build" "$root/build"
        mkdir -p "$build/cargo/registry"
        if [ -n "$registry" ]; then mount --bind "$registry" "$root/build/cargo/registry"; fi
        cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2>/dev/null || true
        if [ -f /etc/ssl/certs/ca-certificates.crt ]; then cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"; fi
        chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/build LC_ALL=C.UTF-8 "$@"
    ' inside "$root" "$work/source" "$work/build" "$registry" "$@"
}
export -f inside
export root registry
in_root() { step "$1" "$2" bash -euc 'inside "$@"' in_root "${@:3}"; }

# Of Rust, Debian has by this name what its browsers are built with; its standard
# library for arm64 is installed beside that of this processor.
in_root 1500 "cross tools" MIRROR="$mirror" bash -euc '
    want="rustc-web cargo-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu g++-aarch64-linux-gnu gcc libc6-dev make cmake perl git qemu-user-static binutils-aarch64-linux-gnu"
    if ! dpkg -s $want >/dev/null 2>&1; then
        dpkg --add-architecture arm64
        printf "deb %s %s main\n" "$MIRROR" bookworm "$MIRROR" bookworm-updates "$MIRROR-security" bookworm-security >/etc/apt/sources.list
        apt-get -qq update
        DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $want >/build/apt.log 2>&1 || { tail -20 /build/apt.log; exit 1; }
        apt-get clean
    fi
    rustc --version
    aarch64-linux-gnu-gcc --version | head -1
    qemu-aarch64-static --version | head -1'

folder=debug
[ "$profile" = dev ] || folder=release
out=/build/target/aarch64-unknown-linux-gnu/$folder
tools=(CARGO_HOME=/build/cargo CARGO_TARGET_DIR=/build/target CARGO_INCREMENTAL=0 CARGO_PROFILE_DEV_DEBUG=0
    CARGO_BUILD_TARGET=aarch64-unknown-linux-gnu CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc
    "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER=qemu-aarch64-static -L /usr/aarch64-linux-gnu"
    CC_aarch64_unknown_linux_gnu=aarch64-linux-gnu-gcc CXX_aarch64_unknown_linux_gnu=aarch64-linux-gnu-g++)
in_root 1200 "dependencies" "${tools[@]}" bash -euc '
    cd /source
    cargo fetch --quiet --locked --offline --target aarch64-unknown-linux-gnu --target x86_64-unknown-linux-gnu 2>/dev/null ||
        cargo fetch --quiet --locked --target aarch64-unknown-linux-gnu --target x86_64-unknown-linux-gnu'
packages=(-p sidegate-server -p sidegate-demo)
for manifest in "$source"/so-examples/*/Cargo.toml; do packages+=(-p "$(sed -n 's/^name = "\(.*\)"$/\1/p' "$manifest" | head -1)"); done
in_root 5400 "proxy, demo and modules in Rust" "${tools[@]}" bash -euc '
    cd /source
    cargo build --quiet --locked --offline --profile "$1" --jobs "$2" "${@:3}"' build "$profile" "$jobs" "${packages[@]}"
in_root 300 "modules in C and C++" bash -euc '
    cd /source
    make --no-print-directory modules RELEASE="$1" CC=aarch64-linux-gnu-gcc CXX=aarch64-linux-gnu-g++' modules "$out"

# The proxy as a program of this processor, as the demo, itself under qemu, starts it.
in_root 120 "modules as the proxy sees them" bash -euc '
    out=$1
    printf "#!/bin/sh\nexec qemu-aarch64-static -L /usr/aarch64-linux-gnu %s/sidegate \"\$@\"\n" "$out" >/build/sidegate
    chmod 755 /build/sidegate
    for module in "$out"/lib*.so; do
        aarch64-linux-gnu-readelf -h "$module" | grep -q AArch64
        /build/sidegate inspect --format json "$module" >/build/inspection.json
        printf "%s: %s\n" "${module##*/}" "$(tr -d "\n" </build/inspection.json | grep -o "\"abi\": *\"[^\"]*\"" | head -1)"
    done' inspect "$out"
for options in "" --http2 --tls; do
    in_root 300 "the demo${options:+ $options}" SIDEGATE_TEST_PATIENCE=120 bash -euc '
        out=$1
        shift
        ip link set lo up 2>/dev/null || true
        qemu-aarch64-static -L /usr/aarch64-linux-gnu "$out/sidegate-demo" --check --bin /build/sidegate \
            --module "$out/libauth.so" --next "$out/libauth_c.so" --port 20461 "$@"' demo "$out" ${options:+"$options"}
done
if [ -n "$tests" ]; then
    in_root 5400 "tests that touch the processor" "${tools[@]}" bash -euc '
        cd /source
        cargo test --quiet --locked --offline --profile "$1" --jobs "$2" -p sidegate-abi -p sidegate-sdk -p sidegate-watch -p sidegate-memory -p sidegate-trust -p sidegate-generic-filter --lib' tests "$profile" "$jobs"
fi
echo "all of it passed"
