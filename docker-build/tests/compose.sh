# The Compose file, brought up by docker-compose of Debian in a container of its own.

# Both services are one program: at /stock the shop asks its proxy for the stock.
compose_images() {
    mkdir -p "$work/service" "$work/composer"
    cat >"$work/service/service.py" <<'PYTHON'
import http.server, sys, urllib.request
name = sys.argv[1]
class Service(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if name == "shop" and self.path == "/stock":
            body = b"shop, of " + urllib.request.urlopen("http://127.0.0.1:2047/", timeout=10).read()
        else:
            body = name.encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Service).serve_forever()
PYTHON
    for name in shop stock; do
        printf 'FROM sidegate-base\nCOPY service.py /\nUSER 65533\nCMD ["python3", "/service.py", "%s"]\n' "$name" >"$work/service/Dockerfile"
        docker build -q -t "test-$name" "$work/service" >/dev/null
    done
    printf 'FROM sidegate-base\nRUN apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends docker-compose >/dev/null && apt-get clean\nENTRYPOINT ["docker-compose"]\n' >"$work/composer/Dockerfile"
    docker build --network=host -t test-composer "$work/composer" >/dev/null
}
compose() {
    docker run --rm --network none -v "$engine/docker.sock:/var/run/docker.sock" -v "$here/deploy/compose:$here/deploy/compose:ro" -w "$here/deploy/compose" \
        -e SHOP=test-shop -e STOCK=test-stock -e "SHOP_PORT=$shop_port" test-composer -p sidegatetest "$@"
}
compose_up() {
    compose version --short | sed 's/^/- docker-compose /'
    compose up -d
    docker network ls -q --filter label=com.docker.compose.project=sidegatetest --no-trunc | cut -c1-12 >"$work/networks"
    for proxy in shop-proxy stock-proxy; do
        id=$(compose ps -q "$proxy" | tr -d '\r')
        until_true 60 docker exec "$id" /usr/bin/sidegate health -c /etc/sidegate/config.yaml || { docker logs "$id" && exit 1; }
        claim "$proxy is read-only" [ "$(field '{{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}}' "$id")" = 'true [ALL]' ]
    done
}
compose_requests() {
    answer() { curl -s -m 20 "http://127.0.0.1:$shop_port$1"; }
    came() { [ "$(answer /stock)" = "shop, of stock" ]; }
    until_true 30 came
    claim "shop" [ "$(answer /)" = shop ]
    for _ in $(seq 20); do claim "shop, of stock" came; done
    # What came to stock came through its proxy, and from shop's.
    for proxy in shop-proxy stock-proxy; do
        id=$(compose ps -q "$proxy" | tr -d '\r')
        pid=$(field '{{.State.Pid}}' "$id")
        seen=$(nsenter -t "$pid" -n curl -s -m 10 http://127.0.0.1:34901/metrics | awk '/downstream_request_total/ && !/^#/ {sum += $NF} END {print sum + 0}')
        claim "requests at $proxy, found $seen" [ "$seen" -ge 21 ]
        echo "- $proxy counted $seen requests"
    done
}
compose_down() {
    compose stop
    for proxy in shop-proxy stock-proxy; do
        id=$(docker ps -aq --filter "label=com.docker.compose.service=$proxy")
        claim "$proxy ended with 0, found $(field '{{.State.ExitCode}}' "$id")" [ "$(field '{{.State.ExitCode}}' "$id")" = 0 ]
    done
    compose down
}

shop_port=$(port)
step 600 "two services, and docker-compose" compose_images
went_well || return 0
step 180 "compose up" compose_up
went_well || { docker ps -a; return 0; }
step 120 "requests: shop, its proxy, stock's proxy, stock" compose_requests
step 120 "compose down" compose_down
