"""The attacks: what each sends, and what of it the proxy may keep or compute."""

import contextlib
import socket
import time
from dataclasses import dataclass
from typing import Callable

import http2

HOST = b"Host: attack.example\r\n"
# Long enough for a proxy to read what was sent, short enough for its first timeouts.
SETTLE = 1.5


@dataclass(frozen=True)
class Attack:
    """`run(port, origin)` attacks and comes back with the bytes that it sent to the proxy, holding what it opened until
    `done` of the yielded value; a generator, so that memory is looked at while everything is open."""

    name: str
    title: str
    run: Callable
    # Bytes of memory per byte of the attacker's that Sidegate may hold; None where the attacker sends next to nothing.
    memory: float | None = None
    # KiB of memory per connection of the attacker's.
    per_connection: float | None = None
    connections: int = 1
    # The attacker and the honest client speak HTTP/2.
    http2: bool = False


def connect(port):
    sock = socket.create_connection(("127.0.0.1", port), timeout=20)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def hold(data, count):
    """Opens connections, sends the same bytes on each and leaves them."""

    def run(port, origin):
        with contextlib.ExitStack() as stack:
            for _ in range(count):
                sock = stack.enter_context(connect(port))
                sock.sendall(data)
            time.sleep(SETTLE)
            yield len(data) * count

    return run


def stalled_upload(count):
    """Uploads to a host that takes nothing, as much as the proxy accepts."""

    def run(port, origin):
        head = b"POST /stall HTTP/1.1\r\n" + HOST + b"Content-Length: 1000000\r\n\r\n"
        piece = b"x" * 65536
        sent = 0
        with contextlib.ExitStack() as stack:
            for _ in range(count):
                sock = stack.enter_context(connect(port))
                sock.sendall(head)
                sock.settimeout(0.02)
                body = 0
                with contextlib.suppress(OSError):
                    while body < 1_000_000:
                        body += sock.send(piece[: 1_000_000 - body])
                sent += len(head) + body
            time.sleep(SETTLE)
            yield sent
        origin.hang_up()

    return run


def slow_reader(count):
    """Asks for much and reads nothing."""

    def run(port, origin):
        request = b"GET /large HTTP/1.1\r\n" + HOST + b"\r\n"
        before = origin.sent
        with contextlib.ExitStack() as stack:
            for _ in range(count):
                sock = stack.enter_context(socket.socket())
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                sock.settimeout(20)
                sock.connect(("127.0.0.1", port))
                sock.sendall(request)
            time.sleep(SETTLE)
            yield len(request) * count + origin.sent - before
        origin.hang_up()

    return run


def interim_flood(reads):
    """A host that sends informational responses without end, for 3 s."""

    def run(port, origin):
        before = origin.sent
        with connect(port) as sock:
            sock.sendall(b"GET /interim HTTP/1.1\r\n" + HOST + b"\r\n")
            sock.settimeout(0.1)
            end = time.monotonic() + 3
            while time.monotonic() < end:
                if not reads:
                    time.sleep(0.1)
                    continue
                try:
                    if not sock.recv(1 << 18):
                        break
                except TimeoutError:
                    pass
            yield origin.sent - before
        origin.hang_up()

    return run


def chunks_up(port, origin):
    """Ten requests of 900 kB in chunks of one byte."""
    body = b"1\r\nx\r\n" * 10_000
    sent = 0
    with connect(port) as sock:
        for _ in range(10):
            sock.sendall(b"POST /sink HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n")
            for _ in range(90):
                sock.sendall(body)
                sent += len(body)
            sock.sendall(b"0\r\n\r\n")
            expect_hello(sock)
        yield sent


def chunks_down(port, origin):
    """Ten responses of 1 MB in chunks of one byte."""
    before = origin.sent
    with connect(port) as sock:
        for _ in range(10):
            sock.sendall(b"GET /one-byte-chunks HTTP/1.1\r\n" + HOST + b"\r\n")
            tail = b""
            while not tail.endswith(b"0\r\n\r\n"):
                part = sock.recv(1 << 18)
                if not part:
                    raise ConnectionError("closed within a response")
                tail = (tail + part)[-16:]
        yield origin.sent - before


def expect_hello(sock):
    reply = b""
    while not reply.endswith(b"hello from the origin\n"):
        part = sock.recv(65536)
        if not part:
            raise ConnectionError(f"closed after {reply[:200]!r}")
        reply += part


def refused(data, count):
    """Requests that are refused, each on a connection of its own."""

    def run(port, origin):
        for _ in range(count):
            with connect(port) as sock:
                sock.sendall(data)
                # Some proxies leave the connection open for a while after their answer.
                reply = b""
                while b"\r\n\r\n" not in reply:
                    part = sock.recv(65536)
                    if not part:
                        raise ConnectionError(f"closed after {reply!r}")
                    reply += part
        yield len(data) * count

    return run


def pipelined(port, origin):
    """5,000 requests in one go, their replies unread until all are sent or the proxy stops taking them."""
    requests = (b"GET / HTTP/1.1\r\n" + HOST + b"\r\n") * 5000
    sent = 0
    with connect(port) as sock:
        sock.settimeout(0.2)
        with contextlib.suppress(OSError):
            while sent < len(requests):
                sent += sock.send(requests[sent : sent + 65536])
        time.sleep(SETTLE)
        yield sent


FIELDS = b"".join(b"a%d: b\r\n" % number for number in range(90))
HALF_HEAD = b"GET / HTTP/1.1\r\n" + HOST + b"Cookie: " + b"c" * 30_000

ATTACKS = (
    Attack("silent", "500 connections without a byte", hold(b"", 500), per_connection=24, connections=500),
    Attack("one-byte", "500 connections with one byte of a head", hold(b"G", 500), per_connection=48, connections=500),
    Attack("half-head", "200 connections with 30 kB of a head", hold(HALF_HEAD, 200), memory=10, connections=200),
    Attack("fields", "200 connections with 90 short fields of an unfinished head",
           hold(b"GET / HTTP/1.1\r\n" + HOST + FIELDS, 200), memory=64, connections=200),
    Attack("stalled-upload", "50 uploads to a host that takes nothing", stalled_upload(50), memory=10, connections=50),
    Attack("slow-reader", "20 readers of 100 MiB that read nothing", slow_reader(20), memory=10, connections=20),
    Attack("pipelined", "5,000 requests at once, replies unread", pipelined, memory=10),
    Attack("interim-read", "a host's endless 1xx, read by the client", interim_flood(True), memory=1),
    Attack("interim-unread", "a host's endless 1xx, unread", interim_flood(False), memory=10),
    Attack("chunks-up", "9 MB uploaded in chunks of one byte", chunks_up, memory=1),
    Attack("chunks-down", "10 MB downloaded in chunks of one byte", chunks_down, memory=1),
    Attack("refused", "1,000 refused heads, a connection each",
           refused(b"GET / HTTP/1.1\r\n\r\n", 1000)),
) + tuple(Attack(name, title, run, http2=True, **bounds) for name, title, run, bounds in http2.ATTACKS)
