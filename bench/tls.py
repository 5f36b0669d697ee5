#!/usr/bin/env python3
"""TLS beside nginx, HAProxy, Envoy and a bare relay on rustls; see bench/README.md."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.dont_write_bytecode = True

from sidebench import tls, tools  # noqa: E402
from sidebench.load import OPEN_CONNECTIONS  # noqa: E402
from sidebench.peers import Ends  # noqa: E402
from sidebench.process import BenchError  # noqa: E402
from sidebench.rounds import (Meter, aims_table, end_on_sigterm, failing, heading, in_turn, new_rows, publish,  # noqa: E402
                              ratio, say)

# CPU of Sidegate as a part of somebody's, at most.
CPU_AIMS = {("small", "nginx"): 0.8, ("10k", "nginx"): 0.95, ("full", "nginx"): 0.45, ("full", "envoy"): 0.7}
# KiB of an idle connection, at most.
MEMORY_AIM = 10
IDLE_CONNECTIONS = 2000
# Handshakes that are begun and not gone on with.
HALF = 2000
# Until all served clients are through with their own handshakes; does not count.
SETTLE = 1.0
# What goes on beside the requests whose latency is measured.
CROWDS = {
    "calm": {},
    "standing": {"standing": HALF},
    "arriving": {"arriving": HALF},
}
CROWD_TITLES = {
    "calm": "nobody else",
    "standing": f"{HALF:,} connections stand with half a hello",
    "arriving": f"{HALF:,} connections send a hello, over the time, and nothing more",
}


def main():
    options = arguments()
    found = tools.find(options.envoy, options.sidegate)
    peers = [peer for peer in options.peers.split(",") if peer]
    for peer in peers:
        if peer not in tls.PEERS:
            sys.exit(f"tls: no peer `{peer}`; there are {', '.join(tls.PEERS)}")
    # It makes the certificate, whoever takes part.
    needed = ["sidegate", "sidegate-ends"] + [tls.TOOL.get(peer, peer) for peer in peers]
    if missing := found.missing(dict.fromkeys(needed)):
        sys.exit("tls: missing, and nothing is installed by itself:\n  " + "\n  ".join(missing) +
                 "\nor leave peers out with --peers")
    loads = [load for load in tls.LOADS if not options.only or load.name in options.only.split(",")]
    also = options.also.split(",")
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    end_on_sigterm("tls")
    report = {"started": time.strftime("%Y-%m-%d %H:%M %z"), "versions": found.versions(), "seconds": options.seconds,
              "runs": options.runs, "rate": options.rate, "loads": [], "half": {}, "idle": {}}
    with tempfile.TemporaryDirectory(prefix="sidegate-tls-") as name:
        work = Path(name)
        # nginx's worker, another user, reads below it.
        work.chmod(0o755)
        certificate = tls.make_certificate(found["sidegate"], work / "certs")
        bench = Bench(found, peers, work, cores, options, certificate)
        try:
            report["loads"] = [bench.measure(load) for load in loads]
            if "half" in also:
                report["half"] = bench.measure_half()
            if "idle" in also:
                report["idle"] = bench.measure_idle()
        finally:
            bench.ends.process.stop()
    publish(markdown(report), report, options)
    rows = [row for block in report["loads"] for row in block["rows"].values()] + list(report["half"].values())
    left_out = len(report["idle"]) < len(peers) if "idle" in also else False
    return 1 if left_out or any(row["failure"] or row["errors"] for row in rows) else 0


class Bench:
    """What all measurements share."""

    def __init__(self, found, peers, work, cores, options, certificate):
        self.found, self.peers, self.work, self.cores, self.options = found, peers, work, cores, options
        self.certificate = certificate
        self.ends = Ends(found, work / "ends", cores[-1])

    def start(self, peer, what):
        return tls.Running(peer, self.found, self.work / f"{what}-{peer}", self.cores[0], self.ends.port,
                           self.certificate)

    def all_up(self, rows, what, warm):
        up = {}
        try:
            for peer, row in rows.items():
                with failing(peer, row):
                    up[peer] = self.start(peer, what)
                    warm(up[peer])
        except BaseException:
            stop(up)
            raise
        return up

    def ask(self, running, plan):
        return self.ends.ask({"port": running.port, **plan}, plan["seconds"] + plan.get("settle_seconds", 0) + 30)

    def measure(self, load):
        """One load: everybody up at once, measured one at a time."""
        say(load.title)
        rows = new_rows(peer for peer in self.peers if load.takes_part(peer))
        up = self.all_up(rows, load.name, lambda running: self.ask(running, {**load.plan, "seconds": 0.5}))
        try:
            in_turn(rows, self.options.runs, lambda peer, row: self.one_run(load, up[peer], row))
        finally:
            stop(up)
        return {"load": load.name, "title": load.title, "rows": rows}

    def one_run(self, load, running, row):
        meter = Meter(running.process, self.cores, lambda: self.ends.process.cpu().total)
        got = self.ask(running, {**load.plan, "seconds": self.options.seconds})
        spent, core, others = meter.read()
        if not got["requests"]:
            raise BenchError("no request was answered")
        if load.close:
            expected = got["resumed"] if load.resume else got["full"]
            # The first of each client cannot resume.
            if expected < (got["full"] + got["resumed"]) * 0.95 - load.connections:
                raise BenchError(f"{got['full']} full and {got['resumed']} resumed handshakes")
        row["errors"] += got["errors"]
        run = {"rps": got["rps"], "cpu_us": spent.total / got["requests"], "user_us": spent.user / got["requests"],
               "core": core, "others": others, "rss": running.process.rss()}
        return run, f"{run['rps']:,.0f}/s, {run['cpu_us']:.1f} µs"

    def measure_half(self):
        """Latencies at one rate for all, with handshakes that go nowhere beside."""
        say(f"latency of served clients at {self.options.rate}/s")
        rows = new_rows(self.peers)
        plan = {**tls.LOADS[0].plan, "path": "/", "close": False, "connections": OPEN_CONNECTIONS,
                "rate": self.options.rate, "settle_seconds": SETTLE}
        up = self.all_up(rows, "half", lambda running: self.ask(running, {**plan, "seconds": 0.5}))
        try:
            in_turn(rows, self.options.runs, lambda peer, row: self.one_half(up[peer], plan, row))
        finally:
            stop(up)
        return rows

    def one_half(self, running, plan, row):
        run = {}
        for name, crowd in CROWDS.items():
            got = self.ask(running, {**plan, "seconds": self.options.seconds, "stalled": crowd})
            if not running.process.alive():
                raise BenchError(f"it ended: {running.process.tail()}")
            if not got["requests"]:
                raise BenchError("no request was answered")
            row["errors"] += got["errors"]
            run[name] = {key: got[key] for key in ("p50_us", "p99_us", "p999_us", "busy", "stalled")}
        return run, ", ".join(f"{name} p99 {one['p99_us']:,.0f} µs" for name, one in run.items())

    def measure_idle(self):
        """KiB per idle connection, a fresh process each time."""
        kib = {}
        for peer in self.peers:
            figures = []
            for number in range(min(self.options.runs, 3)):
                try:
                    running = self.start(peer, f"idle-{number}")
                    try:
                        figures.append(tls.idle(running, self.certificate, self.options.idle, 1.0) / 1024)
                    finally:
                        running.process.stop()
                except (BenchError, OSError) as error:
                    say(f"  idle {peer} FAILED: {error}")
                    break
            if figures:
                kib[peer] = median(figures)
                say(f"idle {peer}: {kib[peer]:.1f} KiB per connection")
        return kib


def stop(up):
    for running in up.values():
        running.process.stop()


def markdown(report):
    lines, aims = [heading(report), "", f"TLS 1.3, AES-128-GCM, ECDSA P-256, {tls.PLAIN}; HTTP/1.1 in clear text to the "
                   "origin.", ""], []
    for block in report["loads"]:
        unit = "connections/s" if block["load"].startswith(("full", "resumed")) else "requests/s"
        lines += [f"**{block['title']}**", "",
                  f"| | {unit} | CPU µs | of it user | core % | others % | RSS MiB | Sidegate's CPU | {unit} |",
                  "|---|---:|---:|---:|---:|---:|---:|---:|---:|"]
        mine = block["rows"].get("sidegate", {}).get("runs", [])
        for peer, row in block["rows"].items():
            runs = row["runs"]
            if not runs:
                lines.append(f"| {peer} | failed: {row['failure'][:100]!r} |")
                continue
            cpu, rate = ratio(mine, runs, "cpu_us"), ratio(mine, runs, "rps")
            figure = lambda key: median(run[key] for run in runs)  # noqa: E731
            name = f"{peer} ({row['errors']} errors)" if row["errors"] else peer
            lines.append(f"| {name} | {figure('rps'):,.0f} | {figure('cpu_us'):.1f} | {figure('user_us'):.1f} | "
                         f"{figure('core'):.0%} | {figure('others'):.0%} | {figure('rss') / (1 << 20):.0f} | "
                         f"{'' if peer == 'sidegate' else cpu and f'× {cpu:.2f}'} | "
                         f"{'' if peer == 'sidegate' else rate and f'× {rate:.2f}'} |")
            aim = CPU_AIMS.get((block["load"], peer))
            if aim and cpu:
                aims.append((f"{block['load']}: CPU beside {peer}", cpu, "≤", aim))
        lines.append("")
    if report["half"]:
        lines += [f"**Latency of served clients at {report['rate']:,}/s, µs; beside them:**", "",
                  "| | " + " | ".join(f"{title}: p50 | p99" for title in CROWD_TITLES.values()) + " |",
                  "|---|" + "---:|" * (2 * len(CROWDS))]
        for peer, row in report["half"].items():
            if not row["runs"]:
                lines.append(f"| {peer} | failed: {row['failure'][:100]!r} |")
                continue
            cells = []
            for name in CROWDS:
                figure = lambda key: median(run[name][key] for run in row["runs"])  # noqa: E731,B023
                cells += [f"{figure('p50_us'):,.0f}", f"{figure('p99_us'):,.0f}{'!' if figure('busy') > 0.6 else ''}"]
            name = f"{peer} ({row['errors']} errors)" if row["errors"] else peer
            lines.append(f"| {name} | " + " | ".join(cells) + " |")
        lines.append("")
    if report["idle"]:
        lines += ["**An idle connection, a request each before**", "", "| | KiB |", "|---|---:|"]
        lines += [f"| {peer} | {kib:.1f} |" for peer, kib in report["idle"].items()] + [""]
        if "sidegate" in report["idle"]:
            aims.append(("KiB of an idle connection", report["idle"]["sidegate"], "≤", MEMORY_AIM))
    return "\n".join(lines + aims_table(aims)) + "\n"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--peers", default=",".join(tls.PEERS), metavar="A,B", help="who takes part (default: %(default)s)")
    add("--only", default="", metavar="A,B",
        help=f"loads: {', '.join(load.name for load in tls.LOADS)} (default: all)")
    add("--also", default="half,idle", metavar="A,B", help="besides loads (default: %(default)s)")
    add("--seconds", type=int, default=3, metavar="N", help="length of one run (default: %(default)s)")
    add("--runs", type=int, default=5, metavar="N", help="runs of each (default: %(default)s)")
    add("--rate", type=int, default=2000, metavar="N",
        help="requests/s of those whose latency is measured (default: %(default)s)")
    add("--idle", type=int, default=IDLE_CONNECTIONS, metavar="N", help="idle connections (default: %(default)s)")
    add("--sidegate", metavar="PATH", help="the binary (default: target/release/sidegate)")
    add("--envoy", metavar="PATH", help=f"the binary (default: from {tools.ENVOY_VENV}, then from the path)")
    add("--out", metavar="FILE", help="where the tables go too")
    add("--json", metavar="FILE", help="where every single run goes")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(f"tls: {error}")
    except KeyboardInterrupt:
        sys.exit("tls: interrupted")
