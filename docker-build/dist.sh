#!/usr/bin/env bash
# Makes dist/sidegate-VERSION-linux-ARCH.tar.gz and its checksum: the binary, the C
# header, the crates of the SDK, manual, completions, licences and bill of
# materials. Nothing is made unless the licences of all dependencies fit
# (deny.toml). Reaches for the network only where tools are missing.
#   --binary FILE   give out this one instead of building it
#   --out DIR       instead of dist/
# The same sources give the same archive: owners, order and times
# (SOURCE_DATE_EPOCH, by default the last commit's) are fixed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=dist
binary=
while (($#)); do
    case $1 in
    --binary) binary=$(realpath "$2") && shift 2 ;;
    --out) out=$2 && shift 2 ;;
    *) echo "dist.sh: expected --binary FILE or --out DIR, found $1" >&2 && exit 2 ;;
    esac
done
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
PATH=$target/tools/bin:$PATH
for tool in cargo-deny cargo-about cargo-cyclonedx; do
    command -v "$tool" >/dev/null || cargo install --quiet --locked --root "$target/tools" "$tool"
done
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
arch=$(uname -m)
name=sidegate-$version-linux-$arch
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}

echo "licences"
cargo deny --offline --all-features check bans licenses sources
if [ -z "$binary" ]; then
    echo "binary"
    cargo build --release --locked -p sidegate-server
    binary=$target/release/sidegate
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tree=$work/$name
mkdir -p "$tree"/{bin,include,crates,share/man/man1,share/completions}
install -m 755 "$binary" "$tree/bin/sidegate"
install -m 644 ffi-api/include/*.h* "$tree/include/"
install -m 644 LICENSE README.md CHANGELOG.md SECURITY.md "$tree/"
"$binary" man "$tree/share/man/man1"
for shell in bash zsh fish; do "$binary" completions "$shell" >"$tree/share/completions/sidegate.$shell"; done

echo "licences of dependencies"
cargo about generate --offline --fail -c docker-build/about.toml -m server/Cargo.toml docker-build/about.hbs -o "$tree/LICENSES.html"
echo "bill of materials"
bom=sidegate-bom
cargo cyclonedx --quiet --manifest-path server/Cargo.toml --format json --override-filename "$bom" --target "$arch-unknown-linux-gnu"
# Where it was built is nobody's business, and differs between builders.
sed "s|$PWD|/sidegate|g" "server/$bom.json" >"$tree/sidegate.cdx.json"
# One lies beside every member of the workspace.
rm -f "server/$bom.json"
git ls-files -o --exclude-standard -- "*/$bom.json" | xargs -r rm -f

echo "crates"
cargo package --quiet --offline --allow-dirty --no-verify -p sidegate-abi -p sidegate-sdk
for crate in sidegate-abi sidegate-sdk; do
    found=("$target/package/$crate"-*.crate)
    install -m 644 "${found[-1]}" "$tree/crates/"
done

mkdir -p "$out"
(cd "$tree" && find . -type f ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort | xargs sha256sum >SHA256SUMS)
tar --sort=name --owner=0 --group=0 --numeric-owner --mtime="@$SOURCE_DATE_EPOCH" -C "$work" -cf - "$name" | gzip -n9 >"$out/$name.tar.gz"
(cd "$out" && sha256sum "$name.tar.gz" >"$name.tar.gz.sha256")
ls -l "$out/$name.tar.gz"
