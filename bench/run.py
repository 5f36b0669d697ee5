#!/usr/bin/env python3
"""Measures Sidegate beside nginx, HAProxy and Envoy; see bench/README.md."""

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
import time
from pathlib import Path

sys.dont_write_bytecode = True

from sidebench import picture, report, runner, tools  # noqa: E402
from sidebench.peers import PEERS  # noqa: E402
from sidebench.process import BenchError  # noqa: E402
from sidebench.scenarios import SCENARIOS, chosen  # noqa: E402


def main():
    options = arguments()
    if options.list:
        for scenario in SCENARIOS:
            print(f"{scenario.name:12} {scenario.title}")
        return 0
    peers = names(options.peers, PEERS, "peer")
    try:
        scenarios = chosen([name for name in options.scenario.split(",") if name], peers)
    except ValueError as error:
        sys.exit(f"bench: {error}")
    found = tools.find(options.envoy, options.sidegate, options.modules)
    missing = found.missing(needed(scenarios, options.load))
    if missing:
        lines = "\n".join(f"  {line}" for line in missing)
        sys.exit(f"bench: missing, and nothing is installed by itself:\n{lines}\n"
                 "or leave peers out with --peers, scenarios with --scenario")
    cores = sorted(os.sched_getaffinity(0))
    proxy_core = cores[0] if options.proxy_core is None else options.proxy_core
    load_core = cores[-1] if options.load_core is None else options.load_core
    if proxy_core == load_core:
        print("bench: proxy, origin and load generator share one core: figures are not worth keeping", file=sys.stderr)
    # This process reads /proc and metrics: not on the proxy's core.
    os.sched_setaffinity(0, {load_core})
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("bench: terminated"))

    started = time.strftime("%Y-%m-%d %H:%M %z")
    with tempfile.TemporaryDirectory(prefix="sidegate-bench-") as work:
        # nginx's worker, another user, reads below it.
        os.chmod(work, 0o755)
        # wrk has no open loop.
        latency = options.latency and options.load == "ends"
        plan = runner.Plan(options.seconds, options.runs, proxy_core, load_core, options.load, latency,
                           options.latency_rate, Path(work))
        results = measure(scenarios, found, plan)
    machine = {
        "started": started,
        "cpu": cpu_model(),
        "cores": len(cores),
        "kernel": platform.release(),
        "load_average_at_end": os.getloadavg(),
        "proxy_core": proxy_core,
        "load_core": load_core,
        "versions": found.versions(),
    }
    out = Path(options.out) if options.out else default_out(options, peers)
    write(out, options, scenarios, results, machine)
    failed = [f"{r.scenario} {r.contestant.label}: {r.failure or f'{r.errors} errors'}"
              for r in results if r.failure or r.errors]
    for line in failed:
        print(f"FAILED {line}", file=sys.stderr)
    return 1 if failed else 0


def measure(scenarios, found, plan):
    results = []
    for scenario in scenarios:
        say(f"{scenario.name}: {scenario.title}")
        results += runner.run(scenario, found, plan, say)
    return results


def say(line):
    print(line, file=sys.stderr, flush=True)


def needed(scenarios, load):
    """What the scenarios take, each once."""
    wanted = ["sidegate-ends"] if load == "ends" else ["nginx", "wrk"]
    for scenario in scenarios:
        for contestant in scenario.contestants:
            wanted += contestant.needs
    return list(dict.fromkeys(wanted))


def names(text, known, what):
    chosen_names = [name for name in text.split(",") if name]
    for name in chosen_names:
        if name not in known:
            sys.exit(f"bench: no {what} `{name}`; there are {', '.join(known)}")
    return chosen_names


def default_out(options, peers):
    """Only a whole run replaces what the documentation shows."""
    whole = not options.scenario and options.latency and options.load == "ends" and set(peers) == set(PEERS)
    return tools.REPOSITORY / "docs" / "src" if whole else tools.target_dir() / "bench"


def write(out, options, scenarios, results, machine):
    found_targets = report.targets(results)
    caption = (f"{machine['cpu']}, proxy on one core, {machine['kernel']}; medians of {options.runs} × "
               f"{options.seconds} s, load by {LOAD[options.load]}, {machine['started']}")
    text = "\n".join([caption, report.table(scenarios, results), report.LEGEND, report.targets_text(found_targets)])
    print(text)
    raw = {
        "machine": machine,
        "seconds": options.seconds,
        "runs": options.runs,
        "load": options.load,
        "targets": found_targets,
        "results": [result.to_json() for result in results],
    }
    out.mkdir(parents=True, exist_ok=True)
    (out / "bench.txt").write_text(text)
    (out / "bench.json").write_text(json.dumps(raw, indent=1) + "\n")
    drawn = picture.draw(scenarios, results, caption)
    if drawn:
        (out / "bench.svg").write_text(drawn)
    print(f"written: {out}/bench.txt, bench.json, bench.svg")


LOAD = {"ends": "sidegate-ends", "wrk": "wrk with nginx as the origin"}


def cpu_model():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--peers", default=",".join(PEERS), metavar="A,B", help="who takes part (default: %(default)s)")
    add("--scenario", default="", metavar="A,B", help="what to measure (default: everything; see --list)")
    add("--seconds", type=at_least_one, default=5, metavar="N", help="length of one run (default: %(default)s)")
    add("--runs", type=at_least_one, default=5, metavar="N", help="runs of each (default: %(default)s)")
    add("--out", metavar="DIR", help="where bench.svg, bench.json and bench.txt go (default: docs/src/ for everything,"
        " target/bench/ for a part)")
    add("--load", choices=["ends", "wrk"], default="ends", help="clients and origin: sidegate-ends, or wrk with nginx,"
        " which cost more and have no open loop (default: %(default)s)")
    add("--latency-rate", type=at_least_one, metavar="N", help="requests/s of the open-loop runs, for all alike (default:"
        " half of what each reached)")
    add("--no-latency", dest="latency", action="store_false", help="leave the open-loop runs out")
    add("--sidegate", metavar="PATH", help="the binary (default: target/release/sidegate)")
    add("--modules", metavar="DIR", help="folder of libauth.so and libauth_c.so (default: the binary's)")
    add("--envoy", metavar="PATH", help=f"the binary (default: from {tools.ENVOY_VENV}, then from the path)")
    add("--proxy-core", type=int, metavar="N", help="core of the proxy (default: the first)")
    add("--load-core", type=int, metavar="N", help="core of origin and load generator (default: the last)")
    add("--list", action="store_true", help="list the scenarios and end")
    return parser.parse_args()


def at_least_one(text):
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return value


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(f"bench: {error}")
    except KeyboardInterrupt:
        sys.exit("bench: interrupted")
