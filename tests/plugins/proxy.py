"""The real process with one plugin before an origin, and questions to both."""

import contextlib
import http.client
import http.server
import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

# Seconds: far more than anything takes.
PATIENCE = 60


class Origin(http.server.BaseHTTPRequestHandler):
    """Says what it saw."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        self.tell(b"")

    def do_POST(self):
        self.tell(self.rfile.read(int(self.headers["Content-Length"])))

    def tell(self, body):
        fields = {name.lower(): value for name, value in self.headers.items()}
        told = json.dumps({"headers": fields, "body": body.decode("latin-1")}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(told)))
        self.end_headers()
        self.wfile.write(told)

    def log_message(self, *_):
        pass


class Proxy:
    """`plugin` is what starts it or where it listens; `expected` is the file that its argument `-c` names.

    With `loader`, a command, TLS is served with what that brings, and nothing else is a plugin; with `log_sink`, a
    command, access logs go to that, as text and as JSON, and nothing else is one.
    """

    def __init__(self, binary, command=None, expected=None, loader=None, log_sink=None, **plugin):
        self.binary, self.command, self.expected, self.plugin = binary, command, expected, plugin
        self.loader, self.log_sink = loader, log_sink
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="sidegate-plugins-")))
        self.temporary = self.folder / "tmp"
        self.temporary.mkdir()
        origin = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Origin)
        origin.daemon_threads = True
        self.stack.callback(origin.server_close)
        self.stack.callback(origin.shutdown)
        threading.Thread(target=origin.serve_forever, daemon=True).start()
        (self.folder / "expected.json").write_text(json.dumps(self.expected or {}))
        self.origin = origin.server_port
        self.write()
        self.log = self.stack.enter_context(open(self.folder / "log", "wb"))
        ready = self.folder / "ready.json"
        self.process = subprocess.Popen(
            [self.binary, "run", "-c", self.folder / "config.json", "--workers", "2", "--ready-file", ready],
            stdout=self.log, stderr=self.log)
        self.stack.callback(self.end)
        try:
            until("the process", lambda: ready.exists() or self.process.poll() is not None)
            same(self.process.poll(), None)
            told = json.loads(ready.read_text())
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        self.port = int(told["listeners"]["main"].rsplit(":", 1)[1])
        self.admin = int(told["admin"].rsplit(":", 1)[1])
        return self

    def __exit__(self, kind, *_):
        if kind:
            self.log.flush()
            print(self.logs(), file=sys.stderr)
        self.stack.close()

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(PATIENCE)

    def write(self, **more):
        """The configuration; `more` is settings of the plugin."""
        plugin = {"name": "auth", "timeout": "50s", "send_body": True, **self.plugin, **more}
        if self.command:
            command, *arguments = self.command
            plugin = {"command": command, "args": [*arguments, "-c", str(self.folder / "expected.json")],
                      "env": {"TMPDIR": str(self.temporary)}, "restart_backoff": "0s", **plugin}
        (self.folder / "config.json").write_text(json.dumps(self.configuration(plugin)))

    def configuration(self, plugin):
        chain, filters = {}, [{"type": "plugin", "config": plugin}]
        if self.loader:
            command, *arguments = self.loader
            brings = {"command": command, "args": [*arguments, "--ca-out", str(self.folder / "ca.pem")],
                      "env": {"TMPDIR": str(self.temporary)}, "name": "loader", "timeout": "30s",
                      "refresh_interval": "500ms"}
            chain, filters = {"tls_context": {"status": True, "type": "loader", "extend_verify": brings}}, []
        logs = []
        if self.log_sink:
            command, *arguments = self.log_sink
            takes = {"command": command, "args": [*arguments, "--folder", str(self.folder / "logs")], "name": "sink",
                     "env": {"TMPDIR": str(self.temporary)}, "timeout": "30s", "batch_interval": "20ms",
                     "restart_backoff": "0s"}
            logs = [{"plugin": {**takes, "log_name": "text"}, "log_format": "%path% %response_code%"},
                    {"plugin": {**takes, "log_name": "json"},
                     "json_format": {"path": "%path%", "status": "%response_code%"}}]
            filters = []
        return {
            "servers": [{
                "default_log_path": "stdout",
                "routers": [{"router_config_name": "r", "virtual_hosts": [{
                    "domains": ["*"], "routers": [{"match": {"prefix": "/"}, "route": {"cluster_name": "o"}}]}]}],
                "listeners": [{
                    "name": "main", "address": "127.0.0.1:0", "bind_port": True,
                    "filter_chains": [{**chain, "filters": [{"type": "proxy", "config": {
                        "downstream_protocol": "Http1", "router_config_name": "r",
                        "limits": {"max_buffered_body": 16 << 20}}}]}],
                    "stream_filters": filters,
                    "access_logs": logs,
                }],
            }],
            "cluster_manager": {"clusters": [{"name": "o", "hosts": [{"address": f"127.0.0.1:{self.origin}"}]}]},
            "admin": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": 0}}},
        }

    def ask(self, headers=(), body=None, path="/"):
        """Status, what the origin saw where it was asked, and the fields of the answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
        try:
            connection.putrequest("POST" if body is not None else "GET", path)
            for name, value in headers.items() if isinstance(headers, dict) else headers:
                connection.putheader(name, value)
            if body is not None:
                connection.putheader("Content-Length", str(len(body)))
            connection.endheaders(body)
            answer = connection.getresponse()
            text = answer.read()
        finally:
            connection.close()
        fields = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, json.loads(text) if answer.status == 200 else None, fields

    def order(self, method, path):
        connection = http.client.HTTPConnection("127.0.0.1", self.admin, timeout=PATIENCE)
        try:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

    def status(self):
        """Of the plugin, as the admin interface says it."""
        return json.loads(self.order("GET", "/api/v1/plugins")[1])["plugins"][0]

    def logs(self):
        return (self.folder / "log").read_text(errors="replace")

    def logged(self, text):
        until(f"{text!r} in the log", lambda: text in self.logs())


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
