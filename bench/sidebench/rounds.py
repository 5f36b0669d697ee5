"""Peers that are all up, measured one at a time, in turn and back; ratios are formed run by run."""

import json
import signal
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from .process import BenchError, busy, ours


def say(line):
    print(line, file=sys.stderr, flush=True)


@contextmanager
def failing(peer, row):
    """One peer's failure is its result and not the end."""
    try:
        yield
    except (BenchError, OSError) as error:
        row["failure"] = str(error)
        say(f"  {peer} FAILED: {error}")


def new_rows(peers):
    return {peer: {"runs": [], "failure": "", "errors": 0} for peer in peers}


def in_turn(rows, runs, once):
    """`once(peer, row)` gives one run of it, and what to say of that."""
    for number in range(runs):
        for peer in list(rows) if number % 2 == 0 else list(reversed(rows)):
            row = rows[peer]
            if row["failure"]:
                continue
            with failing(peer, row):
                run, words = once(peer, row)
                row["runs"].append(run)
                say(f"  run {number + 1} {peer}: {words}")


class Meter:
    """What a proxy and others used of the cores from now on; `sides` gives CPU of the load in microseconds."""

    def __init__(self, process, cores, sides):
        self.process, self.cores, self.sides = process, {cores[0], cores[-1]}, sides
        self.before, self.side, self.busy = process.cpu(), sides() + ours(), busy(self.cores)
        self.began = time.monotonic()

    def read(self):
        """CPU of the proxy, its part of its core, and the part of both that others took."""
        spent, took = self.process.cpu() - self.before, (time.monotonic() - self.began) * 1e6
        if not self.process.alive():
            raise BenchError(f"it ended: {self.process.tail()}")
        others = busy(self.cores) - self.busy - spent.total - (self.sides() + ours() - self.side)
        return spent, spent.total / took, max(0.0, others) / took / len(self.cores)


def ratio(mine, theirs, key):
    """Ratios are formed run by run, then the median is taken."""
    pairs = [(a[key], b[key]) for a, b in zip(mine, theirs) if b[key]]
    return median(a / b for a, b in pairs) if pairs else None


def aims_table(aims):
    """Lines for what, measured, sign, aim."""
    if not aims:
        return []
    lines = ["| aim | measured | | |", "|---|---:|---|---|"]
    for what, measured, sign, aim in aims:
        good = measured <= aim if sign == "≤" else measured >= aim
        lines.append(f"| {what} | {measured:.2f} | {sign} {aim} | {'met' if good else 'MISSED'} |")
    return lines


def heading(report):
    return (f"{report['started']}; medians of {report['runs']} × {report['seconds']} s. " +
            ", ".join(f"{name} {text}" for name, text in report["versions"].items()))


def publish(text, report, options):
    """Prints the tables and writes what was asked for."""
    print(text)
    if options.out:
        Path(options.out).write_text(text)
    if options.json:
        Path(options.json).write_text(json.dumps(report, indent=1) + "\n")


def end_on_sigterm(name):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(f"{name}: terminated"))
