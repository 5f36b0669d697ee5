#!/usr/bin/env bash
# What of build.sh can be tested without an engine, in a minute or so: modules of
# Rust and C, twice, in two folders; what is written beside them; refusals.
#   --sidegate FILE   (target/release/sidegate)
#   --tools DIR       where cargo-zigbuild and ziglang are, or are installed from
#                     PyPI by requirements.txt (target/docker-build-tools)
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
source=$(dirname "$here")
target=$(realpath -m "${CARGO_TARGET_DIR:-$source/target}")
sidegate=$target/release/sidegate
tools=$target/docker-build-tools
while (($#)); do
    case $1 in
    --sidegate) sidegate=${2:?} ;;
    --tools) tools=${2:?} ;;
    *) echo "test-quick.sh: expected --sidegate FILE or --tools DIR, found $1" >&2 && exit 2 ;;
    esac
    shift 2
done
[ -x "$sidegate" ] || { echo "test-quick.sh: $sidegate: expected the sidegate binary; make build makes it" >&2; exit 1; }
sidegate=$(realpath "$sidegate")
tools=$(realpath -m "$tools")
. "$here/steps.sh"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

tools() {
    if ! "$tools/bin/cargo-zigbuild" --version || ! "$tools/bin/python3" -m ziglang version; then
        python3 -m venv "$tools"
        "$tools/bin/pip" install --quiet --require-hashes -r "$here/requirements.txt"
    fi
    echo "- zig $("$tools/bin/python3" -m ziglang version), $("$tools/bin/cargo-zigbuild" --version | head -1)"
}
step 300 "zig and cargo-zigbuild" tools
went_well || { finish; exit 1; }
export PATH=$tools/bin:$PATH SIDEGATE=$sidegate SIDEGATE_INCLUDE=$source/ffi-api/include SOURCE_DATE_EPOCH=1700000000
build=("$here/build.sh" --no-docker)

# The sources as they are, without history: once near the root, once deep.
copies() {
    mkdir -p "$work/one" "$work/two/and/deeper"
    git -C "$source" ls-files -z --cached --others --exclude-standard | tar -C "$source" --null --ignore-failed-read -T - -c >"$work/sources.tar"
    for copy in "$work/one" "$work/two/and/deeper"; do tar -C "$copy" -xf "$work/sources.tar"; done
    # A repository only in one of them: the revision is known there alone.
    git -C "$work/one" init --quiet
    git -C "$work/one" add -A
    git -C "$work/one" -c user.name=t -c user.email=t@localhost commit --quiet -m sources
}
step 60 "two copies of the sources" copies
went_well || { finish; exit 1; }
export BUILD_ROOT

signed_rust() {
    "$sidegate" keygen "$work/key" --no-password
    BUILD_ROOT=$work/one "${build[@]}" --out "$work/a" --key "$work/key.key" "$work/one/so-examples/auth"
}
again_rust() { BUILD_ROOT=$work/two/and/deeper "${build[@]}" --out "$work/b" --offline "$work/two/and/deeper/so-examples/auth"; }
both_c() {
    BUILD_ROOT=$work/one "${build[@]}" --out "$work/a" "$work/one/so-examples/auth-c"
    BUILD_ROOT=$work/two/and/deeper "${build[@]}" --out "$work/b" --offline "$work/two/and/deeper/so-examples/auth-c"
}
step 600 "auth, in Rust, signed" signed_rust
step 600 "the same in another folder, without a network" again_rust
step 120 "auth-c, in two folders" both_c

same_bytes() {
    for module in auth auth_c; do
        cmp "$work/a/$module.so" "$work/b/$module.so"
        echo "- $(sha256sum <"$work/a/$module.so" | cut -c1-16)... $module, in both folders"
    done
}
step 5 "the same bytes" same_bytes

glibc() {
    local found
    for module in auth auth_c; do
        found=$(readelf --version-info "$work/a/$module.so" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)
        echo "- $module wants $found or newer"
        claim "GLIBC_2.28 or older" [ "$(printf '%s\nGLIBC_2.28\n' "$found" | sort -V | tail -1)" = GLIBC_2.28 ]
    done
}
step 5 "no symbol above GLIBC_2.28" glibc

records() {
    python3 - "$work/a" "$work/b" <<'PYTHON'
import hashlib, json, re, sys
first, second = sys.argv[1:]
for name, toolchain in [("auth", r"rustc \S+ .*; cargo-zigbuild \S+; zig \S+"), ("auth_c", r"zig \S+ \(clang\)")]:
    record = json.load(open(f"{first}/{name}.json"))
    library = open(f"{first}/{name}.so", "rb").read()
    assert list(record) == ["name", "module", "version", "abi", "min_host_minor", "sha256", "size", "needs", "toolchain",
                            "source_revision", "time"], list(record)
    assert record["name"] == name and record["module"] == name.replace("_", "-"), record
    assert re.fullmatch(r"1\.\d+", record["abi"]) and record["version"], record
    assert record["sha256"] == hashlib.sha256(library).hexdigest() and record["size"] == len(library), record
    assert re.fullmatch(toolchain, record["toolchain"]), record
    assert re.fullmatch(r"[0-9a-f]{40}", record["source_revision"]), record
    assert record["time"] == "2023-11-14T22:13:20Z", record
    other = json.load(open(f"{second}/{name}.json"))
    assert other.pop("source_revision") is None and record.pop("source_revision") and other == record, (other, record)
PYTHON
}
step 10 "NAME.json" records

signature() {
    printf '{"modules": {"require_signature": true, "trusted_keys": ["%s"]}}' "$(tail -1 "$work/key.pub")" >"$work/trust.json"
    printf '{"modules": {"require_signature": true, "trusted_keys": ["%s"]}}' \
        "$("$sidegate" keygen "$work/other" --no-password >&2 && tail -1 "$work/other.pub")" >"$work/others.json"
    "$sidegate" inspect -c "$work/trust.json" "$work/a/auth.so"
    refused "" "$sidegate" inspect -c "$work/others.json" "$work/a/auth.so"
    refused "" "$sidegate" inspect -c "$work/trust.json" "$work/b/auth.so"
    cp "$work/a/auth.so" "$work/changed.so"
    cp "$work/a/auth.so.minisig" "$work/changed.so.minisig"
    printf 'x' | dd of="$work/changed.so" bs=1 seek=4000 conv=notrunc status=none
    refused "" "$sidegate" inspect -c "$work/trust.json" "$work/changed.so"
    claim "the signature names the time of the sources" grep -q 2023-11-14T22:13:20Z "$work/a/auth.so.minisig"
}
step 30 "the signature, and others' keys, no signature, a changed byte" signature

refusals() {
    mkdir -p "$work"/{empty,plain,lost,rlib/src}
    refused "see build.sh --help" "${build[@]}"
    refused "found --fast" "${build[@]}" --fast "$work/empty"
    refused "expected a folder" "${build[@]}" "$work/nowhere"
    refused "found neither" "${build[@]}" --out "$work/none" "$work/empty"
    refused "expected one folder" "${build[@]}" "$work/empty" "$work/plain"
    echo 'int answer(void) { return 42; }' >"$work/plain/plain.c"
    refused "the proxy would refuse" "${build[@]}" --out "$work/none" "$work/plain"
    echo 'int broken(' >"$work/plain/plain.c"
    refused "error:" "${build[@]}" --out "$work/none" "$work/plain"
    printf '[package]\nname = "lost"\nversion = "0.1.0"\nedition = "2024"\n' | tee "$work/lost/Cargo.toml" >"$work/rlib/Cargo.toml"
    refused "Cargo.lock" env BUILD_ROOT="$work/lost" "${build[@]}" --out "$work/none" "$work/lost"
    printf '[workspace]\n' >>"$work/rlib/Cargo.toml"
    : >"$work/rlib/src/lib.rs"
    (cd "$work/rlib" && cargo generate-lockfile --quiet --offline)
    refused "cdylib" env BUILD_ROOT="$work/rlib" "${build[@]}" --offline --out "$work/none" "$work/rlib"
    refused "sign" "${build[@]}" --out "$work/none" --key "$work/key.pub" "$work/one/so-examples/auth-c"
    claim "nothing is left of what was refused" [ -z "$(ls -A "$work/none")" ]
}
step 180 "refusals, which leave nothing behind" refusals

# What the compiler of this machine makes is as new as this machine.
too_new() {
    mkdir "$work/newer"
    cp "$source"/so-examples/auth-cpp/*.cpp "$source"/so-examples/auth-cpp/*.h* "$work/newer/" 2>/dev/null || true
    rm -f "$work"/newer/*test*
    printf '#include <pthread.h>\nextern "C" int newer(void *(*run)(void *)) { pthread_t t; return pthread_create(&t, nullptr, run, nullptr) + pthread_join(t, nullptr); }\n' >"$work/newer/newer.cpp"
    "${build[@]}" --glibc 99.0 --out "$work/newest" "$work/newer"
    newest=$(readelf --version-info "$work/newest/newer.so" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)
    if [ "$(printf '%s\nGLIBC_2.28\n' "$newest" | sort -V | tail -1)" = GLIBC_2.28 ]; then
        echo "- the compiler of this machine is old enough itself"
        exit 0
    fi
    refused "needs $newest" "${build[@]}" --out "$work/none" "$work/newer"
    claim "nothing is left of it" [ -z "$(ls -A "$work/none")" ]
    echo "- $newest refused"
}
if command -v "${CXX:-c++}" >/dev/null; then step 120 "C++ that is too new" too_new; else skip "C++ that is too new" "no c++"; fi
finish
