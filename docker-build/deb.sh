#!/usr/bin/env bash
# Makes dist/sidegate_VERSION_ARCH.deb: the binary, its unit, manual, completions and
# the C header. Needs dpkg-deb.
#   --binary FILE   give out this one instead of target/release/sidegate
#   --out DIR       instead of dist/
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=dist
binary=target/release/sidegate
while (($#)); do
    case $1 in
    --binary) binary=$2 ;;
    --out) out=$2 ;;
    *) echo "deb.sh: expected --binary FILE or --out DIR, found $1" >&2 && exit 2 ;;
    esac
    shift 2
done
[ -x "$binary" ] || { echo "deb.sh: $binary: expected the sidegate binary; make build makes it" >&2; exit 1; }
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -1)
arch=$(dpkg --print-architecture)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
umask 022
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root
install -D -m 755 "$binary" "$root/usr/bin/sidegate"
strip --strip-unneeded "$root/usr/bin/sidegate"
install -D -m 644 docker-build/deploy/sidegate.service "$root/usr/lib/systemd/system/sidegate.service"
install -D -m 644 docker-build/deploy/config.yaml "$root/etc/sidegate/config.yaml"
make -s install-header DESTDIR="$root" PREFIX=/usr
"$binary" man "$root/usr/share/man/man1"
gzip -n9 "$root"/usr/share/man/man1/*.1
for shell in bash:bash-completion/completions/sidegate zsh:zsh/vendor-completions/_sidegate fish:fish/vendor_completions.d/sidegate.fish; do
    mkdir -p "$(dirname "$root/usr/share/${shell#*:}")"
    "$binary" completions "${shell%%:*}" >"$root/usr/share/${shell#*:}"
done
mkdir -p "$root/usr/share/doc/sidegate" "$root/DEBIAN"
printf 'Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\nUpstream-Name: sidegate\n\nFiles: *\nCopyright: The Sidegate authors\nLicense: Apache-2.0\n On Debian systems: /usr/share/common-licenses/Apache-2.0\n' >"$root/usr/share/doc/sidegate/copyright"
printf 'sidegate (%s) unstable; urgency=medium\n\n  * Release %s.\n\n -- The Sidegate authors <sidegate@localhost>  %s\n' \
    "$version" "$version" "$(date -u -R -d "@$SOURCE_DATE_EPOCH")" | gzip -n9 >"$root/usr/share/doc/sidegate/changelog.gz"
# The oldest C library that has all versions that the binary wants.
glibc=$(objdump -T "$root/usr/bin/sidegate" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1 | cut -d_ -f2)
cat >"$root/DEBIAN/control" <<CONTROL
Package: sidegate
Version: $version
Architecture: $arch
Maintainer: The Sidegate authors <sidegate@localhost>
Section: net
Priority: optional
Installed-Size: $(du -sk "$root" | cut -f1)
Depends: libc6 (>= $glibc), libgcc-s1
Recommends: ca-certificates
Description: sidecar proxy that is extended by dropping in a shared library
 Speaks HTTP/1.1, HTTP/2 and TLS, reads MOSN's configuration, and loads,
 replaces and unloads native filters while traffic flows.
CONTROL
echo /etc/sidegate/config.yaml >"$root/DEBIAN/conffiles"
cat >"$root/DEBIAN/postinst" <<'POSTINST'
#!/bin/sh
set -e
if [ "$1" = configure ]; then
    getent group sidegate >/dev/null || groupadd --system sidegate
    getent passwd sidegate >/dev/null ||
        useradd --system --gid sidegate --home-dir /nonexistent --no-create-home --shell /usr/sbin/nologin sidegate
    if [ -d /run/systemd/system ]; then
        systemctl daemon-reload
        # The one that runs drains; it is not started for the first time unasked.
        systemctl try-restart sidegate.service || true
    fi
fi
POSTINST
cat >"$root/DEBIAN/prerm" <<'PRERM'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then systemctl stop sidegate.service || true; fi
PRERM
cat >"$root/DEBIAN/postrm" <<'POSTRM'
#!/bin/sh
set -e
if [ -d /run/systemd/system ]; then systemctl daemon-reload || true; fi
POSTRM
chmod 755 "$root"/DEBIAN/{postinst,prerm,postrm}
mkdir -p "$out"
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group -Zxz --build "$root" "$out/sidegate_${version}_$arch.deb"
