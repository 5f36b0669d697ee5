# Dockerfile.cxx. Its own base, almalinux:8, is in a registry; here a Debian that is
# as old as can be had stands in for it.

cxx_image() {
    "$here/image.sh" cxx --base sidegate-old-base --runtime sidegate
    docker run --rm --entrypoint /bin/sh sidegate-build-cxx -c 'echo "- $(ldd --version | head -1); $(c++ --version | head -1); $(sidegate --version)"'
}
cxx_module() {
    for run in cxx cxx-again; do
        "$here/build.sh" --offline --image sidegate-build-cxx --key "$work/key.key" --out "$work/$run" "$source/so-examples/auth-cpp"
    done
    cmp "$work/cxx/auth_cpp.so" "$work/cxx-again/auth_cpp.so"
    readelf --version-info "$work/cxx/auth_cpp.so" | grep -o 'GLIBC[X_][0-9A-Z._]*' | sort -uV | awk -F_ '{last[$1] = $0} END {for (l in last) print "- wants " last[l]}'
}
cxx_refused() {
    refused "Dockerfile.cxx" "$here/build.sh" --offline --out "$work/cxx-new" "$work/newer"
    claim "nothing is left of it" [ -z "$(ls -A "$work/cxx-new")" ]
}

if [ -z "$old_base" ]; then
    old_base=$work/old-base
    step 1200 "Debian 11 by debootstrap" debian bullseye "$old_base"
    went_well || return 0
fi
[ -f "$work/key.key" ] || "$binary" keygen "$work/key" --no-password >/dev/null
step 300 "its image" import_base "$old_base" sidegate-old-base
went_well || return 0
step 600 "Dockerfile.cxx" cxx_image
went_well || return 0
step 300 "auth-cpp in it, twice the same bytes, for glibc 2.28" cxx_module
mkdir -p "$work/newer"
cp "$source"/so-examples/auth-cpp/*.cpp "$work/newer/"
rm -f "$work"/newer/*_test.cpp
printf '#include <pthread.h>\nextern "C" int newer(void *(*run)(void *)) { pthread_t t; return pthread_create(&t, nullptr, run, nullptr) + pthread_join(t, nullptr); }\n' >"$work/newer/newer.cpp"
step 300 "C++ by the newer image is refused for glibc 2.28" cxx_refused
