"""Medians, the table, and the ratios that Sidegate promises."""

from statistics import median

from .peers import Contestant
from .scenarios import ONE_HOST, MANY_HOSTS, RUST, Routes

SIDEGATE, DEMO = Contestant("sidegate"), Contestant("sidegate", filter="demo")
NGINX, ENVOY = Contestant("nginx"), Contestant("envoy")
ONE_ROUTE = Contestant("sidegate", routes=Routes(), note="1 route")
FULL_CORE = 0.93
# Above it, requests queue in the load generator and the origin.
BUSY_LOAD_CORE = 0.6
MIB = 1024 * 1024


def middle(runs, key):
    """Median of one figure, or None without runs."""
    return median(run[key] for run in runs) if runs else None


def spread(runs, key):
    """Half of the distance between the extremes, as a part of the median."""
    values = [run[key] for run in runs]
    return (max(values) - min(values)) / 2 / median(values) if len(values) > 1 and median(values) else None


def table(scenarios, results):
    """The figures as text, a block a scenario."""
    lines = []
    for scenario in scenarios:
        rows = [result for result in results if result.scenario == scenario.name]
        lines += ["", f"{scenario.name}: {scenario.title}"]
        lines += idle_rows(rows) if scenario.idle_connections else load_rows(rows)
    return "\n".join(lines) + "\n"


def load_rows(rows):
    head = ["", "requests/s", "± %", "user µs", "system µs", "core %", "others %", "p50 µs", "p99 µs", "at requests/s",
            "RSS MiB"]
    body = [head]
    for row in rows:
        runs, latency, direct = row.saturation, row.latency, row.contestant.peer == "direct"
        core = middle(runs, "core")
        body.append([
            row.contestant.label + remark(row),
            number(middle(runs, "rps"), ",.0f"),
            number(scaled(spread(runs, "rps"), 100), ".1f"),
            "" if direct else number(middle(runs, "user_us"), ".2f"),
            "" if direct else number(middle(runs, "system_us"), ".2f"),
            "" if direct else number(scaled(core, 100), ".0f") + ("*" if core and core < FULL_CORE else " "),
            number(scaled(middle([*runs, *latency], "others"), 100), ".0f"),
            number(middle(latency, "p50"), ",.0f"),
            number(middle(latency, "p99"), ",.0f") + doubt(latency),
            number(middle(latency, "rate"), ",.0f"),
            "" if direct else number(scaled(middle(runs, "rss"), 1 / MIB), ".1f"),
        ])
    return aligned(body)


def idle_rows(rows):
    body = [["", "RSS empty MiB", "KiB per connection", "RSS held MiB", "RSS after MiB"]]
    for row in rows:
        body.append([
            row.contestant.label + remark(row),
            number(scaled(row.rss_empty or None, 1 / MIB), ".1f"),
            number(scaled(middle(row.idle, "per_connection"), 1 / 1024), ".1f"),
            number(scaled(middle(row.idle, "held"), 1 / MIB), ".1f"),
            number(scaled(middle(row.idle, "after"), 1 / MIB), ".1f"),
        ])
    return aligned(body)


LEGEND = (
    "Medians; ± is half of the distance between the extremes. others %: what programs outside of the benchmark took of\n"
    "both cores; figures with more than a few per cent are noise. * the proxy did not fill its core: origin and load\n"
    "generator were the bound, or others took it; compare the CPU time. ! clients and origin were busy themselves and\n"
    "their queues are in the latency: take a lower rate (--latency-rate). RSS of a peer with several processes counts\n"
    "what they share in each.\n"
)


def remark(row):
    if row.failure:
        return "  FAILED"
    return f"  {row.errors} ERRORS" if row.errors else ""


def doubt(latency):
    """A mark on latencies that the load generator had a part in."""
    if not latency:
        return ""
    return "!" if middle(latency, "load_busy") > BUSY_LOAD_CORE else " "


def scaled(value, factor):
    return None if value is None else value * factor


def number(value, form):
    return "" if value is None else format(value, form)


def aligned(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  " + "  ".join(cell.ljust(width) if index == 0 else cell.rjust(width)
                             for index, (cell, width) in enumerate(zip(row, widths))).rstrip() for row in rows]


# Scenario, what, of whom, against whom, list of runs, figure, bound. The ratio is formed run by run, so that a
# machine that slows down between two runs does not count.
RATIOS = (
    ("small", "requests/s, Rust .so ÷ nginx", RUST, NGINX, "saturation", "rps", ">=", 1.0),
    ("small", "requests/s, Rust .so ÷ Envoy", RUST, ENVOY, "saturation", "rps", ">=", 3.0),
    ("small", "p99 of the open loop, Rust .so ÷ nginx", RUST, NGINX, "latency", "p99", "<=", 1.1),
    ("10k", "requests/s, Rust .so ÷ nginx", RUST, NGINX, "saturation", "rps", ">=", 1.0),
    ("10k", "requests/s, Rust .so ÷ Envoy", RUST, ENVOY, "saturation", "rps", ">=", 3.0),
    ("10k", "p99 of the open loop, Rust .so ÷ nginx", RUST, NGINX, "latency", "p99", "<=", 1.1),
    ("filter", "requests/s, Rust .so ÷ built in", RUST, DEMO, "saturation", "rps", ">=", 0.99),
    ("filter", "requests/s, C .so ÷ built in", Contestant("sidegate", filter="c"), DEMO, "saturation", "rps",
     ">=", 0.99),
    ("routes", "requests/s, 1,000 × 10 routes ÷ one", Contestant("sidegate", routes=MANY_HOSTS,
                                                               note="1,000 × 10 routes"), ONE_ROUTE,
     "saturation", "rps", ">=", 0.97),
    ("routes-flat", "requests/s, 10,000 routes ÷ one", Contestant("sidegate", routes=ONE_HOST, note="10,000 routes"),
     ONE_ROUTE, "saturation", "rps", ">=", 0.97),
)


def targets(results):
    """Ratios against what is aimed at; what was not measured is left out."""
    by_key = {(result.scenario, result.contestant): result for result in results}
    found = []
    for scenario, what, ours, theirs, runs, figure, sign, bound in RATIOS:
        mine, other = by_key.get((scenario, ours)), by_key.get((scenario, theirs))
        if not mine or not other:
            continue
        pairs = [a[figure] / b[figure] for a, b in zip(getattr(mine, runs), getattr(other, runs)) if b[figure]]
        if pairs:
            extremes = f"{min(pairs):.3f}–{max(pairs):.3f}"
            unsure = runs == "latency" and "!" in doubt(mine.latency) + doubt(other.latency)
            found.append(target(f"{scenario}: {what}", median(pairs), sign, bound, extremes, unsure))
    idle = by_key.get(("idle", SIDEGATE))
    if idle and idle.idle:
        found.append(target("idle: RSS empty, MiB", idle.rss_empty / MIB, "<=", 15.0))
        found.append(target("idle: KiB per idle connection", middle(idle.idle, "per_connection") / 1024, "<=", 12.0))
    return found


def target(what, value, sign, bound, pairs="", unsure=False):
    reached = value >= bound if sign == ">=" else value <= bound
    verdict = "not to be judged (!)" if unsure else "reached" if reached else "missed"
    return {"what": what, "value": value, "sign": sign, "bound": bound, "pairs": pairs, "verdict": verdict}


def targets_text(found):
    if not found:
        return ""
    signs = {">=": "≥", "<=": "≤"}
    rows = [["", "measured", "runs", "aim", ""]]
    rows += [[entry["what"], f"{entry['value']:.3f}", entry["pairs"], f"{signs[entry['sign']]} {entry['bound']}",
              entry["verdict"]] for entry in found]
    return "\n".join(["Aims", *aligned(rows)]) + "\n"
