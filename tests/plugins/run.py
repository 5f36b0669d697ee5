#!/usr/bin/env python3
"""Foreign plugins behind the real process; see README.md."""

import argparse
import contextlib
import http.client
import http.server
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
PATIENCE = 60


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sidegate", required=True, help="the binary")
    options.add_argument("--work", required=True, help="a folder for what is built and installed")
    options.add_argument("--only", help="plugins whose name has this word")
    options = options.parse_args()
    work = Path(options.work).resolve()
    work.mkdir(parents=True, exist_ok=True)
    passed, failed = 0, 0
    for name, prepare in PLUGINS.items():
        if options.only and options.only not in name:
            continue
        command = prepare(work)
        for check in CHECKS:
            try:
                with Proxy(Path(options.sidegate).resolve(), command) as proxy:
                    check(proxy, name)
                passed += 1
                print(f"ok      {name}: {check.__doc__}", flush=True)
            except (AssertionError, OSError, http.client.HTTPException) as error:
                failed += 1
                print(f"FAILED  {name}: {check.__doc__}: {error!r}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


def python(work):
    """grpcio, messages from the .proto file."""
    venv = work / "python"
    if not (venv / "bin/python").exists():
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    wanted = ["grpcio==1.85.3", "grpcio-tools==1.85.1"]
    subprocess.run([venv / "bin/pip", "install", "--quiet", "--disable-pip-version-check", *wanted], check=True)
    return [str(venv / "bin/python"), str(HERE / "python/auth.py")]


def go(modfile):
    """hashicorp/go-plugin of the release that a module file names."""

    def build(work):
        program = work / f"go-{modfile}"
        subprocess.run(["go", "build", f"-modfile={modfile}", "-o", program, "."], cwd=HERE / "go", check=True)
        return [str(program)]

    return build


PLUGINS = {"Python, plain gRPC": python, "Go, go-plugin 1.8": go("go.mod"), "Go, go-plugin 1.0.1": go("mosn.mod")}


class Origin(http.server.BaseHTTPRequestHandler):
    """Says what it saw."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.tell(b"")

    def do_POST(self):
        self.tell(self.rfile.read(int(self.headers["Content-Length"])))

    def tell(self, body):
        told = json.dumps({"headers": {k.lower(): v for k, v in self.headers.items()}, "body": body.decode()}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_):
        pass


class Proxy:
    """The process with one plugin, an origin behind it."""

    def __init__(self, binary, command):
        self.binary, self.command = binary, command
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="sidegate-plugins-")))
        origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
        self.stack.callback(origin.shutdown)
        threading.Thread(target=origin.serve_forever, daemon=True).start()
        (self.folder / "expected.json").write_text('{"User": "admin"}')
        self.origin = origin.server_port
        self.write({})
        self.log = self.stack.enter_context(open(self.folder / "log", "wb"))
        ready = self.folder / "ready.json"
        self.process = subprocess.Popen(
            [self.binary, "run", "-c", self.folder / "config.json", "--workers", "2", "--ready-file", ready],
            stdout=self.log, stderr=self.log)
        self.stack.callback(self.end)
        told = until("the process", lambda: ready.exists() and json.loads(ready.read_text()))
        self.port = int(told["listeners"]["main"].rsplit(":", 1)[1])
        self.admin = int(told["admin"].rsplit(":", 1)[1])
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.log.flush()
            print((self.folder / "log").read_text(errors="replace"), file=sys.stderr)
        self.stack.close()

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)

    def write(self, more):
        command, *arguments = self.command
        plugin = {"command": command, "args": [*arguments, "-c", str(self.folder / "expected.json")], "name": "auth",
                  "timeout": "30s", "send_body": True, "restart_backoff": "0s", **more}
        config = {
            "servers": [{
                "default_log_path": "stdout",
                "routers": [{"router_config_name": "r", "virtual_hosts": [{
                    "domains": ["*"], "routers": [{"match": {"prefix": "/"}, "route": {"cluster_name": "o"}}]}]}],
                "listeners": [{
                    "name": "main", "address": "127.0.0.1:0", "bind_port": True,
                    "filter_chains": [{"filters": [{"type": "proxy", "config": {
                        "downstream_protocol": "Http1", "router_config_name": "r"}}]}],
                    "stream_filters": [{"type": "plugin", "config": plugin}],
                }],
            }],
            "cluster_manager": {"clusters": [{"name": "o", "hosts": [{"address": f"127.0.0.1:{self.origin}"}]}]},
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        }
        (self.folder / "config.json").write_text(json.dumps(config))

    def ask(self, method="GET", headers=None, body=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        connection.request(method, "/", body, headers or {})
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        return answer.status, json.loads(text) if answer.status == 200 else None

    def order(self, method, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=PATIENCE)
        connection.request(method, path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()

    def status(self):
        return json.loads(self.order("GET", "/api/v1/plugins")[1])["plugins"][0]

    def logged(self, text):
        until(f"{text!r} in the log", lambda: text in (self.folder / "log").read_text(errors="replace"))


def until(what, condition):
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if value := condition():
            return value
        time.sleep(0.02)
    raise AssertionError(f"waited in vain for {what}")


def is_alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] not in "ZX"
    except OSError:
        return False


def same(found, expected):
    if found != expected:
        raise AssertionError(f"found {found!r}, expected {expected!r}")


def decides(proxy, name):
    """it lets pass and refuses"""
    for _ in range(20):
        same(proxy.ask()[0], 403)
        same(proxy.ask(headers={"User": "guest"})[0], 403)
        same(proxy.ask(headers={"User": "admin"})[0], 200)


def edits(proxy, name):
    """it changes fields and body"""
    status, seen = proxy.ask("POST", {"User": "admin", "X-Secret": "word"}, b"shout")
    same((status, seen["body"], seen["headers"].get("x-secret")), (200, "SHOUT", None))
    same(seen["headers"]["x-checked-by"], name.split(",")[0].lower())
    same(seen["headers"]["content-length"], "5")


def large(proxy, name):
    """it is shown bodies of a megabyte"""
    status, seen = proxy.ask("POST", {"User": "admin"}, b"a" * (1 << 20))
    same((status, len(seen["body"]), seen["body"][:3]), (200, 1 << 20, "AAA"))


def speaks(proxy, name):
    """what it prints and logs is in the log"""
    same(proxy.ask(headers={"User": "admin", "X-Print": "1"})[0], 200)
    proxy.logged("python plugin is up" if name.startswith("Python") else "logged by the plugin")


def returns(proxy, name):
    """killed, it is there again"""
    before = proxy.status()["pid"]
    os.kill(before, signal.SIGKILL)
    until("another process", lambda: proxy.status()["pid"] not in (before, None))
    same(proxy.ask(headers={"User": "admin"})[0], 200)


def stays(proxy, name):
    """a reload that leaves it as it is does not start it again"""
    before = proxy.status()["pid"]
    proxy.write({"timeout": "29s"})
    same(proxy.order("POST", "/api/v1/config/reload")[0], 200)
    same(proxy.status()["pid"], before)


def switched(proxy, name):
    """it is disabled and enabled"""
    pid = proxy.status()["pid"]
    same(proxy.order("GET", "/api/v1/plugin?disable=auth"), (200, "disable auth success\n"))
    until("its end", lambda: not is_alive(pid))
    same(proxy.ask(headers={"User": "admin"})[0], 500)
    same(proxy.order("GET", "/api/v1/plugin?enable=auth"), (200, "enable auth success\n"))
    until("its return", lambda: proxy.status()["state"] == "up")
    same(proxy.ask(headers={"User": "admin"})[0], 200)


def ends(proxy, name):
    """it ends with the process, by its own means"""
    pid = proxy.status()["pid"]
    proxy.process.terminate()
    same(proxy.process.wait(PATIENCE), 0)
    same(is_alive(pid), False)
    proxy.logged("plugin was stopped")


def dies(proxy, name):
    """it does not outlive a process that is killed"""
    pid = proxy.status()["pid"]
    proxy.process.kill()
    proxy.process.wait(PATIENCE)
    until("its end", lambda: not is_alive(pid))


CHECKS = [decides, edits, large, speaks, returns, stays, switched, ends, dies]

if __name__ == "__main__":
    sys.exit(main())
