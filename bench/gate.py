#!/usr/bin/env python3
"""Instructions per request under callgrind, against a committed baseline; see bench/README.md.

The proxy serves N requests on one connection in one run and 2N in another. The difference of its worker's instruction
counts, divided by N, is what a request costs: start and end of the process cancel out, and load on the machine does
not count.
"""

import argparse
import json
import re
import shutil
import socket
import sys
import tempfile
import threading
from pathlib import Path

sys.dont_write_bytecode = True

from sidebench import tools  # noqa: E402
from sidebench.process import BenchError, Process, connects, free_ports  # noqa: E402
from sidebench.template import CONFIGS, fill, fill_text  # noqa: E402

BASELINE = Path(__file__).resolve().parent / "gate/baseline.json"
SCENARIOS = {"plain": "", "one-module": "sidegate-filter-rust.yaml"}
BODY = b"hello from the origin\n"
REPLY = b"HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: text/plain\r\nContent-Length: 22\r\n\r\n" + BODY
REQUEST = b"GET /hello HTTP/1.1\r\nHost: localhost\r\nUser-Agent: gate\r\nAccept: */*\r\nUser: admin\r\n\r\n"
ALLOWED = 0.01
SLOWNESS = 120


class Origin:
    """Answers every request head with the same bytes, on a thread a connection."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self.answer, args=(connection,), daemon=True).start()

    @staticmethod
    def answer(connection):
        pending = b""
        with connection:
            while part := connection.recv(65536):
                pending += part
                while b"\r\n\r\n" in pending:
                    pending = pending.partition(b"\r\n\r\n")[2]
                    connection.sendall(REPLY)


def send(port, count):
    """Requests one after the other on one connection; each reply is read to its end."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for _ in range(count):
            connection.sendall(REQUEST)
            reply = b""
            while not reply.endswith(BODY):
                part = connection.recv(65536)
                if not part:
                    raise BenchError(f"the proxy closed the connection after {reply!r}")
                reply += part
            if not reply.startswith(b"HTTP/1.1 200"):
                raise BenchError(f"unexpected reply {reply!r}")


def instructions(found, valgrind, filter_file, count, origin, directory):
    """Instructions by thread of a proxy that served `count` requests."""
    port, admin_port = free_ports(2)
    values = {"DIR": directory, "PORT": port, "ADMIN_PORT": admin_port, "ORIGIN_PORT": origin.port,
              "MODULES": Path(found["libauth.so"] or "/nowhere/x").parent, "ACCESS_LOG": "[]",
              "VIRTUAL_HOSTS": '- {name: all, domains: ["*"], routers: [{match: {prefix: /}, '
                               'route: {cluster_name: origin}}]}'}
    values["FILTERS"] = fill_text((CONFIGS / filter_file).read_text(), values) if filter_file else "[]"
    config = directory / f"gate-{count}.yaml"
    config.write_text(fill("sidegate.yaml", values))
    out = directory / f"callgrind-{count}"
    command = [valgrind, "--tool=callgrind", "--separate-threads=yes", f"--callgrind-out-file={out}",
               found["sidegate"], "run", "-c", config, "--workers", 1, "--ready-file", directory / f"ready-{count}"]
    process = Process(f"sidegate-{count}", command, None, directory)
    try:
        process.wait_until((directory / f"ready-{count}").exists, "ready", SLOWNESS)
        process.wait_until(lambda: connects(port), "listening", SLOWNESS)
        send(port, count)
    finally:
        process.stop(SLOWNESS)
    threads = {}
    for file in directory.glob(f"{out.name}-*"):
        total = re.search(r"^(?:summary|totals): (\d+)", file.read_text(), re.MULTILINE)
        threads[file.name.rpartition("-")[2]] = int(total.group(1)) if total else 0
    if not threads:
        raise BenchError(f"callgrind left no figures: {process.tail()}")
    return threads


def per_request(found, valgrind, filter_file, count, origin, profile):
    with tempfile.TemporaryDirectory(prefix="sidegate-gate-") as name:
        once, twice = (instructions(found, valgrind, filter_file, n, origin, Path(name)) for n in (count, 2 * count))
        if profile:
            shutil.copytree(name, profile, dirs_exist_ok=True)
    # All threads together: what a start costs falls out, and valgrind gives the number of a thread that ended to the
    # next, so that a worker cannot be told by its number.
    return sum(once.values()), sum(twice.values())


def measure(found, valgrind, options):
    origin = Origin()
    measured = {}
    for name, filter_file in SCENARIOS.items():
        profile = options.profile and Path(options.profile) / name
        figures = [per_request(found, valgrind, filter_file, options.requests, origin, profile)
                   for _ in range(options.repeat)]
        # Clocks tick while other programs keep a run waiting: that only adds.
        once, twice = (min(column) for column in zip(*figures))
        measured[name] = round((twice - once) / options.requests)
        if len(figures) > 1:
            single = [(twice - once) / options.requests for once, twice in figures]
            shown = ", ".join(f"{figure:,.0f}" for figure in single)
            print(f"{name}: {shown} (spread {(max(single) - min(single)) / measured[name]:.2%})")
    return measured


def compare(measured, baseline):
    """Prints both beside each other; whether all is within the bound."""
    good = True
    for name, now in measured.items():
        before = baseline.get(name)
        if before is None:
            print(f"{name:12} {now:>9,} instructions per request, no baseline")
            good = False
            continue
        change = now / before - 1
        verdict = "ok" if change <= ALLOWED else f"FAILED: more than {ALLOWED:.0%} above the baseline"
        if change < -ALLOWED:
            verdict = "better: keep it with --update"
        print(f"{name:12} {now:>9,} instructions per request, baseline {before:>9,}, {change:+.2%}  {verdict}")
        good = good and change <= ALLOWED
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="fail if a request costs more than the baseline + 3 %%")
    parser.add_argument("--update", action="store_true", help="write the baseline")
    parser.add_argument("--requests", type=int, default=1000, metavar="N", help="default: %(default)s")
    parser.add_argument("--repeat", type=int, default=3, metavar="N",
                        help="measure N times and take the median (default: %(default)s)")
    parser.add_argument("--sidegate", metavar="PATH", help="the binary (default: target/release/sidegate)")
    parser.add_argument("--modules", metavar="DIR", help="folder of libauth.so (default: the binary's)")
    parser.add_argument("--profile", metavar="DIR", help="keep callgrind's files there, by scenario")
    options = parser.parse_args()
    found = tools.find(None, options.sidegate, options.modules)
    missing = found.missing(["sidegate", "libauth.so"])
    valgrind = shutil.which("valgrind")
    if not valgrind:
        missing.append("valgrind: Debian: apt-get install valgrind")
    if missing:
        sys.exit("gate: missing:\n" + "\n".join(f"  {line}" for line in missing))
    measured = measure(found, valgrind, options)
    baseline = json.loads(BASELINE.read_text()) if BASELINE.exists() else {}
    good = compare(measured, baseline)
    if options.update:
        BASELINE.write_text(json.dumps(measured, indent=2) + "\n")
        print(f"written: {BASELINE}")
        return 0
    return 1 if options.check and not good else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(f"gate: {error}")
