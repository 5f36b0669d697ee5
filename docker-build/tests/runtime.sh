# The runtime image as a user extends and runs it: Dockerfile.module, read-only, no
# root, no capability, no shell; real requests, health, a plugin, a drain.

# Made for MOSN, a program takes parent 1 for one that is gone.
like_mosn() {
    cat >"$work/like-mosn.c" <<'C'
#include <stdio.h>
#include <unistd.h>
int main(int count, char **words) {
    (void)count;
    if (getppid() == 1) { fputs("[ERROR] the parent is 1, so it is gone\n", stderr); return 3; }
    execv(words[1], words + 1);
    return 4;
}
C
    cc -static -O1 -o "$work/out/like-mosn" "$work/like-mosn.c"
    if [ -z "$plugin" ]; then
        (cd "$source" && cargo build --quiet --locked -p sidegate-test-plugin)
        plugin=$(realpath -m "${CARGO_TARGET_DIR:-$source/target}")/debug/sidegate-test-plugin
    fi
    install -m 755 "$plugin" "$work/out/test-plugin"
}
configuration() {
    cat >"$work/config.yaml" <<YAML
modules: { directories: [/usr/lib/sidegate/modules], require_signature: true, trusted_keys: ["$(tail -1 "$work/key.pub")"] }
servers:
  - graceful_timeout: 20s
    routers:
      - router_config_name: main
        virtual_hosts: [{ domains: ["*"], routers: [{ match: { prefix: / }, route: { cluster_name: origin } }] }]
    listeners:
      - name: ingress
        address: 127.0.0.1:$1
        filter_chains: [{ filters: [{ type: proxy, config: { router_config_name: main } }] }]
        stream_filters:
          - { type: loadso, so_config: { module: auth }, config: { User: admin } }
          - { type: loadso, so_config: { module: auth_c }, config: { User: admin } }
          - type: plugin
            config: { name: test, command: /usr/lib/sidegate/modules/like-mosn, args: [/usr/lib/sidegate/modules/test-plugin], timeout: 10s, start_timeout: 60s }
cluster_manager: { clusters: [{ name: origin, hosts: [{ address: "127.0.0.1:$2" }] }] }
admin: { address: { socket_address: { address: 127.0.0.1, port_value: $3 } } }
YAML
    chmod 644 "$work/config.yaml"
}
module_image() {
    mkdir -p "$work/image"
    cp -r "$work/out" "$work/config.yaml" "$work/image/"
    chmod -R a+rX "$work/image"
    claim "four lines" [ "$(wc -l <"$here/Dockerfile.module")" = 4 ]
    DOCKER_BUILDKIT=1 docker build --build-arg SIDEGATE=sidegate -t shop-proxy -f "$here/Dockerfile.module" "$work/image"
}
# Answers with what was asked; at /slow after three seconds.
origin() {
    cat >"$work/origin.py" <<'PYTHON'
import http.server, json, sys, time
class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_GET(self):
        if self.path == "/slow":
            print("slow", flush=True)
            time.sleep(3)
        body = json.dumps({"path": self.path, "headers": {k.lower(): v for k, v in self.headers.items()}}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
PYTHON
    setsid python3 "$work/origin.py" "$1" >"$work/origin.log" 2>&1 &
    echo $! >"$work/origin.pid"
    until_true 20 answers 200 "http://127.0.0.1:$1/"
}
start_proxy() {
    docker run -d --name proxy --network host --read-only --cap-drop ALL --security-opt no-new-privileges \
        --tmpfs /run/sidegate:uid=65532,gid=65532 shop-proxy >/dev/null
    until_true 90 docker exec proxy /usr/bin/sidegate health -c /etc/sidegate/config.yaml || { docker logs proxy && exit 1; }
    pid=$(field '{{.State.Pid}}' proxy)
    claim "uid 65532" grep -q "^Uid:	65532	65532	65532	65532" "/proc/$pid/status"
    claim "no capabilities" grep -q "^CapEff:	0000000000000000" "/proc/$pid/status"
    claim "none to be had" grep -q "^CapBnd:	0000000000000000" "/proc/$pid/status"
    claim "no new privileges" grep -q "^NoNewPrivs:	1" "/proc/$pid/status"
    claim "a read-only root" awk '$5 == "/" && $6 ~ /(^|,)ro(,|$)/ {found = 1} END {exit !found}' "/proc/$pid/mountinfo"
}
no_shell() {
    for program in sh /bin/sh bash busybox ls apt dpkg; do
        code=0
        docker exec proxy "$program" -c true >/dev/null 2>&1 || code=$?
        claim "no $program" [ "$code" != 0 ]
    done
    docker export proxy | tar -t >"$work/files"
    claim "no shell and no package manager in the image" lacks '(^|/)(sh|bash|dash|busybox|apt|apt-get|dpkg|perl|python3|su|sudo)$' "$work/files"
    echo "- $(grep -cv '/$' "$work/files") files"
}
requests() {
    answers 403 "http://127.0.0.1:$1/"
    answers 200 -H 'User: admin' "http://127.0.0.1:$1/"
    answers 403 -H 'User: guest' "http://127.0.0.1:$1/"
    for request in $(seq 50); do answers 200 -H 'User: admin' "http://127.0.0.1:$1/$request"; done
    echo "- 403 without the header, 200 with it, through auth.so and auth_c.so, both signed"
}
lacks() { ! grep -E "$1" "$2"; }
# Its parent is not number 1 of the container, and number 1 is the init.
under_init() {
    local seen
    seen=$(curl -s -m 30 -H 'User: admin' -H 'X-Do: parent' "http://127.0.0.1:$1/" | python3 -c 'import json, sys; print(json.load(sys.stdin)["headers"]["x-parent"])')
    claim "a parent that is not 1, found $seen" [ "$seen" -gt 1 ]
    docker top proxy -o pid,ppid,args | grep -q '[t]est-plugin'
    answers 403 -H 'User: admin' -H 'X-Do: deny' "http://127.0.0.1:$1/"
    kill -KILL "$(docker top proxy -o pid,args | awk '/[t]est-plugin/ {print $1; exit}')"
    plugin_back() { answers 403 -H 'User: admin' -H 'X-Do: deny' "http://127.0.0.1:$1/"; }
    until_true 30 plugin_back "$1"
    echo "- the plugin's parent is $seen; killed, it was started again"
}
health() {
    until_true 60 is_healthy
    docker exec proxy /usr/bin/sidegate health --live -c /etc/sidegate/config.yaml
    refused "" docker exec proxy /usr/bin/sidegate health --admin 127.0.0.1:1
}
is_healthy() { [ "$(field '{{.State.Health.Status}}' proxy)" = healthy ]; }
drain() {
    curl -s -o /dev/null -m 60 -w '%{http_code}' -H 'User: admin' "http://127.0.0.1:$1/slow" >"$work/slow" &
    slow=$!
    until_true 20 grep -q slow "$work/origin.log"
    docker stop -t 40 proxy >/dev/null
    wait "$slow"
    claim "200 for the request that was under way, found $(cat "$work/slow")" [ "$(cat "$work/slow")" = 200 ]
    claim "exit code 0, found $(field '{{.State.ExitCode}}' proxy)" [ "$(field '{{.State.ExitCode}}' proxy)" = 0 ]
    docker rm proxy >/dev/null
    echo "- the request under way got 200, the container ended with 0"
}
unsigned() {
    mkdir -p "$work/unsigned"
    cp -r "$work/image/." "$work/unsigned/"
    rm "$work/unsigned/out/auth.so.minisig"
    docker build -q --build-arg SIDEGATE=sidegate -t unsigned -f "$here/Dockerfile.module" "$work/unsigned" >/dev/null
    refused "signature" docker run --rm --network none --read-only --cap-drop ALL unsigned check -c /etc/sidegate/config.yaml
}

if [ ! -f "$work/out/auth.so" ]; then
    step 1 "modules of the group \`modules\`" false
    return 0
fi
ingress=$(port) origin_port=$(port) admin=$(port)
step 900 "a program that is like MOSN's" like_mosn
went_well || return 0
configuration "$ingress" "$origin_port" "$admin"
step 120 "Dockerfile.module: two modules, a plugin, a configuration" module_image
went_well || return 0
step 60 "an origin" origin "$origin_port"
went_well || return 0
background+=("$(cat "$work/origin.pid")")
step 120 "read-only, uid 65532, no capability" start_proxy
went_well || return 0
step 60 "no shell, no package manager" no_shell
step 60 "requests" requests "$ingress"
step 90 "a plugin under the init" under_init "$ingress"
step 120 "health by the image itself" health
step 90 "drain, and how it ends" drain "$ingress"
step 60 "a module without a signature is refused" unsigned
