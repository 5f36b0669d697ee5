"""Memory of connections that do nothing."""

import resource
import socket
import time
from dataclasses import dataclass

from .process import BenchError

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\nUser: admin\r\n\r\n"
SPARE_DESCRIPTORS = 64
AFTERWARDS = 200


@dataclass(frozen=True)
class Idle:
    """Resident bytes of the proxy."""

    empty: int
    held: int
    after: int
    connections: int

    @property
    def per_connection(self):
        return (self.held - self.empty) / self.connections


def hold(running, count, settle):
    """Opens connections, sends one request on each, leaves them idle, closes them."""
    raise_limit(count + SPARE_DESCRIPTORS)
    # The first request makes what is made once.
    with one(running.port):
        time.sleep(settle)
    empty = running.process.rss()
    sockets = []
    try:
        for _ in range(count):
            sockets.append(one(running.port))
        time.sleep(settle)
        held = running.process.rss()
        closed = sum(is_closed(sock) for sock in sockets)
        if closed:
            raise BenchError(f"{running.contestant.label} closed {closed} of {count} idle connections")
    finally:
        for sock in sockets:
            sock.close()
    time.sleep(settle)
    # Allocators give back while they are used: a little traffic, as a proxy has it.
    for _ in range(AFTERWARDS):
        one(running.port).close()
    return Idle(empty, held, running.process.rss(), count)


def one(port):
    """A connection that has had its reply."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=20)
    sock.sendall(REQUEST)
    reply = b""
    while not reply.endswith(b"hello from the origin\n"):
        part = sock.recv(4096)
        if not part:
            sock.close()
            raise BenchError(f"a connection was closed after {reply!r}")
        reply += part
    if not reply.startswith(b"HTTP/1.1 200"):
        raise BenchError(f"an unexpected reply: {reply!r}")
    return sock


def is_closed(sock):
    sock.setblocking(False)
    try:
        return sock.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def raise_limit(needed):
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise BenchError(f"{needed} descriptors are needed and {hard} are allowed: raise the hard limit (ulimit -Hn)")
    if soft != resource.RLIM_INFINITY and soft < needed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
