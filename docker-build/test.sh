#!/usr/bin/env bash
# Tests the real Dockerfiles where no registry is in reach: an engine started by
# hand, a base image by debootstrap, the toolchain of this machine. Nothing is
# installed on this machine. Needs root, dockerd (Debian's docker.io), debootstrap,
# curl, cargo and a C compiler.
#
#   --binary FILE      the sidegate that is tested (target/release/sidegate)
#   --plugin FILE      sidegate-test-plugin (built in the dev profile if it is not given)
#   --base DIR         a Debian bookworm that is there, instead of making one
#   --old-base DIR     a Debian bullseye, the same
#   --mirror URL       of Debian
#   --toolchain DIR    Rust (what rustc --print sysroot says)
#   --wheels DIR       cargo-zigbuild and ziglang instead of fetching them from PyPI
#   --vendor DIR       crates as `cargo vendor` lays them, instead of that
#   --kubernetes DIR   a virtual environment with kubernetes-validate
#   --work DIR         where all goes (a temporary folder of /var/tmp), some 5 GB
#   --keep             leave it there
#   --only WORDS       steps whose group is named: modules cxx runtime compose kubernetes systemd
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=$(dirname "$here")
binary=$source/target/release/sidegate
plugin= base= old_base= toolchain= wheels= vendor= kubernetes= work= keep=
mirror=http://deb.debian.org/debian
only="modules cxx runtime compose kubernetes systemd"
while (($#)); do
    case $1 in
    --binary) binary=${2:?} && shift ;;
    --plugin) plugin=$(realpath "${2:?}") && shift ;;
    --base) base=$(realpath "${2:?}") && shift ;;
    --old-base) old_base=$(realpath "${2:?}") && shift ;;
    --mirror) mirror=${2:?} && shift ;;
    --toolchain) toolchain=$(realpath "${2:?}") && shift ;;
    --wheels) wheels=$(realpath "${2:?}") && shift ;;
    --vendor) vendor=$(realpath "${2:?}") && shift ;;
    --kubernetes) kubernetes=$(realpath "${2:?}") && shift ;;
    --work) work=${2:?} && shift ;;
    --keep) keep=yes ;;
    --only) only=${2:?} && shift ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" && exit 0 ;;
    *) echo "test.sh: expected an option of test.sh --help, found $1" >&2 && exit 2 ;;
    esac
    shift
done
[ -x "$binary" ] || { echo "test.sh: $binary: expected the sidegate binary; make build makes it" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "test.sh: needs root, for the engine and debootstrap" >&2; exit 1; }
for tool in dockerd debootstrap curl cargo cc python3; do
    command -v "$tool" >/dev/null || [ -x "/usr/sbin/$tool" ] || { echo "test.sh: $tool is missing" >&2; exit 1; }
done
binary=$(realpath "$binary")
toolchain=${toolchain:-$(rustc --print sysroot)}
work=${work:-$(mktemp -d /var/tmp/sidegate-docker.XXXXXX)}
mkdir -p "$work"
work=$(realpath "$work")
. "$here/steps.sh"

client=/usr/bin/docker
[ -x "$client" ] || client=docker
engine=$work/engine
export DOCKER="$client -H unix://$engine/docker.sock"
docker() { $DOCKER "$@"; }
background=()
end() {
    local pid
    for pid in "${background[@]}"; do kill "$pid" 2>/dev/null || true; done
    if [ -f "$engine/docker.pid" ]; then
        docker ps -q | xargs -r $DOCKER kill >/dev/null 2>&1 || true
        pid=$(cat "$engine/docker.pid")
        kill "$pid" 2>/dev/null || true
        for _ in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.2; done
        kill -KILL "$pid" 2>/dev/null || true
    fi
    # Namespaces and layers stay mounted without their engine; deepest first.
    awk -v dir="$work/" 'index($2, dir) == 1 {print $2}' /proc/mounts | sort -r | xargs -r -n1 umount -l 2>/dev/null || true
    for pid in $(ip -o link show type bridge 2>/dev/null | grep -o 'br-[0-9a-f]\{12\}' | sort -u); do
        grep -qx "${pid#br-}" "$work/networks" 2>/dev/null && ip link del "$pid" 2>/dev/null || true
    done
    if [ -z "$keep" ]; then rm -rf --one-file-system "$work"; fi
    rm -f "$steps_log"
}
trap end EXIT

port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
until_true() { # SECONDS COMMAND...
    local limit=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        ((SECONDS < limit)) || { echo "waited in vain for: $*" && return 1; }
        sleep 0.2
    done
}
code() { curl -s -o /dev/null -m 30 -w '%{http_code}' "$@"; }
answers() { # CODE CURL-ARGUMENTS...
    local wanted=$1 seen
    shift
    seen=$(code "$@") || true
    [ "$seen" = "$wanted" ] || { echo "expected $wanted, found $seen: $*" && return 1; }
}
field() { docker inspect -f "$1" "$2"; }

for group in engine $only; do
    # shellcheck source=/dev/null
    [ -f "$here/tests/$group.sh" ] || { echo "test.sh: no such group: $group" >&2; exit 2; }
    . "$here/tests/$group.sh"
    [ "$group" != engine ] || ((steps_failed == 0)) || { finish; exit 1; }
done
finish
