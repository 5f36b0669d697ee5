# Modules by the toolchain image: the same bytes in two folders, without a network.

sources() {
    mkdir -p "$work/one" "$work/two/and/deeper"
    git -C "$source" ls-files -z --cached --others --exclude-standard | tar -C "$source" --null --ignore-failed-read -T - -c >"$work/sources.tar"
    for copy in "$work/one" "$work/two/and/deeper"; do tar -C "$copy" -xf "$work/sources.tar"; done
    rm "$work/sources.tar"
    if [ -z "$vendor" ]; then
        (cd "$work/one" && { cargo vendor --quiet --locked --offline vendor || cargo vendor --quiet --locked vendor; } >/dev/null)
    else
        cp -al "$vendor" "$work/one/vendor" 2>/dev/null || cp -a "$vendor" "$work/one/vendor"
    fi
    cp -al "$work/one/vendor" "$work/two/and/deeper/vendor"
    for copy in "$work/one" "$work/two/and/deeper"; do
        mkdir -p "$copy/.cargo"
        printf '[source.crates-io]\nreplace-with = "vendored"\n[source.vendored]\ndirectory = "vendor"\n' >"$copy/.cargo/config.toml"
        git -C "$copy" init --quiet
        printf '/vendor\n/.cargo\n' >"$copy/.git/info/exclude"
        git -C "$copy" add -A
        git -C "$copy" -c user.name=t -c user.email=t@localhost commit --quiet -m sources
    done
}
one() { "$work/one/docker-build/build.sh" --offline --key "$work/key.key" --out "$work/out" "$work/one/so-examples/$1"; }
other() { "$work/two/and/deeper/docker-build/build.sh" --offline --out "$work/again" "$work/two/and/deeper/so-examples/$1"; }
compare() {
    for module in auth auth_c; do
        cmp "$work/out/$module.so" "$work/again/$module.so"
        diff <(sed /source_revision/d "$work/out/$module.json") <(sed /source_revision/d "$work/again/$module.json")
        newest=$(readelf --version-info "$work/out/$module.so" | grep -o 'GLIBC_[0-9.]*' | sort -uV | tail -1)
        claim "GLIBC_2.28 or older" [ "$(printf '%s\nGLIBC_2.28\n' "$newest" | sort -V | tail -1)" = GLIBC_2.28 ]
        echo "- $(sha256sum <"$work/out/$module.so" | cut -c1-16)... $module, twice; wants $newest"
    done
}
signatures() {
    printf '{"modules": {"require_signature": true, "trusted_keys": ["%s"]}}' "$(tail -1 "$work/key.pub")" >"$work/trust.json"
    for module in auth auth_c; do
        "$binary" inspect -c "$work/trust.json" "$work/out/$module.so" >/dev/null
        refused "" "$binary" inspect -c "$work/trust.json" "$work/again/$module.so"
    done
}

export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git -C "$source" log -1 --format=%ct)}
"$binary" keygen "$work/key" --no-password >/dev/null
step 600 "sources in two folders, dependencies vendored" sources
went_well || return 0
step 1200 "auth, in Rust, signed, without a network" one auth
went_well || return 0
step 300 "auth-c, signed, without a network" one auth-c
went_well || return 0
step 1200 "auth in the other folder" other auth
went_well || return 0
step 300 "auth-c in the other folder" other auth-c
went_well || return 0
step 10 "the same bytes, and no symbol above GLIBC_2.28" compare
step 30 "signatures by the key, and none where none was asked for" signatures
