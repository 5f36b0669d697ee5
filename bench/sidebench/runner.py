"""Runs scenarios: everybody up at once, measured one at a time, in the order ABBA."""

import shutil
import threading
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median

from . import idle
from .load import WithEnds, WithWrk
from .peers import Ends, NginxOrigin, Running
from .process import BenchError, busy, ours


@dataclass(frozen=True)
class Plan:
    """How long, how often, on which cores."""

    seconds: float
    runs: int
    proxy_core: int
    load_core: int
    # `ends` or `wrk`
    load: str
    latency: bool
    latency_rate: int
    work: Path


@dataclass
class Result:
    """All runs of one contestant in one scenario, in the order they were made."""

    scenario: str
    contestant: object
    rss_empty: int = 0
    saturation: list = field(default_factory=list)
    latency: list = field(default_factory=list)
    idle: list = field(default_factory=list)
    errors: int = 0
    failure: str = ""

    def to_json(self):
        return {**asdict(self), "label": self.contestant.label}


def run(scenario, tools, plan, say):
    """Results in the order of the scenario's contestants."""
    directory = plan.work / scenario.name
    results = {contestant: Result(scenario.name, contestant) for contestant in scenario.contestants}
    origin = (Ends if plan.load == "ends" else NginxOrigin)(tools, directory / "origin", plan.load_core)
    load = WithEnds(origin) if plan.load == "ends" else WithWrk(tools["wrk"], plan.load_core)
    try:
        if scenario.idle_connections:
            measure_idle(scenario, tools, plan, origin, results, say)
        else:
            measure_load(scenario, tools, plan, origin, load, results, say)
    finally:
        origin.process.stop()
        shutil.rmtree(directory / "origin" / "www", ignore_errors=True)
    return list(results.values())


class Direct:
    """The origin in the place of a proxy."""

    metrics = None

    def __init__(self, origin):
        self.port, self.process = origin.port, origin.process


def measure_load(scenario, tools, plan, origin, load, results, say):
    up = {}
    try:
        for index, (contestant, result) in enumerate(results.items()):
            if contestant.peer == "direct":
                up[contestant] = Direct(origin)
                continue
            try:
                folder = plan.work / scenario.name / f"{index}-{contestant.peer}"
                running = Running(contestant, tools, folder, plan.proxy_core, origin.port)
            except BenchError as error:
                give_up(result, error, say)
                continue
            up[contestant] = running
            result.rss_empty = running.process.rss()
        for contestant in up:
            say(f"  warm up {contestant.label}")
            with kept(up, results, contestant, say):
                load.saturate(up[contestant].port, scenario.load, 1)
        for contestant, number in in_turn(results, up, plan.runs):
            with kept(up, results, contestant, say):
                one_run(scenario, plan, origin, load, up[contestant], results[contestant])
                last = results[contestant].saturation[-1]
                say(f"  run {number + 1} {contestant.label}: {last['rps']:,.0f} requests/s")
        if scenario.latency and plan.latency:
            for contestant, number in in_turn(results, up, plan.runs):
                with kept(up, results, contestant, say):
                    one_latency(scenario, plan, origin, load, up[contestant], results[contestant])
                    last = results[contestant].latency[-1]
                    say(f"  latency {number + 1} {contestant.label}: p99 {last['p99']:,.0f} µs"
                        f" at {last['rate']:,.0f} requests/s, others {last['others']:.0%}")
    finally:
        for contestant, running in up.items():
            if contestant.peer != "direct":
                running.process.stop()


def in_turn(results, up, runs):
    """Each contestant once a run, in the other direction each time; who has failed is left out."""
    for number in range(runs):
        order = list(results) if number % 2 == 0 else list(reversed(results))
        for contestant in order:
            if contestant in up and not results[contestant].failure:
                yield contestant, number


@contextmanager
def kept(up, results, contestant, say):
    """One contestant's failure is its result and not the end of the scenario."""
    try:
        yield
        if not up[contestant].process.alive():
            raise BenchError(f"it ended: {up[contestant].process.tail()}")
    except (BenchError, OSError) as error:
        give_up(results[contestant], error, say)


def give_up(result, error, say):
    result.failure = str(error)
    say(f"  {result.contestant.label} FAILED: {error}")


@dataclass
class Usage:
    """CPU time of the contestant over a measurement; how full its core was; what other programs took meanwhile as a
    part of both cores."""

    user: float = 0.0
    system: float = 0.0
    core: float = 0.0
    others: float = 0.0


@contextmanager
def watched(plan, origin, running):
    """Fills the usage it gives when the measurement is over."""
    cores = {plan.proxy_core, plan.load_core}
    servers = {running.process, origin.process}
    usage = Usage()
    before = {server: server.cpu() for server in servers}
    began, busy_before, ours_before = time.monotonic(), busy(cores), ours()
    yield usage
    spent = {server: server.cpu() - before[server] for server in servers}
    took = (time.monotonic() - began) * 1e6
    load_side = spent[origin.process].total + ours() - ours_before
    mine = spent[running.process]
    usage.user, usage.system, usage.core = mine.user, mine.system, mine.total / took
    known = load_side if running.process is origin.process else load_side + mine.total
    usage.others = max(0.0, busy(cores) - busy_before - known) / took / len(cores)


def one_run(scenario, plan, origin, load, running, result):
    with scraped(running.metrics), watched(plan, origin, running) as usage:
        counted = load.saturate(running.port, scenario.load, plan.seconds)
    if not counted.requests:
        raise BenchError("no request was answered")
    result.errors += counted.errors
    result.saturation.append({
        "rps": counted.rps,
        "user_us": usage.user / counted.requests,
        "system_us": usage.system / counted.requests,
        "core": usage.core,
        "others": usage.others,
        "rss": running.process.rss(),
    })


def one_latency(scenario, plan, origin, load, running, result):
    """At the rate that was asked for, or half of what this contestant reached at saturation."""
    rate = plan.latency_rate or median(run["rps"] for run in result.saturation) / 2
    with watched(plan, origin, running) as usage:
        measured = load.at_rate(running.port, scenario.load.path, rate, plan.seconds)
    result.errors += measured.errors
    result.latency.append({**asdict(measured), "asked": rate, "core": usage.core,
                           "others": usage.others})


def measure_idle(scenario, tools, plan, origin, results, say):
    """A fresh process for each: what one run leaves behind would be missing in the next one's growth."""
    for number in range(plan.runs):
        for index, (contestant, result) in enumerate(results.items()):
            if result.failure:
                continue
            folder = plan.work / scenario.name / f"{number}-{index}-{contestant.peer}"
            try:
                running = Running(contestant, tools, folder, plan.proxy_core, origin.port)
                try:
                    result.rss_empty = running.process.rss()
                    held = idle.hold(running, scenario.idle_connections, settle=min(3.0, plan.seconds))
                finally:
                    running.process.stop()
            except (BenchError, OSError) as error:
                give_up(result, error, say)
                continue
            result.idle.append({**asdict(held), "per_connection": held.per_connection})
            say(f"  run {number + 1} {contestant.label}: {held.per_connection / 1024:.1f} KiB per connection")


@contextmanager
def scraped(metrics):
    """Has the metrics read every second, as Prometheus would."""
    if not metrics:
        yield
        return
    port, path = metrics
    over = threading.Event()
    failures = []

    def scrape():
        while not over.wait(1):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5).read()
            except OSError as error:
                failures.append(error)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
    if failures:
        raise BenchError(f"metrics were not to be had: {failures[0]}")
