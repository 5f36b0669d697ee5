"""The load generators: wrk for saturation, h2load for latency at a fixed rate."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .process import BenchError, prepare
from .template import CONFIGS

HEADERS = ["-H", "User: admin"]


@dataclass(frozen=True)
class Saturation:
    """What wrk counted."""

    requests: int
    rps: float
    errors: int


@dataclass(frozen=True)
class Latency:
    """Microseconds, and the rate in requests/s that was reached."""

    rate: float
    p50: float
    p99: float
    p999: float
    errors: int


def saturate(tools, core, port, load, seconds):
    """Closed loop: each connection sends its next request when the reply is there."""
    command = [tools["wrk"], "-t1", f"-c{load.connections}", f"-d{seconds}s", "--timeout", "10s", *HEADERS]
    if load.script:
        command += ["-s", str(CONFIGS / load.script)]
    if load.close:
        command += ["-H", "Connection: close"]
    command.append(f"http://127.0.0.1:{port}{load.path}")
    if load.script_args:
        command += ["--", *map(str, load.script_args)]
    text = run(command, core, seconds + 30)
    requests = re.search(r"(\d+) requests in", text)
    rps = re.search(r"Requests/sec:\s*([\d.]+)", text)
    if not requests or not rps:
        raise BenchError(f"wrk printed no result: {text[-1000:]}")
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    errors = int(bad.group(1)) if bad else 0
    broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    errors += sum(map(int, broken.groups())) if broken else 0
    return Saturation(int(requests.group(1)), float(rps.group(1)), errors)


# h2load wakes a connection at most 100 times a second; above that it sends in bursts.
MOST_PER_CONNECTION = 90
RAMP = 1.0
SETTLE = 0.3


def at_rate(tools, core, port, path, rate, seconds, directory):
    """Open loop: requests leave at `rate`, however slow replies are.

    Connections start one after another over a second, so that requests are spread over time and do not come in
    bursts; only what is sent after that counts.
    """
    clients = max(512, int(rate / MOST_PER_CONNECTION) + 1)
    log = Path(directory) / "h2load.log"
    log.unlink(missing_ok=True)
    total = int(rate * (RAMP + SETTLE + seconds + 0.2))
    per_client = -(-total // clients)
    command = [
        tools["h2load"], "--h1", "-t1", f"-c{clients}", f"-n{per_client * clients}", f"--rps={rate / clients:.3f}",
        "-r1", f"--rate-period={max(1, round(RAMP * 1000 / clients))}ms", f"--log-file={log}", *HEADERS,
        f"http://127.0.0.1:{port}{path}",
    ]
    run(command, core, seconds + 60)
    return read_latency(log, seconds)


def read_latency(log, seconds):
    rows = []
    with open(log, encoding="ascii") as lines:
        for line in lines:
            start, status, micros = line.split()
            rows.append((int(start), int(status), int(micros)))
    log.unlink()
    if not rows:
        raise BenchError("h2load logged no request")
    begin = min(row[0] for row in rows) + (RAMP + SETTLE) * 1e6
    end = begin + seconds * 1e6
    window = [row for row in rows if begin <= row[0] < end]
    if not window:
        raise BenchError("h2load sent nothing after its ramp")
    times = sorted(row[2] for row in window)

    def quantile(part):
        return float(times[min(len(times) - 1, int(part * len(times)))])

    errors = sum(not 200 <= row[1] < 300 for row in window)
    return Latency(len(window) / seconds, quantile(0.5), quantile(0.99), quantile(0.999), errors)


def run(command, core, timeout):
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL,
            preexec_fn=lambda: prepare(core),
        )
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"{Path(command[0]).name} did not end within {timeout} s") from error
    if done.returncode != 0:
        raise BenchError(f"{Path(command[0]).name} ended with {done.returncode}: {(done.stdout + done.stderr)[-1000:]}")
    return done.stdout
