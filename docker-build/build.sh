#!/usr/bin/env bash
# Builds a module in the pinned toolchain:
#
#   docker-build/build.sh [OPTION...] PATH_TO_CRATE_OR_C_DIR
#
# gives out/NAME.so, out/NAME.json (what it is and what it was built with) and,
# with a key, out/NAME.so.minisig. The same sources give the same bytes, in
# whatever folder they lie.
#
#   --out DIR             instead of out/
#   --glibc VERSION       the oldest that it has to run on (2.28; RHEL 8, Debian 11)
#   --key FILE            sign with this key (sidegate keygen)
#   --password-file FILE  its password; without one the key has none
#   --offline             reach for no network: dependencies are vendored or there
#   --image IMAGE         the toolchain (sidegate-build)
#   --no-docker           with the toolchain of this machine
#
# DOCKER names the client and its options, DOCKER_OPTIONS more of `docker run`,
# CARGO_CACHE the registry/ folder of a CARGO_HOME whose crates are taken.
# SOURCE_DATE_EPOCH is the time that out/NAME.json and the signature name; by
# default the last commit's. C++ is built by the image's own compiler and
# library: take Dockerfile.cxx for old systems.
set -euo pipefail

fail() {
    echo "build.sh: $1" >&2
    exit "${2:-1}"
}

out=out
glibc=2.28
key=
password=
offline=
image=sidegate-build
docker=yes
source=
while (($#)); do
    case $1 in
    --out) out=${2:?} && shift ;;
    --glibc) glibc=${2:?} && shift ;;
    --key) key=$(realpath "${2:?}") && shift ;;
    --password-file) password=$(realpath "${2:?}") && shift ;;
    --offline) offline=yes ;;
    --image) image=${2:?} && shift ;;
    --no-docker) docker= ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//p}' "$0" && exit 0 ;;
    -*) fail "expected an option of build.sh --help, found $1" 2 ;;
    *) [ -z "$source" ] || fail "expected one folder, found $source and $1" 2; source=$1 ;;
    esac
    shift
done
[ -n "$source" ] || fail "expected the folder of a crate or of C sources; see build.sh --help" 2
[ -d "$source" ] || fail "$source: expected a folder, found none"
source=$(realpath "$source")
mkdir -p "$out"
out=$(realpath "$out")

# The whole repository, as crates depend on their neighbours.
# BUILD_ROOT and BUILD_REVISION are what was found outside of the container.
root=${BUILD_ROOT:-$(git -C "$source" -c safe.directory='*' rev-parse --show-toplevel 2>/dev/null)} || root=$source
if [ -z "${BUILD_REVISION+set}" ]; then
    BUILD_REVISION=$(git -C "$source" -c safe.directory='*' rev-parse HEAD 2>/dev/null) || BUILD_REVISION=
    if [ -n "$BUILD_REVISION" ] && ! git -C "$source" -c safe.directory='*' diff --quiet HEAD -- . 2>/dev/null; then BUILD_REVISION+=-changed; fi
fi
if [ -z "${SOURCE_DATE_EPOCH:-}" ]; then
    SOURCE_DATE_EPOCH=$(git -C "$source" -c safe.directory='*' log -1 --format=%ct 2>/dev/null) || SOURCE_DATE_EPOCH=0
fi
export SOURCE_DATE_EPOCH

if [ -n "$docker" ]; then
    options=(--rm --user "$(id -u):$(id -g)" -e SOURCE_DATE_EPOCH -e "BUILD_ROOT=$root" -e "BUILD_REVISION=$BUILD_REVISION" -v "$root:$root:ro" -v "$out:/out" --tmpfs /tmp:exec,mode=1777)
    inner=(--no-docker --out /out --glibc "$glibc")
    if [ -n "$offline" ]; then options+=(--network none) && inner+=(--offline); fi
    if [ -n "$key" ]; then options+=(-v "$key:/key:ro") && inner+=(--key /key); fi
    if [ -n "$password" ]; then options+=(-v "$password:/password:ro") && inner+=(--password-file /password); fi
    # Crates that an earlier build has fetched.
    if [ -n "${CARGO_CACHE:-}" ]; then options+=(-v "$CARGO_CACHE:/tmp/cargo/registry"); fi
    exec ${DOCKER:-docker} run "${options[@]}" ${DOCKER_OPTIONS:-} "$image" "${inner[@]}" "$source"
fi

sidegate=${SIDEGATE:-sidegate}
for tool in "$sidegate" python3 git; do
    command -v "$tool" >/dev/null || fail "$tool is missing; SIDEGATE names another sidegate"
done
zig=${ZIG:-python3 -m ziglang}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
case $(uname -m) in
x86_64) triple=x86_64-unknown-linux-gnu zig_triple=x86_64-linux-gnu ;;
aarch64) triple=aarch64-unknown-linux-gnu zig_triple=aarch64-linux-gnu ;;
*) fail "expected x86-64 or aarch64, found $(uname -m)" ;;
esac
# Places of this build have the same names in all modules.
maps=("$work=/build" "$root=/source")
language=
if [ -f "$source/Cargo.toml" ]; then
    language=rust
    command -v cargo-zigbuild >/dev/null || fail "cargo-zigbuild is missing: pip install cargo-zigbuild ziglang"
    flags="-C link-arg=-Wl,--build-id=none -C strip=symbols"
    for map in "${maps[@]}" "${CARGO_HOME:-$HOME/.cargo}=/cargo"; do flags+=" --remap-path-prefix=$map"; done
    options=(--release --lib --target "$triple.$glibc" --target-dir "$work/target")
    [ -f "$root/Cargo.lock" ] || [ -f "$source/Cargo.lock" ] || fail "$source: expected a Cargo.lock, by which a build can be repeated; cargo generate-lockfile makes it"
    options+=(--locked)
    [ -z "$offline" ] || options+=(--offline)
    # Its caches are not part of what is built.
    (cd "$source" && RUSTFLAGS="$flags" CARGO_ZIGBUILD_CACHE_DIR="$work/zig" XDG_CACHE_HOME="$work/cache" cargo zigbuild --quiet "${options[@]}")
    built=("$work/target/$triple/release/"lib*.so)
    toolchain="$(rustc --version); cargo-zigbuild $(cargo-zigbuild --version | awk '{print $NF}'); zig $($zig version)"
else
    mapfile -t sources < <(cd "$source" && LC_ALL=C ls ./*.c 2>/dev/null | grep -v -e '_test\.c$' -e '/test\.c$')
    mapfile -t cxx < <(cd "$source" && LC_ALL=C ls ./*.cpp ./*.cc 2>/dev/null | grep -v -e '_test\.c' -e '/test\.c')
    name=$(basename "$source" | tr '-' '_')
    built=("$work/lib$name.so")
    flags=(-O2 -shared -fPIC -s -Wl,--build-id=none "-I${SIDEGATE_INCLUDE:-/usr/local/include}")
    for map in "${maps[@]}"; do flags+=("-ffile-prefix-map=$map"); done
    if ((${#cxx[@]})); then
        language=c++
        compiler=${CXX:-c++}
        (cd "$source" && $compiler -std=c++17 "${flags[@]}" -o "${built[0]}" "${cxx[@]}" "${sources[@]}")
        toolchain=$($compiler --version | head -1)
    elif ((${#sources[@]})); then
        language=c
        (cd "$source" && XDG_CACHE_HOME="$work/cache" ZIG_GLOBAL_CACHE_DIR="$work/zig" ZIG_LOCAL_CACHE_DIR="$work/zig" \
            $zig cc -target "$zig_triple.$glibc" -std=gnu11 "${flags[@]}" -o "${built[0]}" "${sources[@]}")
        toolchain="zig $($zig version) (clang)"
    else
        fail "$source: expected a Cargo.toml, or sources in C or C++, found neither"
    fi
fi
[ -f "${built[0]}" ] || fail "$source: expected a library (crate-type = [\"cdylib\"]), and none was built"
((${#built[@]} == 1)) || fail "$source: expected one library, found ${built[*]}"

# What the proxy will say of it, on a system as old as this one or older.
if ! "$sidegate" inspect --format json "${built[0]}" >"$work/inspection.json"; then
    "$sidegate" inspect "${built[0]}" >&2 || true
    fail "$source: the proxy would refuse what was built"
fi
name=$(basename "${built[0]}" .so)
name=${name#lib}
GLIBC=$glibc LANGUAGE=$language TOOLCHAIN=$toolchain REVISION=$BUILD_REVISION python3 - "$work/inspection.json" "$name" >"$work/$name.json" <<'PYTHON'
import datetime, json, os, sys

found = json.load(open(sys.argv[1]))
bound = tuple(map(int, os.environ["GLIBC"].split(".")))
# What libstdc++ had in the distributions that have such a glibc: RHEL 8, Debian 11,
# RHEL 9, Debian 12. Between them the older one counts.
eras = [((2, 28), (3, 4, 25), (1, 3, 11)), ((2, 31), (3, 4, 28), (1, 3, 12)),
        ((2, 34), (3, 4, 29), (1, 3, 13)), ((2, 36), (3, 4, 30), (1, 3, 13))]
bounds = {"GLIBC": bound}
if bound < (2, 38):
    _, bounds["GLIBCXX"], bounds["CXXABI"] = max([era for era in eras if era[0] <= bound] or eras[:1])

def is_newer(version):
    library, _, number = version.partition("_")
    return library in bounds and number[:1].isdigit() and tuple(map(int, number.split("."))) > bounds[library]

newer = [version for version in found["versions"] if is_newer(version)]
if newer:
    hint = "; for C++ take an image of that age, Dockerfile.cxx" if os.environ["LANGUAGE"] == "c++" else ""
    sys.exit(f"build.sh: expected a module for glibc {os.environ['GLIBC']} or older, "
             f"found one that needs {', '.join(newer)}{hint}")
time = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
record = found["module"]
json.dump({
    "name": sys.argv[2],
    "module": record["name"],
    "version": record["version"],
    "abi": record["abi"],
    "min_host_minor": record["min_host_minor"],
    "sha256": found["sha256"],
    "size": found["size"],
    "needs": found["versions"],
    "toolchain": os.environ["TOOLCHAIN"],
    "source_revision": os.environ["REVISION"] or None,
    "time": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
}, sys.stdout, indent=2)
print()
PYTHON
if [ -n "$key" ]; then
    secret=(--no-password)
    if [ -n "$password" ]; then secret=(--password-file "$password"); fi
    cp "${built[0]}" "$work/$name.so"
    "$sidegate" sign --key "$key" "${secret[@]}" --comment "$name $(date -u -d "@$SOURCE_DATE_EPOCH" +%Y-%m-%dT%H:%M:%SZ)" "$work/$name.so" >&2
    # Renames: whoever watches the folder sees whole files.
    install -m 644 "$work/$name.so.minisig" "$out/.$name.so.minisig" && mv "$out/.$name.so.minisig" "$out/$name.so.minisig"
fi
install -m 644 "$work/$name.json" "$out/.$name.json" && mv "$out/.$name.json" "$out/$name.json"
install -m 755 "${built[0]}" "$out/.$name.so" && mv "$out/.$name.so" "$out/$name.so"
echo "$out/$name.so"
