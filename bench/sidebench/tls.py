"""TLS: one certificate for all, contestants, memory of idle connections."""

import socket
import ssl
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from .h2 import port_of
from .idle import REQUEST, raise_limit
from .peers import SUFFIX, command_line, write
from .process import BenchError, Process, connects, free_ports
from .template import fill

PEERS = ("relay", "sidegate", "nginx", "haproxy", "envoy")
TOOL = {"relay": "sidegate-tlsrelay"}
NAME = "bench.test"
PLAIN, HYBRID = "X25519", "X25519MLKEM768"
# Debian's OpenSSL 3.0 has no ML-KEM.
HAVE_HYBRID = ("relay", "sidegate", "envoy")
GROUPS = {
    "nginx": PLAIN,
    "haproxy": PLAIN,
    "envoy": f"{HYBRID}, {PLAIN}",
    "sidegate": f"{HYBRID},{PLAIN}",
}


@dataclass(frozen=True)
class Load:
    """What the clients do; all with TLS 1.3 and AES-128-GCM."""

    name: str
    title: str
    path: str = "/"
    connections: int = 64
    # A connection for each request, so that a handshake belongs to it.
    close: bool = False
    resume: bool = False
    group: str = PLAIN

    @property
    def plan(self):
        return {"path": self.path, "connections": self.connections, "close": self.close,
                "tls": {"name": NAME, "group": self.group, "resume": self.resume}}

    def takes_part(self, peer):
        return self.group == PLAIN or peer in HAVE_HYBRID


LOADS = (
    Load("full", "a connection for each request, full handshakes", connections=32, close=True),
    Load("full-hybrid", f"a connection for each request, full handshakes, {HYBRID}", connections=32, close=True,
         group=HYBRID),
    Load("resumed", "a connection for each request, resumed handshakes", connections=32, close=True, resume=True),
    Load("small", "22-byte replies on 64 connections"),
    Load("10k", "10 KiB replies on 64 connections", path="/10k"),
    Load("1m", "1 MiB replies on 16 connections", path="/1m", connections=16),
)


@dataclass(frozen=True)
class Certificate:
    """ECDSA with P-256, and the CA that clients trust."""

    chain: Path
    key: Path
    # Both in one file, as HAProxy has it.
    bundle: Path
    ca: Path


def make_certificate(sidegate, directory):
    """By `sidegate cert`; for all contestants."""
    done = subprocess.run([sidegate, "cert", str(directory), "--name", NAME], capture_output=True, text=True,
                          timeout=60, check=False)
    if done.returncode:
        raise BenchError(f"sidegate cert ended with {done.returncode}: {done.stderr[-500:]}")
    directory = Path(directory)
    chain, key, bundle = directory / "server.pem", directory / "server.key", directory / "bundle.pem"
    bundle.write_text(chain.read_text() + key.read_text())
    return Certificate(chain, key, bundle, directory / "ca.pem")


class Running:
    """A peer that is up and speaks TLS as it should."""

    def __init__(self, peer, tools, directory, core, origin_port, certificate):
        self.peer = peer
        directory = Path(directory)
        directory.mkdir(parents=True)
        directory.chmod(0o755)
        binary = tools[TOOL.get(peer, peer)]
        if peer == "relay":
            command = [binary, origin_port, certificate.chain, certificate.key]
            self.process = Process(peer, command, core, directory, asked=True)
        else:
            (self.port,) = free_ports(1)
            values = {"DIR": directory, "PORT": self.port, "ORIGIN_PORT": origin_port, "GROUPS": GROUPS[peer],
                      "CHAIN": certificate.chain, "KEY": certificate.key, "BUNDLE": certificate.bundle}
            name = f"tls-{peer}.{SUFFIX[peer]}"
            config = write(directory / name, fill(name, values))
            self.process = Process(peer, command_line(peer, binary, config, directory), core, directory)
        try:
            if peer == "relay":
                self.port = port_of(self.process)
            else:
                self.process.wait_until(lambda: connects(self.port), "listening", 120)
            self.verify(certificate)
        except BaseException:
            self.process.stop()
            raise

    def verify(self, certificate):
        """Refuses to measure a proxy that does not serve this certificate in TLS 1.3."""
        context = ssl.create_default_context(cafile=str(certificate.ca))
        try:
            with one(context, self.port) as sock:
                if sock.version() != "TLSv1.3":
                    raise BenchError(f"{self.peer} speaks {sock.version()}")
        except ssl.SSLError as error:
            raise BenchError(f"{self.peer}: {error}") from error


def one(context, port):
    """A connection that has had its reply."""
    raw = socket.create_connection(("127.0.0.1", port), timeout=20)
    sock = context.wrap_socket(raw, server_hostname=NAME)
    try:
        sock.sendall(REQUEST)
        reply = b""
        while not reply.endswith(b"hello from the origin\n"):
            part = sock.recv(4096)
            if not part:
                raise BenchError(f"a connection was closed after {reply!r}")
            reply += part
        if not reply.startswith(b"HTTP/1.1 200"):
            raise BenchError(f"an unexpected reply: {reply!r}")
    except BaseException:
        sock.close()
        raise
    return sock


def idle(running, certificate, count, settle):
    """Resident bytes per idle connection, each of which has had a full handshake and a request."""
    raise_limit(count + 64)
    context = ssl.create_default_context(cafile=str(certificate.ca))
    for _ in range(8):
        one(context, running.port).close()
    time.sleep(settle)
    empty = running.process.rss()
    sockets = []
    try:
        for _ in range(count):
            sockets.append(one(context, running.port))
        time.sleep(settle)
        held = running.process.rss()
        if closed := sum(is_closed(sock) for sock in sockets):
            raise BenchError(f"{running.peer} closed {closed} of {count} idle connections")
    finally:
        for sock in sockets:
            sock.close()
    return (held - empty) / count


def is_closed(sock):
    """Tickets that came meanwhile are no end."""
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except (ssl.SSLWantReadError, BlockingIOError):
        return False
    except OSError:
        return True
