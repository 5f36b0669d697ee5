#!/usr/bin/env python3
"""HTTP/2 beside nginx, HAProxy, Envoy and a bare relay on the h2 crate; see bench/README.md."""

import argparse
import json
import os
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median

sys.dont_write_bytecode = True

from sidebench import h2, tools  # noqa: E402
from sidebench.process import BenchError, busy, ours  # noqa: E402

# CPU of Sidegate as a part of somebody's, at most.
CPU_AIMS = {("relay", "h1"): 1.15, ("relay", "h2"): 1.15, ("nginx", "h1"): 0.6}
# Requests/s of Sidegate beside Envoy's, at least, with HTTP/2 on both sides.
RATE_AIMS = {"small-32": 3.5, "small-1": 2.3, "10k-32": 2.0}
MEMORY_AIM = 1.25
IDLE_CONNECTIONS = 2000


def main():
    options = arguments()
    found = tools.find(options.envoy, options.sidegate)
    peers = [peer for peer in options.peers.split(",") if peer]
    for peer in peers:
        if peer not in h2.PEERS:
            sys.exit(f"h2: no peer `{peer}`; there are {', '.join(h2.PEERS)}")
    needed = ["sidegate-ends", "sidegate-h2relay", "h2load"] + [h2.TOOL.get(peer, peer) for peer in peers]
    if missing := found.missing(dict.fromkeys(needed)):
        sys.exit("h2: missing, and nothing is installed by itself:\n  " + "\n  ".join(missing) +
                 "\nor leave peers out with --peers")
    loads = [load for load in h2.LOADS if not options.only or load.name in options.only.split(",")]
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("h2: terminated"))
    report = {"started": time.strftime("%Y-%m-%d %H:%M %z"), "versions": found.versions(), "seconds": options.seconds,
              "runs": options.runs, "loads": [], "idle": {}, "streams": {}}
    with tempfile.TemporaryDirectory(prefix="sidegate-h2-") as name:
        work = Path(name)
        # nginx's worker, another user, reads below it.
        work.chmod(0o755)
        origins = h2.Origins(found, work / "origins", cores[-1])
        try:
            for upstream in options.upstream.split(","):
                for load in loads:
                    report["loads"].append(measure(load, upstream, peers, found, work, origins, cores, options))
            if "idle" in options.also:
                report["idle"] = measure_idle(peers, found, work, origins, cores, options)
            if "streams" in options.also and found["valgrind"]:
                report["streams"] = measure_streams(peers, found, work, origins, options)
        finally:
            origins.stop()
    text = markdown(report)
    print(text)
    if options.out:
        Path(options.out).write_text(text)
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n")
    failed = [row for block in report["loads"] for row in block["rows"].values() if row["failure"] or row["errors"]]
    return 1 if failed else 0


def measure(load, upstream, peers, found, work, origins, cores, options):
    """One load: everybody up at once, measured one at a time, in the order A B, B A."""
    say(f"h2 to {upstream}, {load.title}")
    body = work / "body"
    body.write_bytes(b"x" * load.upload)
    rows = {peer: {"runs": [], "failure": "", "errors": 0} for peer in peers if h2.takes_part(peer, upstream)}
    up = {}
    try:
        for peer, row in rows.items():
            with failing(peer, row):
                folder = work / f"{load.name}-{upstream}-{peer}"
                up[peer] = h2.Running(peer, upstream, found, folder, cores[0], origins.ports[upstream])
                h2.h2load(found, cores[-1], up[peer].port, load, seconds=1, body=body)
        for number in range(options.runs):
            order = list(rows) if number % 2 == 0 else list(reversed(rows))
            for peer in order:
                row = rows[peer]
                if row["failure"]:
                    continue
                with failing(peer, row):
                    row["runs"].append(one_run(load, up[peer], found, origins, cores, options.seconds, body, row))
                    last = row["runs"][-1]
                    say(f"  run {number + 1} {peer}: {last['rps']:,.0f} requests/s, {last['cpu_us']:.2f} µs")
    finally:
        for running in up.values():
            running.process.stop()
    return {"load": load.name, "title": load.title, "upstream": upstream, "rows": rows}


@contextmanager
def failing(peer, row):
    """One peer's failure is its result and not the end."""
    try:
        yield
    except (BenchError, OSError) as error:
        row["failure"] = str(error)
        say(f"  {peer} FAILED: {error}")


def one_run(load, running, found, origins, cores, seconds, body, row):
    process, used = running.process, {cores[0], cores[-1]}
    before, side, all_busy, began = process.cpu(), origins.cpu() + ours(), busy(used), time.monotonic()
    counted = h2.h2load(found, cores[-1], running.port, load, seconds=seconds, body=body)
    spent, took = process.cpu() - before, (time.monotonic() - began) * 1e6
    if not counted.requests:
        raise BenchError("no request was answered")
    if not process.alive():
        raise BenchError(f"it ended: {process.tail()}")
    row["errors"] += counted.errors
    others = busy(used) - all_busy - spent.total - (origins.cpu() + ours() - side)
    return {"rps": counted.rps, "cpu_us": spent.total / counted.requests, "user_us": spent.user / counted.requests,
            "core": spent.total / took, "others": max(0.0, others) / took / len(used), "rss": process.rss()}


def measure_idle(peers, found, work, origins, cores, options):
    """KiB per idle connection, a fresh process each time."""
    kib = {}
    for peer in peers:
        figures = []
        for number in range(min(options.runs, 3)):
            try:
                running = h2.Running(peer, "h1", found, work / f"idle-{peer}-{number}", cores[0], origins.ports["h1"])
                try:
                    figures.append(h2.idle(running, options.idle, 1.0) / 1024)
                finally:
                    running.process.stop()
            except (BenchError, OSError) as error:
                say(f"  idle {peer} FAILED: {error}")
                break
        if figures:
            kib[peer] = median(figures)
            say(f"idle {peer}: {kib[peer]:.1f} KiB per connection")
    return kib


def measure_streams(peers, found, work, origins, options):
    """Instructions and allocations per stream of the relay and of Sidegate."""
    counted = {}
    for peer in (peer for peer in ("relay", "sidegate") if peer in peers):
        for upstream in options.upstream.split(","):
            try:
                stream = h2.per_stream(peer, upstream, found, work / "streams", origins.ports[upstream],
                                       options.requests)
            except (BenchError, OSError) as error:
                say(f"  streams {peer} {upstream} FAILED: {error}")
                continue
            counted[f"{peer} {upstream}"] = {"instructions": stream.instructions, "allocations": stream.allocations,
                                             "by": stream.by}
            say(f"streams {peer} h2 to {upstream}: {stream.instructions:,.0f} instructions, "
                f"{stream.allocations:.2f} allocations")
    return counted


def markdown(report):
    lines = [f"{report['started']}; medians of {report['runs']} × {report['seconds']} s. " +
             ", ".join(f"{name} {text}" for name, text in report["versions"].items()), ""]
    aims = []
    for block in report["loads"]:
        lines += [f"**h2 to {block['upstream']}, {block['title']}**", "",
                  "| | requests/s | CPU µs | of it user | core % | others % | RSS MiB | Sidegate's CPU | requests/s |",
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
            lines.append(f"| {name} | {figure('rps'):,.0f} | "
                         f"{figure('cpu_us'):.2f} | {figure('user_us'):.2f} | {figure('core'):.0%} | "
                         f"{figure('others'):.0%} | {figure('rss') / (1 << 20):.0f} | "
                         f"{'' if peer == 'sidegate' else cpu and f'× {cpu:.2f}'} | "
                         f"{'' if peer == 'sidegate' else rate and f'× {rate:.2f}'} |")
            aim = CPU_AIMS.get((peer, block["upstream"]))
            where = f"h2 to {block['upstream']}, {block['load']}"
            if aim and cpu:
                aims.append((f"{where}: CPU beside {peer}", cpu, "≤", aim))
            aim = RATE_AIMS.get(block["load"]) if (peer, block["upstream"]) == ("envoy", "h2") else None
            if aim and rate:
                aims.append((f"{where}: requests/s beside {peer}", rate, "≥", aim))
        lines.append("")
    if report["idle"]:
        lines += ["**An idle connection, a request each before**", "", "| | KiB |", "|---|---:|"]
        lines += [f"| {peer} | {kib:.1f} |" for peer, kib in report["idle"].items()] + [""]
        if {"relay", "sidegate"} <= report["idle"].keys():
            aims.append(("resident memory of an idle connection beside relay",
                         report["idle"]["sidegate"] / report["idle"]["relay"], "≤", MEMORY_AIM))
    if report["streams"]:
        lines += ["**A stream, 22-byte replies, one after another on one connection (callgrind)**", "",
                  "| | instructions | allocations | made by |", "|---|---:|---:|---|"]
        for name, stream in report["streams"].items():
            by = sorted(stream["by"].items(), key=lambda item: -item[1])
            lines.append(f"| {name.replace(' ', ', h2 to ')} | {stream['instructions']:,.0f} | "
                         f"{stream['allocations']:.2f} | " + ", ".join(f"{count:.2f} `{by}`" for by, count in by) + " |")
        lines.append("")
    if aims:
        lines += ["| aim | measured | | |", "|---|---:|---|---|"]
        for what, measured, sign, aim in aims:
            good = measured <= aim if sign == "≤" else measured >= aim
            lines.append(f"| {what} | {measured:.2f} | {sign} {aim} | {'met' if good else 'MISSED'} |")
    return "\n".join(lines) + "\n"


def ratio(mine, theirs, key):
    """Ratios are formed run by run, then the median is taken."""
    pairs = [(a[key], b[key]) for a, b in zip(mine, theirs) if b[key]]
    return median(a / b for a, b in pairs) if pairs else None


def say(line):
    print(line, file=sys.stderr, flush=True)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--peers", default=",".join(h2.PEERS), metavar="A,B", help="who takes part (default: %(default)s)")
    add("--upstream", default="h1,h2", metavar="A,B", help="what hosts speak (default: %(default)s)")
    add("--only", default="", metavar="A,B", help=f"loads: {', '.join(load.name for load in h2.LOADS)} (default: all)")
    add("--also", default="idle,streams", metavar="A,B", help="besides loads (default: %(default)s)")
    add("--seconds", type=int, default=3, metavar="N", help="length of one run (default: %(default)s)")
    add("--runs", type=int, default=5, metavar="N", help="runs of each (default: %(default)s)")
    add("--requests", type=int, default=1000, metavar="N", help="under callgrind (default: %(default)s)")
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
        sys.exit(f"h2: {error}")
    except KeyboardInterrupt:
        sys.exit("h2: interrupted")
