# The engine, the base image and the two images of the project.

wants() { [[ " $only " == *" $1 "* ]]; }

start_engine() {
    mkdir -p "$engine"
    # No bridge of its own and no rules for packets: nothing of this machine's network
    # changes. In a session of its own, so that it outlives this step.
    setsid dockerd --data-root "$engine/data" --exec-root "$engine/exec" -H "unix://$engine/docker.sock" --pidfile "$engine/docker.pid" \
        --storage-driver overlay2 --iptables=false --ip6tables=false --bridge=none --ip-forward=false --ip-masq=false >"$engine/log" 2>&1 &
    until_true 60 docker version || { tail -20 "$engine/log" && exit 1; }
    echo "- $(docker version -f 'engine {{.Server.Version}}, API {{.Server.APIVersion}}')"
}

debian() { # SUITE FOLDER
    # What it mounts is gone with it, however it ends.
    unshare --mount debootstrap --variant=minbase --include=ca-certificates,curl,gcc,g++,libc6-dev,git,python3,python3-pip,binutils,xz-utils "$1" "$2" "$mirror"
    rm -rf "$2"/var/cache/apt/archives/*.deb
}
import_base() { tar -C "$1" -c . | docker import - "$2"; }

wheels_by_pip() {
    mkdir -p "$work/wheels"
    python3 -m pip download --quiet --no-deps --require-hashes -d "$work/wheels" -r "$here/requirements.txt"
}

build_image() {
    "$here/image.sh" build --binary "$binary" --base sidegate-base --toolchain "$toolchain" --wheels "$wheels"
    docker run --rm --entrypoint rustc sidegate-build --version | sed 's/^/- /'
}
runtime_image() {
    "$here/image.sh" runtime --binary "$binary" --base sidegate-base
    echo "- $(($(field '{{.Size}}' sidegate) / 1000000)) MB, user $(field '{{.Config.User}}' sidegate)"
}

# Names of hosts are looked up as on this machine; there is no other network.
export DOCKER_BUILD_OPTIONS=--network=host

step 90 "an engine, by hand" start_engine
went_well || return 0
if [ -z "$base" ]; then
    base=$work/base
    step 1200 "a base by debootstrap" debian bookworm "$base"
    went_well || return 0
fi
step 300 "the base image" import_base "$base" sidegate-base
went_well || return 0
# What the groups that were asked for need.
if wants modules || wants cxx; then
    if [ -z "$wheels" ]; then
        wheels=$work/wheels
        step 300 "wheels of cargo-zigbuild and zig" wheels_by_pip
        went_well || return 0
    fi
    step 900 "Dockerfile: the toolchain" build_image
    went_well || return 0
fi
if wants runtime || wants compose || wants cxx; then
    step 300 "Dockerfile.runtime: the proxy" runtime_image
    went_well || return 0
fi
# A toolchain is large, and so is what is kept of its building.
docker builder prune --force >/dev/null
