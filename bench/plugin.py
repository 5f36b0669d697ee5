#!/usr/bin/env python3
"""What a call of a plugin costs beside a bare tonic client and beside a module; see bench/README.md."""

import argparse
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.dont_write_bytecode = True

from sidebench import tools  # noqa: E402
from sidebench.peers import Asked, Contestant, Ends, Running  # noqa: E402
from sidebench.process import BenchError, Process, connects_to  # noqa: E402
from sidebench.rounds import (Meter, aims_table, end_on_sigterm, failing, heading, in_turn, new_rows, publish,  # noqa: E402
                              say)

# What a call costs Sidegate as a multiple of what it costs the bare client, at most.
AIM = 1.3
FLOOR, BARE = "tonic", "sidegate"
CONTESTANTS = {
    BARE: Contestant("sidegate"),
    "module": Contestant("sidegate", "rust"),
    "mosn": Contestant("sidegate", "plugin"),
    "streaming": Contestant("sidegate", "plugin-streaming"),
}
LABELS = {FLOOR: "bare tonic client", **{name: contestant.label for name, contestant in CONTESTANTS.items()}}
# Who asks the plugin.
CALLERS = ("mosn", "streaming")
FIGURES = ("p50", "p99", "cpu")


@dataclass(frozen=True)
class Load:
    """Calls under way, each followed by the next."""

    at_once: int

    @property
    def title(self):
        return "one call at a time" if self.at_once == 1 else f"{self.at_once} calls at once"


def main():
    options = arguments()
    found = tools.find(None, options.sidegate, options.modules)
    if missing := found.missing(["sidegate", "sidegate-ends", "sidegate-callends", "libauth.so"]):
        sys.exit("plugin: missing, and nothing is installed by itself:\n  " + "\n  ".join(missing))
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[-1]})
    end_on_sigterm("plugin")
    report = {"started": time.strftime("%Y-%m-%d %H:%M %z"), "seconds": options.seconds, "runs": options.runs,
              "versions": {"sidegate": found.versions()["sidegate"]}, "loads": []}
    with tempfile.TemporaryDirectory(prefix="sidegate-plugin-") as name, Bench(found, Path(name), cores, options) as bench:
        for at_once in options.at_once:
            report["loads"].append(bench.measure(Load(at_once)))
    publish(markdown(report), report, options)
    rows = [row for block in report["loads"] for row in block["rows"].values()]
    return 1 if any(row["failure"] or row["errors"] for row in rows) else 0


class Bench:
    """One plugin, and everybody who asks it or does without: all up at once."""

    def __init__(self, found, work, cores, options):
        self.found, self.work, self.cores, self.options = found, work, cores, options
        self.socket = work / "plugin.sock"
        # In the order in which they are stopped.
        self.up = []

    def __enter__(self):
        try:
            self.ends = self.keep(Ends(self.found, self.work / "ends", self.cores[-1]))
            command = ["env", f"SIDEGATE_PLUGIN_SOCKET={self.socket}", self.found["sidegate-callends"], "plugin"]
            self.plugin = Process("plugin", command, self.cores[-1], self.work)
            self.up.append(self.plugin)
            self.plugin.wait_until(lambda: connects_to(self.socket), "listening")
            self.client = self.keep(Asked("sidegate-callends", [self.found["sidegate-callends"], "client"],
                                          self.work / "client", self.cores[0]))
            self.proxies = {name: self.keep(self.start(name)) for name in CONTESTANTS}
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for process in reversed(self.up):
            process.stop()

    def keep(self, running):
        self.up.append(running.process)
        return running

    def start(self, name):
        return Running(CONTESTANTS[name], self.found, self.work / name, self.cores[0], self.ends.port,
                       {"SOCKET": self.socket})

    def measure(self, load):
        say(load.title)
        rows = new_rows(LABELS)
        for name, row in rows.items():
            with failing(name, row):
                self.ask(name, load, 0.3)
        in_turn(rows, self.options.runs, lambda name, row: self.one_run(name, load, row))
        return {"at_once": load.at_once, "title": load.title, "rows": rows}

    def ask(self, name, load, seconds):
        if name == FLOOR:
            plan = {"socket": str(self.socket), "at_once": load.at_once, "seconds": seconds}
            return self.client.ask(plan, seconds + 30)
        plan = {"port": self.proxies[name].port, "connections": load.at_once, "seconds": seconds}
        return self.ends.ask(plan, seconds + 30)

    def one_run(self, name, load, row):
        asker = self.client.process if name == FLOOR else self.proxies[name].process
        meter = Meter(asker, self.cores, lambda: self.ends.process.cpu().total + self.plugin.cpu().total)
        before, of_plugin = asker.own_cpu(), self.plugin.own_cpu()
        got = self.ask(name, load, self.options.seconds)
        spent, of_plugin = asker.own_cpu() - before, self.plugin.own_cpu() - of_plugin
        _, _, others = meter.read()
        if not got["requests"]:
            raise BenchError("nothing was answered")
        row["errors"] += got["errors"]
        run = {"rps": got["rps"], "p50": got["p50_us"], "p99": got["p99_us"], "cpu": spent / got["requests"],
               "plugin": of_plugin / got["requests"], "others": others}
        return run, f"p50 {run['p50']:.1f} µs, {run['cpu']:.1f} µs of CPU, {run['rps']:,.0f}/s"


def alone(rows, name, key):
    """What the filter of `name` costs, run by run: the difference to the proxy without; the floor is a call already."""
    runs = rows[name]["runs"]
    if name == FLOOR:
        return [run[key] for run in runs]
    return [run[key] - bare[key] for run, bare in zip(runs, rows[BARE]["runs"])]


def beside_floor(rows, name, key):
    """Ratios are formed run by run, then the median is taken."""
    pairs = list(zip(alone(rows, name, key), alone(rows, FLOOR, key)))
    return median(mine / floor for mine, floor in pairs) if pairs else None


def markdown(report):
    lines, aims = [heading(report), ""], []
    for block in report["loads"]:
        rows = block["rows"]
        lines += [f"**{block['title'].capitalize()}**", "",
                  "| | requests/s | p50 µs | p99 µs | CPU µs | plugin's CPU µs | others % | the call: p50 µs | p99 µs | "
                  "CPU µs | beside tonic: p50 | CPU |",
                  "|---|" + "---:|" * 11]
        for name, row in rows.items():
            if not row["runs"]:
                lines.append(f"| {LABELS[name]} | failed: {row['failure'][:100]!r} |")
                continue
            figure = lambda key: median(run[key] for run in row["runs"])  # noqa: E731,B023
            label = f"{LABELS[name]} ({row['errors']} errors)" if row["errors"] else LABELS[name]
            cells = [label, f"{figure('rps'):,.0f}", f"{figure('p50'):.1f}", f"{figure('p99'):.1f}",
                     f"{figure('cpu'):.1f}", f"{figure('plugin'):.1f}", f"{figure('others'):.0%}"]
            has_call = name != BARE and rows[BARE]["runs"] and rows[FLOOR]["runs"]
            cells += [f"{median(alone(rows, name, key)):.1f}" for key in FIGURES] if has_call else [""] * len(FIGURES)
            ratios = {key: beside_floor(rows, name, key) for key in ("p50", "cpu")} if has_call else {}
            cells += [f"× {ratios[key]:.2f}" if ratios and name != FLOOR else "" for key in ("p50", "cpu")]
            lines.append(f"| {' | '.join(cells)} |")
            if name in CALLERS and ratios:
                aims += [(f"{block['title']}, {LABELS[name]}: {what} beside tonic", ratios[key], "≤", AIM)
                         for key, what in (("p50", "p50"), ("cpu", "CPU"))]
        lines.append("")
    return "\n".join(lines + aims_table(aims)) + "\n"


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--at-once", type=lambda text: [int(part) for part in text.split(",")], default=[1, 32], metavar="N,M",
        help="calls under way (default: 1,32)")
    add("--seconds", type=float, default=1, metavar="N", help="length of one run (default: %(default)s)")
    add("--runs", type=int, default=15, metavar="N", help="runs of each (default: %(default)s)")
    add("--sidegate", metavar="PATH", help="the binary (default: target/release/sidegate)")
    add("--modules", metavar="DIR", help="where modules and the ends lie (default: beside the binary)")
    add("--out", metavar="FILE", help="where the tables go too")
    add("--json", metavar="FILE", help="where every single run goes")
    return parser.parse_args()


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchError as error:
        sys.exit(f"plugin: {error}")
    except KeyboardInterrupt:
        sys.exit("plugin: interrupted")
