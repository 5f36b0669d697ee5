#!/usr/bin/env python3
"""Attacks Sidegate, and beside it nginx and Envoy where they are installed; see README.md."""

import argparse
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

sys.dont_write_bytecode = True
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from attacks import ATTACKS, expect_hello, connect  # noqa: E402
from neighbour import Neighbour, Refused  # noqa: E402
from origin import Origin  # noqa: E402
from sidebench import h2, tools  # noqa: E402
from sidebench.peers import Contestant, Running  # noqa: E402
from sidebench.process import BenchError  # noqa: E402

PEERS = ("sidegate", "nginx", "envoy")
# What a process allocates whatever the attack: pages of code touched first, pools.
NOISE = 6 << 20


@dataclass
class Cost:
    """What an attack cost a proxy."""

    sent: int
    memory: int
    cpu_us: float
    neighbour_ms: float
    failures: list

    @property
    def memory_per_byte(self):
        return self.memory / self.sent if self.sent else 0.0

    @property
    def cpu_per_byte(self):
        return self.cpu_us / self.sent if self.sent else 0.0


class Peak:
    """The most resident memory that a process had."""

    def __init__(self, process):
        self.process = process
        self.bytes = process.rss()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over.wait(0.02):
            self.bytes = max(self.bytes, self.process.rss())

    def stop(self):
        self.over.set()
        self.thread.join()


def main():
    options = arguments()
    found = tools.find(options.envoy, options.sidegate)
    if found.paths["sidegate"] is None:
        sys.exit("attacks: sidegate is missing: make build, or --sidegate PATH")
    peers = [peer for peer in PEERS if found.paths[peer]]
    for peer in PEERS:
        if peer not in peers:
            print(f"{peer} is not installed and left out ({tools.HOW[peer]})", file=sys.stderr)
    attacks = [attack for attack in ATTACKS if not options.only or attack.name in options.only.split(",")]
    if not attacks:
        sys.exit(f"attacks: no such attack; there are {', '.join(attack.name for attack in ATTACKS)}")
    complaints, rows = [], []
    with tempfile.TemporaryDirectory(prefix="sidegate-attacks-") as work:
        Path(work).chmod(0o755)
        for attack in attacks:
            costs = {}
            for peer in peers:
                print(f"{attack.name}: {peer}", file=sys.stderr)
                costs[peer] = measure(attack, peer, found, Path(work) / f"{attack.name}-{peer}")
            complaints += judge(attack, costs["sidegate"])
            rows.append((attack, costs))
            # Complete after each attack, for whoever ends the run early.
            if options.out:
                Path(options.out).write_text(markdown(rows, peers) + "\n")
    print(markdown(rows, peers))
    for complaint in complaints:
        print(f"FAILED {complaint}", file=sys.stderr)
    print(f"{len(attacks) - len({c.split(':')[0] for c in complaints})} passed, {len(complaints)} failed")
    return 1 if complaints else 0


def measure(attack, peer, found, directory):
    """Each attack meets a proxy that has just been started, so that none inherits another's memory."""
    origin = Origin()
    running = None
    try:
        if attack.http2:
            running = h2.Running(peer, "h1", found, directory, None, origin.port)
            ask_h2(running.port)
        else:
            running = Running(Contestant(peer), found, directory, None, origin.port)
            with connect(running.port) as sock:
                sock.sendall(b"GET / HTTP/1.1\r\nHost: first.example\r\n\r\n")
                expect_hello(sock)
        before, cpu = running.process.rss(), running.process.cpu()
        neighbour = Neighbour(running.port, ask_h2 if attack.http2 else None)
        peak = Peak(running.process)
        steps = attack.run(running.port, origin)
        failures = []
        try:
            sent = next(steps)
            peak.stop()
            used = running.process.cpu() - cpu
            next(steps, None)
        except OSError as error:
            failures.append(f"the attack ended by {error!r}")
            sent, used = 0, running.process.cpu() - cpu
        finally:
            peak.stop()
            neighbour.stop()
        if not running.process.alive():
            failures.append("the proxy ended")
        failures += neighbour.failures[:3]
        return Cost(sent, peak.bytes - before, used.total, neighbour.median_ms, failures)
    finally:
        if running is not None:
            running.process.stop()
        origin.stop()


def ask_h2(port):
    """A request on a connection of its own."""
    try:
        h2.idle_connection(port).close()
    except BenchError as error:
        raise Refused(str(error)) from error


def judge(attack, cost):
    """What of Sidegate's bounds does not hold."""
    said = [f"{attack.name}: {failure}" for failure in cost.failures]
    beyond = max(cost.memory - NOISE, 0)
    if attack.memory is not None and beyond > attack.memory * cost.sent:
        said.append(f"{attack.name}: {beyond} bytes of memory for {cost.sent} bytes sent, at most {attack.memory} each")
    if attack.per_connection is not None and beyond > attack.per_connection * 1024 * attack.connections:
        said.append(f"{attack.name}: {beyond} bytes of memory for {attack.connections} connections, "
                    f"at most {attack.per_connection} KiB each")
    return said


def markdown(rows, peers):
    head = ["attack", "sent"] + [f"{peer}: {what}" for peer in peers
                                 for what in ("MiB", "B/B", "µs/B", "neighbour ms")]
    lines = ["| " + " | ".join(head) + " |", "|---|---:" + "|---:" * (4 * len(peers)) + "|"]
    for attack, costs in rows:
        cells = [attack.title, size(costs[peers[0]].sent)]
        for peer in peers:
            cost = costs[peer]
            many = cost.sent >= 10_000
            cells += [
                f"{cost.memory / (1 << 20):.1f}",
                f"{cost.memory_per_byte:.2f}" if many else "–",
                f"{cost.cpu_per_byte:.3f}" if many else "–",
                f"{cost.neighbour_ms:.1f}" + (" !" if cost.failures else ""),
            ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def size(count):
    for unit, factor in (("MB", 1_000_000), ("kB", 1_000)):
        if count >= factor:
            return f"{count / factor:.1f} {unit}"
    return f"{count} B"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", help="names of attacks, with commas")
    parser.add_argument("--sidegate", help="another binary than the release build's")
    parser.add_argument("--envoy", help="another binary than the one of target/bench-venv")
    parser.add_argument("--out", help="write the table to this file too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
