#!/usr/bin/env python3
"""HTTP/2 beside nginx, HAProxy, Envoy and a bare relay on the h2 crate; see bench/README.md."""

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

sys.dont_write_bytecode = True

from sidebench import h2, tools  # noqa: E402
from sidebench.process import BenchError  # noqa: E402
from sidebench.rounds import (Meter, aims_table, end_on_sigterm, failing, heading, in_turn, new_rows, publish,  # noqa: E402
                              ratio, say)

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
    end_on_sigterm("h2")
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
    publish(markdown(report), report, options)
    failed = [row for block in report["loads"] for row in block["rows"].values() if row["failure"] or row["errors"]]
    return 1 if failed else 0


def measure(load, upstream, peers, found, work, origins, cores, options):
    """One load: everybody up at once, measured one at a time, in the order A B, B A."""
    say(f"h2 to {upstream}, {load.title}")
    body = work / "body"
    body.write_bytes(b"x" * load.upload)
    rows = new_rows(peer for peer in peers if h2.takes_part(peer, upstream))
    up = {}
    try:
        for peer, row in rows.items():
            with failing(peer, row):
                folder = work / f"{load.name}-{upstream}-{peer}"
                up[peer] = h2.Running(peer, upstream, found, folder, cores[0], origins.ports[upstream])
                h2.h2load(found, cores[-1], up[peer].port, load, seconds=1, body=body)
        in_turn(rows, options.runs, lambda peer, row: one_run(load, up[peer], found, origins, cores, options.seconds,
                                                              body, row))
    finally:
        for running in up.values():
            running.process.stop()
    return {"load": load.name, "title": load.title, "upstream": upstream, "rows": rows}


def one_run(load, running, found, origins, cores, seconds, body, row):
    meter = Meter(running.process, cores, origins.cpu)
    counted = h2.h2load(found, cores[-1], running.port, load, seconds=seconds, body=body)
    spent, core, others = meter.read()
    if not counted.requests:
        raise BenchError("no request was answered")
    row["errors"] += counted.errors
    run = {"rps": counted.rps, "cpu_us": spent.total / counted.requests, "user_us": spent.user / counted.requests,
           "core": core, "others": others, "rss": running.process.rss()}
    return run, f"{run['rps']:,.0f} requests/s, {run['cpu_us']:.2f} µs"


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
    lines = [heading(report), ""]
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
        if report["idle"].get("relay") and "sidegate" in report["idle"]:
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
    return "\n".join(lines + aims_table(aims)) + "\n"


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
