"""How each proxy is configured, started and asked for its metrics."""

import http.client
import json
import os
import select
from dataclasses import dataclass, field
from pathlib import Path

from . import routes as route_text
from .process import BenchError, Process, connects, free_ports
from .routes import Routes
from .template import CONFIGS, fill, fill_text

PEERS = ("nginx", "haproxy", "envoy", "sidegate")
METRICS_PATH = {
    "nginx": "/metrics",
    "haproxy": "/metrics",
    "envoy": "/stats/prometheus",
    "sidegate": "/stats/prometheus",
}
SUFFIX = {"nginx": "conf", "haproxy": "cfg", "envoy": "yaml", "sidegate": "yaml"}
FILTER_LABEL = {
    "if": "if",
    "acl": "ACL",
    "lua": "Lua",
    "rbac": "RBAC",
    "demo": "built in",
    "rust": "Rust .so",
    "c": "C .so",
    "plugin": "plugin, MOSN's call",
    "plugin-streaming": "plugin, streaming",
}
MODULE = {"rust": "libauth.so", "c": "libauth_c.so"}


@dataclass(frozen=True)
class Contestant:
    """A peer in one configuration. The peer `direct` is the origin without a proxy."""

    peer: str
    filter: str = ""
    filters: int = 1
    log: bool = False
    routes: Routes = field(default_factory=Routes)
    note: str = ""

    @property
    def label(self):
        parts = [self.peer]
        if self.filter:
            parts.append(f"{self.filters} × {FILTER_LABEL[self.filter]}" if self.filters > 1
                         else FILTER_LABEL[self.filter])
        if self.note:
            parts.append(self.note)
        return " + ".join(parts)

    @property
    def needs(self):
        """Names of the tools and modules it takes."""
        if self.peer == "direct":
            return []
        return [self.peer] + ([MODULE[self.filter]] if self.filter in MODULE else [])


class Running:
    """A contestant that is up, with its configuration in `directory`."""

    def __init__(self, contestant, tools, directory, core, origin_port, marks=None):
        """`marks` are filled in besides what every configuration has."""
        self.contestant = contestant
        self.port, self.admin_port = free_ports(2)
        directory = Path(directory)
        directory.mkdir(parents=True)
        # nginx's worker is another user.
        os.chmod(directory, 0o755)
        values = {
            "DIR": directory,
            "PORT": self.port,
            "ADMIN_PORT": self.admin_port,
            "ORIGIN_PORT": origin_port,
            "MODULES": Path(tools["libauth.so"] or tools["libauth_c.so"] or "/nowhere").parent,
            **(marks or {}),
        }
        command = COMMANDS[contestant.peer](contestant, tools[contestant.peer], directory, values)
        self.process = Process(contestant.peer, command, core, directory)
        try:
            self.process.wait_until(lambda: connects(self.port), "listening")
            self.verify()
        except BaseException:
            self.process.stop()
            raise

    def verify(self):
        """Refuses to measure a proxy that does not do what its column says."""
        contestant = self.contestant
        host, path = ("host-0000.example", "/service-00000/item") if contestant.routes != Routes() else ("any", "/")
        self.expect(200, path, host, {"User": "admin"})
        if contestant.filter:
            self.expect(403, path, host, {"User": "nobody"})
        if contestant.routes.of_each > 1:
            self.expect(404, "/elsewhere", host, {"User": "admin"})

    def expect(self, status, path, host, headers):
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", path, headers={"Host": host, **headers})
            found = connection.getresponse().status
        except http.client.HTTPException as error:
            found = repr(error)
        finally:
            connection.close()
        if found != status:
            raise BenchError(f"{self.contestant.label}: {host}{path} with {headers}: expected {status}, found {found}")

    @property
    def metrics(self):
        """Port and path, if this contestant has its metrics read."""
        return (self.admin_port, METRICS_PATH[self.contestant.peer]) if self.contestant.log else None


def filter_text(contestant, values):
    if not contestant.filter:
        return ""
    file = CONFIGS / f"{contestant.peer}-filter-{contestant.filter}.{SUFFIX[contestant.peer]}"
    return fill_text(file.read_text(), values) * contestant.filters


def or_empty(text):
    """An empty list where YAML expects one."""
    return text or "[]"


def nginx(contestant, binary, directory, values):
    log = contestant.log
    values["ACCESS_LOG"] = fill("nginx-log.conf", values) if log else "access_log off;"
    values["METRICS"] = fill("nginx-metrics.conf", values) if log else ""
    values["SERVERS"] = route_text.nginx(contestant.routes, values["PORT"], filter_text(contestant, values))
    config = write(directory / "nginx.conf", fill("nginx.conf", values))
    return command_line("nginx", binary, config, directory)


def haproxy(contestant, binary, directory, values):
    log = contestant.log
    values["LOG"] = fill("haproxy-log.cfg", values) if log else ""
    values["HTTP_LOG"] = fill("haproxy-http-log.cfg", values) if log else ""
    values["METRICS"] = fill("haproxy-metrics.cfg", values) if log else ""
    values["FILTER"] = filter_text(contestant, values)
    map_file = directory / "routes.map"
    values["ROUTES"], values["DEFAULT_BACKEND"], map_text = route_text.haproxy(contestant.routes, map_file)
    write(map_file, map_text)
    config = write(directory / "haproxy.cfg", fill("haproxy.cfg", values))
    return command_line("haproxy", binary, config, directory)


def envoy(contestant, binary, directory, values):
    values["ACCESS_LOG"] = or_empty(fill("envoy-log.yaml", values) if contestant.log else "")
    values["FILTERS"] = filter_text(contestant, values)
    values["VIRTUAL_HOSTS"] = route_text.envoy(contestant.routes)
    config = write(directory / "envoy.yaml", fill("envoy.yaml", values))
    return command_line("envoy", binary, config, directory)


def sidegate(contestant, binary, directory, values):
    values["ACCESS_LOG"] = or_empty(fill("sidegate-log.yaml", values) if contestant.log else "")
    values["FILTERS"] = or_empty(filter_text(contestant, values))
    values["VIRTUAL_HOSTS"] = route_text.sidegate(contestant.routes)
    config = write(directory / "sidegate.yaml", fill("sidegate.yaml", values))
    return command_line("sidegate", binary, config, directory)


def command_line(peer, binary, config, directory):
    """Starts a peer with one worker in the foreground."""
    return {
        "nginx": [binary, "-p", directory, "-e", directory / "nginx-start.log", "-c", config],
        "haproxy": [binary, "-db", "-f", config],
        "envoy": [binary, "-c", config, "--concurrency", 1, "--disable-hot-restart", "-l", "error"],
        "sidegate": [binary, "run", "-c", config, "--workers", 1, "--ready-file", directory / "ready.json"],
    }[peer]


COMMANDS = {"nginx": nginx, "haproxy": haproxy, "envoy": envoy, "sidegate": sidegate}


def write(path, text):
    path.write_text(text)
    return path


class NginxOrigin:
    """nginx with fixed replies, for `--load wrk`."""

    def __init__(self, tools, directory, core):
        (self.port,) = free_ports(1)
        directory = Path(directory)
        www = directory / "www"
        www.mkdir(parents=True)
        os.chmod(directory, 0o755)
        (www / "10k").write_bytes(b"x" * 10 * 1024)
        (www / "1m").write_bytes(b"x" * 1024 * 1024)
        config = write(directory / "origin.conf", fill("origin.conf", {"DIR": directory, "PORT": self.port}))
        command = [tools["nginx"], "-p", directory, "-e", directory / "origin-start.log", "-c", config]
        self.process = Process("origin", command, core, directory)
        try:
            self.process.wait_until(lambda: connects(self.port), "listening")
        except BaseException:
            self.process.stop()
            raise


class Asked:
    """A program that is given runs, line by line, and reports each."""

    def __init__(self, name, command, directory, core):
        self.name = name
        directory = Path(directory)
        directory.mkdir(parents=True)
        self.process = Process(name, command, core, directory, asked=True)

    def ask(self, plan, seconds):
        """The report of one run, which may take so long."""
        pipe = self.process.child.stdin
        pipe.write(json.dumps(plan).encode() + b"\n")
        pipe.flush()
        report = self.answer(seconds)
        if "failure" in report:
            raise BenchError(f"{self.name}: {report['failure']}")
        return report

    def answer(self, seconds):
        output = self.process.child.stdout
        if not select.select([output], [], [], seconds)[0]:
            raise BenchError(f"{self.name} did not answer within {seconds} s")
        line = output.readline()
        if not line:
            raise BenchError(f"{self.name} ended: {self.process.tail()}")
        return json.loads(line)


class Ends(Asked):
    """`sidegate-ends`: origin and clients in one thread."""

    def __init__(self, tools, directory, core):
        super().__init__("sidegate-ends", [tools["sidegate-ends"]], directory, core)
        try:
            self.port = self.answer(10)["origin_port"]
        except BaseException:
            self.process.stop()
            raise
