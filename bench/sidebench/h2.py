"""HTTP/2: contestants, origins, load, memory of idle connections, and what a stream allocates."""

import re
import select
import socket
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .idle import raise_limit
from .load import run
from .peers import SUFFIX, command_line, write
from .process import BenchError, Process, connects, free_ports
from .template import fill

UPSTREAMS = ("h1", "h2")
PEERS = ("relay", "sidegate", "nginx", "haproxy", "envoy")
TOOL = {"relay": "sidegate-h2relay"}
WORDS = {
    "haproxy": {"h1": "", "h2": "proto h2"},
    "envoy": {"h1": "http_protocol_options: {}",
              "h2": "http2_protocol_options: {max_concurrent_streams: 128, initial_stream_window_size: 1048576, "
                    "initial_connection_window_size: 16777216}"},
    "sidegate": {"h1": "Http1", "h2": "Http2"},
    "nginx": {"h1": ""},
}


@dataclass(frozen=True)
class Load:
    """What h2load does."""

    name: str
    path: str = "/"
    clients: int = 8
    streams: int = 32
    # Bytes of each request's body.
    upload: int = 0

    @property
    def title(self):
        what = f"{self.upload // 1024} KiB uploads" if self.upload else \
            {"/": "22-byte replies", "/10k": "10 KiB replies"}[self.path]
        return f"{what}, {self.clients} connections × {self.streams} streams"


LOADS = (
    Load("small-32"),
    Load("small-1", clients=64, streams=1),
    Load("10k-32", path="/10k"),
    Load("10k-1", path="/10k", clients=64, streams=1),
    Load("upload-32", upload=64 * 1024),
    Load("upload-1", clients=64, streams=1, upload=64 * 1024),
)


def takes_part(peer, upstream):
    return peer not in WORDS or upstream in WORDS[peer]


class Origins:
    """Both origins, on the load's core; each says its port."""

    def __init__(self, tools, directory, core):
        directory = Path(directory)
        directory.mkdir(parents=True)
        self.processes = []
        self.ports = {}
        try:
            for upstream, command in (("h1", [tools["sidegate-ends"]]), ("h2", [tools["sidegate-h2relay"], "origin"])):
                process = Process(f"origin-{upstream}", command, core, directory, asked=True)
                self.processes.append(process)
                self.ports[upstream] = port_of(process)
        except BaseException:
            self.stop()
            raise

    def cpu(self):
        return sum(process.cpu().total for process in self.processes)

    def stop(self):
        for process in self.processes:
            process.stop()


def port_of(process):
    """What a program of ours printed as its port."""
    output = process.child.stdout
    line = output.readline() if select.select([output], [], [], 30)[0] else b""
    found = re.search(rb"port\":(\d+)", line)
    if not found:
        raise BenchError(f"{process.name} said no port: {process.tail()}")
    return int(found.group(1))


class Running:
    """A peer that is up."""

    def __init__(self, peer, upstream, tools, directory, core, origin_port, wrapper=()):
        self.peer, self.upstream = peer, upstream
        directory = Path(directory)
        directory.mkdir(parents=True)
        directory.chmod(0o755)
        binary = tools[TOOL.get(peer, peer)]
        if peer == "relay":
            command = [*wrapper, binary, f"to-{upstream}", origin_port]
            self.process = Process(peer, command, core, directory, asked=True)
            self.port = self.up(lambda: port_of(self.process))
            return
        (self.port,) = free_ports(1)
        values = {"DIR": directory, "PORT": self.port, "ORIGIN_PORT": origin_port, "UPSTREAM": WORDS[peer][upstream]}
        name = f"h2-{peer}.{SUFFIX[peer]}"
        config = write(directory / name, fill(name, values))
        command = command_line(peer, binary, config, directory)
        self.process = Process(peer, [*wrapper, *command], core, directory)
        self.up(lambda: self.process.wait_until(lambda: connects(self.port), "listening", 120))

    def up(self, ready):
        try:
            return ready()
        except BaseException:
            self.process.stop()
            raise


@dataclass(frozen=True)
class Counted:
    """What h2load said."""

    requests: int
    rps: float
    errors: int


def h2load(tools, core, port, load, seconds=None, requests=None, body=None):
    """A closed loop: each stream that ends makes room for the next."""
    command = [tools["h2load"], "-c", load.clients, "-m", load.streams, "-H", "user: admin"]
    command += ["-D", seconds] if seconds else ["-n", requests]
    if load.upload:
        command += ["-d", body]
    text = run([*map(str, command), f"http://127.0.0.1:{port}{load.path}"], core, (seconds or 600) + 60)
    total = re.search(r"requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed, (\d+) errored", text)
    rate = re.search(r"finished in [\d.]+\w+, ([\d.]+) req/s", text)
    if not total or not rate:
        raise BenchError(f"h2load printed no result: {text[-1000:]}")
    done, succeeded, _, _ = map(int, total.groups())
    bad = done - succeeded
    return Counted(succeeded, float(rate.group(1)), bad)




def idle_request():
    """Preface, SETTINGS, the acknowledgement of the peer's, and one request."""
    block = bytes([0x82, 0x86, 0x84, 0x01, 9]) + b"localhost"
    headers = len(block).to_bytes(3, "big") + bytes([1, 5, 0, 0, 0, 1]) + block
    settings, ack = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0]), bytes([0, 0, 0, 4, 1, 0, 0, 0, 0])
    return b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + ack + headers


def idle_connection(port):
    """A connection whose one stream has ended."""
    sock = socket.create_connection(("127.0.0.1", port), timeout=20)
    sock.sendall(idle_request())
    data = b""
    while True:
        while len(data) < 9 or len(data) < 9 + int.from_bytes(data[:3], "big"):
            part = sock.recv(65536)
            if not part:
                raise BenchError("an idle connection was closed")
            data += part
        length, kind, flags = int.from_bytes(data[:3], "big"), data[3], data[4]
        data = data[9 + length:]
        if kind in (3, 7):
            raise BenchError(f"a request was refused: frame of kind {kind}")
        if kind in (0, 1) and flags & 1:
            return sock


def idle(running, count, settle):
    """Resident bytes per idle connection."""
    raise_limit(count + 64)
    warm = [idle_connection(running.port) for _ in range(8)]
    for sock in warm:
        sock.close()
    time.sleep(settle)
    empty = running.process.rss()
    sockets = []
    try:
        for _ in range(count):
            sockets.append(idle_connection(running.port))
        time.sleep(settle)
        held = running.process.rss()
        if closed := sum(is_closed_h2(sock) for sock in sockets):
            raise BenchError(f"{running.peer} closed {closed} of {count} idle connections")
    finally:
        for sock in sockets:
            sock.close()
    return (held - empty) / count


def is_closed_h2(sock):
    """A frame that came meanwhile is no end."""
    sock.setblocking(False)
    try:
        while part := sock.recv(4096):
            del part
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True


# What Rust's allocations call, before or after inlining, and C's own.
ALLOCATE = re.compile(r"^(__rustc::__rust_|mi_|__libc_)?"
                      r"(alloc|alloc_zeroed|malloc|zalloc|calloc|realloc)(_aligned)?$")
# What stands between those and the code that asked.
ALLOCATOR = re.compile(r"^(_*mi_|__rustc::__rust_|.*GlobalAlloc>?::|__libc_|malloc$|calloc$|realloc$)")


@dataclass(frozen=True)
class Stream:
    """What one stream costs without start and end of the process."""

    instructions: float
    allocations: float
    # Allocations by the function that makes them.
    by: dict


def per_stream(peer, upstream, tools, directory, origin_port, requests):
    """Two runs under callgrind, of N and of 2N requests on one connection; their difference, divided by N."""
    once, twice = (one_count(peer, upstream, tools, Path(directory) / f"{peer}-{upstream}-{n}", origin_port, n)
                   for n in (requests, 2 * requests))
    by = {name: (twice[1][name] - once[1][name]) / requests for name in twice[1]}
    by = {name: count for name, count in by.items() if count >= 0.01}
    return Stream((twice[0] - once[0]) / requests, sum(by.values()), by)


def one_count(peer, upstream, tools, directory, origin_port, requests):
    out = directory.parent / f"callgrind-{directory.name}"
    wrapper = [tools["valgrind"], "--tool=callgrind", f"--callgrind-out-file={out}"]
    running = Running(peer, upstream, tools, directory, None, origin_port, wrapper)
    try:
        counted = h2load(tools, None, running.port, Load("one", clients=1, streams=1), requests=requests)
        if counted.errors or counted.requests != requests:
            raise BenchError(f"{peer}: {counted}")
    finally:
        running.process.stop(120)
    return read_callgrind(out)


def read_callgrind(out):
    """All instructions, and calls of allocators by who makes them."""
    names, calls, total, caller, callee = {}, Counter(), 0, "", ""
    with open(out) as file:
        for line in file:
            if line.startswith(("fn=", "cfn=")):
                number, _, name = line.partition("=")[2].strip().partition(" ")
                name = names.setdefault(number, name) if name else names[number]
                if line.startswith("fn="):
                    caller = name
                else:
                    callee = name
            elif line.startswith("calls="):
                if ALLOCATE.match(callee.split("'")[0]) and not ALLOCATOR.match(caller):
                    calls[short(caller)] += int(line[6:].split(" ", 1)[0])
            elif line.startswith(("summary:", "totals:")):
                total = max(total, int(line.split()[1]))
    return total, calls


def short(name):
    """A function without its hash."""
    return re.sub(r"::h[0-9a-f]{16}$", "", name.split("'")[0])
