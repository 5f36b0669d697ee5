"""The load: `sidegate-ends` closed loop and open loop, or wrk closed loop."""

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .process import BenchError, prepare
from .template import CONFIGS

HEADERS = ["-H", "User: admin"]
# Of the open loop: enough that a request hardly ever finds none free.
OPEN_CONNECTIONS = 256
SETTLE = 0.3


@dataclass(frozen=True)
class Saturation:
    """What the closed loop came to."""

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
    # Part of the time in which clients and origin had something to do.
    load_busy: float


class WithEnds:
    """Requests from the process that is the origin too."""

    def __init__(self, ends):
        self.ends = ends

    def saturate(self, port, load, seconds):
        """Closed loop: each connection sends its next request when the reply is there."""
        plan = {"port": port, "path": load.path, "connections": load.connections, "seconds": seconds,
                "close": load.close, "upload": load.upload, "chunk": load.chunk, "routes": list(load.routes) or None}
        report = self.ends.ask(plan, seconds + 30)
        return Saturation(report["requests"], report["rps"], report["errors"])

    def at_rate(self, port, path, rate, seconds):
        """Open loop: requests leave when they are due, with gaps of chance, however slow replies are."""
        plan = {"port": port, "path": path, "connections": OPEN_CONNECTIONS, "rate": rate,
                "settle_seconds": SETTLE, "seconds": seconds}
        report = self.ends.ask(plan, seconds + 30)
        return Latency(report["rps"], report["p50_us"], report["p99_us"], report["p999_us"], report["errors"],
                       report["busy"])


class WithWrk:
    """Requests from wrk."""

    def __init__(self, binary, core):
        self.binary, self.core = binary, core

    def saturate(self, port, load, seconds):
        """Closed loop: each connection sends its next request when the reply is there."""
        if load.path == "/chunks" or load.chunk:
            raise BenchError("wrk and its origin have no bodies in chunks")
        command = [self.binary, "-t1", f"-c{load.connections}", f"-d{seconds}s", "--timeout", "10s", *HEADERS]
        script_args = ()
        if load.upload:
            command += ["-s", str(CONFIGS / "upload.lua")]
            script_args = (load.upload,)
        if load.routes:
            command += ["-s", str(CONFIGS / "routes.lua")]
            script_args = load.routes
        if load.close:
            command += ["-H", "Connection: close"]
        command.append(f"http://127.0.0.1:{port}{load.path}")
        if script_args:
            command += ["--", *map(str, script_args)]
        text = run(command, self.core, seconds + 30)
        requests = re.search(r"(\d+) requests in", text)
        rps = re.search(r"Requests/sec:\s*([\d.]+)", text)
        if not requests or not rps:
            raise BenchError(f"wrk printed no result: {text[-1000:]}")
        bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
        errors = int(bad.group(1)) if bad else 0
        broken = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
        errors += sum(map(int, broken.groups())) if broken else 0
        return Saturation(int(requests.group(1)), float(rps.group(1)), errors)


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
