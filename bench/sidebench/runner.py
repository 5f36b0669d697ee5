"""Runs scenarios: everybody up at once, measured one at a time, in the order ABBA."""

import shutil
import threading
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import idle, load
from .peers import Origin, Running
from .process import BenchError, busy, ours


@dataclass(frozen=True)
class Plan:
    """How long, how often, on which cores."""

    seconds: float
    runs: int
    proxy_core: int
    load_core: int
    latency: bool
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
    origin = Origin(tools, directory / "origin", plan.load_core)
    try:
        if scenario.idle_connections:
            measure_idle(scenario, tools, plan, origin, results, say)
        else:
            measure_load(scenario, tools, plan, origin, results, say)
    finally:
        origin.process.stop()
        shutil.rmtree(directory / "origin" / "www", ignore_errors=True)
    return list(results.values())


class Direct:
    """The origin in the place of a proxy."""

    metrics = None

    def __init__(self, origin):
        self.port, self.process = origin.port, origin.process


def measure_load(scenario, tools, plan, origin, results, say):
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
                load.saturate(tools, plan.load_core, up[contestant].port, scenario.load, 1)
        for contestant, number in in_turn(results, up, plan.runs):
            with kept(up, results, contestant, say):
                one_run(scenario, tools, plan, origin, up[contestant], results[contestant])
                last = results[contestant].saturation[-1]
                say(f"  run {number + 1} {contestant.label}: {last['rps']:,.0f} requests/s")
        if scenario.latency and plan.latency:
            for contestant, number in in_turn(results, up, plan.runs):
                with kept(up, results, contestant, say):
                    one_latency(scenario, tools, plan, up[contestant], results[contestant])
                    last = results[contestant].latency[-1]
                    say(f"  latency {number + 1} {contestant.label}: p99 {last['p99']:,.0f} µs"
                        f" at {last['rate']:,.0f} requests/s")
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


def one_run(scenario, tools, plan, origin, running, result):
    cores = {plan.proxy_core, plan.load_core}
    with scraped(running.metrics):
        before, origin_before = running.process.cpu(), origin.process.cpu()
        began, busy_before, ours_before = time.monotonic(), busy(cores), ours()
        counted = load.saturate(tools, plan.load_core, running.port, scenario.load, plan.seconds)
        cpu, origin_cpu = running.process.cpu() - before, origin.process.cpu() - origin_before
        took, known = (time.monotonic() - began) * 1e6, cpu.total + ours() - ours_before
        if running.process is not origin.process:
            known += origin_cpu.total
        others = max(0.0, busy(cores) - busy_before - known)
    if not counted.requests:
        raise BenchError("no request was answered")
    result.errors += counted.errors
    result.saturation.append({
        "rps": counted.rps,
        "user_us": cpu.user / counted.requests,
        "system_us": cpu.system / counted.requests,
        "core": cpu.total / took,
        "others": others / took / len(cores),
        "rss": running.process.rss(),
    })


def one_latency(scenario, tools, plan, running, result):
    """At half of what this contestant reached at saturation."""
    reached = sorted(run["rps"] for run in result.saturation)
    rate = reached[len(reached) // 2] / 2
    measured = load.at_rate(
        tools, plan.load_core, running.port, scenario.load.path, rate, plan.seconds, plan.work / scenario.name
    )
    result.errors += measured.errors
    result.latency.append({**asdict(measured), "asked": rate})


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
