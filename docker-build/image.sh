#!/usr/bin/env bash
# Makes the images:
#
#   docker-build/image.sh build      sidegate-build, in which build.sh builds modules
#   docker-build/image.sh runtime    sidegate, the proxy alone
#   docker-build/image.sh cxx        sidegate-build-cxx, the same for C++ and glibc 2.28;
#                                    takes the proxy from the runtime image
#
#   --binary FILE      the sidegate that goes in (target/release/sidegate)
#   --base IMAGE       instead of debian:bookworm-slim, or almalinux:8 for C++; by digest if
#                      it is to stay the same
#   --runtime IMAGE    the runtime image (sidegate)
#   --toolchain DIR    a Rust toolchain of this machine instead of a download
#   --wheels DIR       wheels of cargo-zigbuild and ziglang instead of a download
#   --tag NAME
# DOCKER names the client and its options.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
what=${1:-}
case $what in build) tag=sidegate-build ;; runtime) tag=sidegate ;; cxx) tag=sidegate-build-cxx ;; *) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" >&2 && exit 2 ;; esac
shift
binary=$here/../target/release/sidegate
arguments=()
toolchain=
wheels=
while (($#)); do
    case $1 in
    --binary) binary=$2 ;;
    --base) arguments+=(--build-arg "BASE=$2") ;;
    --runtime) arguments+=(--build-arg "SIDEGATE=$2") ;;
    --toolchain) toolchain=$(realpath "$2") ;;
    --wheels) wheels=$(realpath "$2") ;;
    --tag) tag=$2 ;;
    *) echo "image.sh: expected one of its options, found $1" >&2 && exit 2 ;;
    esac
    shift 2
done
[ "$what" = cxx ] || [ -x "$binary" ] || { echo "image.sh: $binary: expected the sidegate binary; make build makes it" >&2; exit 1; }
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
if [ "$what" != cxx ]; then cp "$binary" "$context/sidegate"; fi
if [ "$what" = build ]; then
    file=$here/Dockerfile
    mkdir "$context/wheels" "$context/include"
    cp "$here/build.sh" "$here/requirements.txt" "$context/"
    cp "$here"/../ffi-api/include/*.h* "$context/include/"
    if [ -n "$wheels" ]; then cp "$wheels"/*.whl "$context/wheels/"; fi
    if [ -n "$toolchain" ]; then
        cp -r "$toolchain" "$context/toolchain"
        # For people, not for builds.
        rm -rf "$context/toolchain/share/doc"
        arguments+=(--build-arg TOOLCHAIN=local)
    fi
elif [ "$what" = cxx ]; then
    file=$here/Dockerfile.cxx
    mkdir "$context/include"
    cp "$here/build.sh" "$context/"
    cp "$here"/../ffi-api/include/*.h* "$context/include/"
else
    file=$here/Dockerfile.runtime
fi
# BuildKit passes over the stages that are not asked for.
DOCKER_BUILDKIT=1 ${DOCKER:-docker} build ${DOCKER_BUILD_OPTIONS:-} "${arguments[@]}" -f "$file" -t "$tag" "$context"
