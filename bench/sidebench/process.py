"""Processes pinned to a core, and what /proc says about them."""

import os
import random
import resource
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

TICK = 1_000_000 / os.sysconf("SC_CLK_TCK")


class BenchError(Exception):
    """The run cannot go on, or a measurement means nothing."""


@dataclass(frozen=True)
class Cpu:
    """CPU time in microseconds."""

    user: float
    system: float

    @property
    def total(self):
        return self.user + self.system

    def __sub__(self, other):
        return Cpu(self.user - other.user, self.system - other.system)


class Process:
    """A server with its children, in a process group of its own."""

    def __init__(self, name, command, core, directory, asked=False):
        """With `asked` it is spoken to, line by line, through `child.stdin` and `child.stdout`."""
        self.name = name
        self.output = Path(directory) / f"{name}.out"
        with open(self.output, "wb") as output:
            self.child = subprocess.Popen(
                [str(part) for part in command],
                stdin=subprocess.PIPE if asked else subprocess.DEVNULL,
                stdout=subprocess.PIPE if asked else output,
                stderr=output,
                cwd=directory,
                start_new_session=True,
                preexec_fn=lambda: prepare(core),
            )

    def wait_until(self, ready, what, seconds=30):
        """Waits for a condition as long as the process lives."""
        deadline = time.monotonic() + seconds
        while not ready():
            if self.child.poll() is not None:
                raise BenchError(f"{self.name} ended with {self.child.returncode}: {self.tail()}")
            if time.monotonic() > deadline:
                raise BenchError(f"{self.name}: {what} not within {seconds} s: {self.tail()}")
            time.sleep(0.02)

    def tail(self):
        text = self.output.read_text(errors="replace").strip()
        return text[-2000:] or "it printed nothing"

    def alive(self):
        return self.child.poll() is None

    def pids(self):
        """The process and all its descendants."""
        found, todo = [], [self.child.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            for task in Path(f"/proc/{pid}/task").glob("*/children"):
                try:
                    todo += [int(child) for child in task.read_text().split()]
                except OSError:
                    pass
        return found

    def cpu(self):
        user = system = 0
        for pid in self.pids():
            # The name, in parentheses, may hold blanks.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            user, system = user + int(fields[11]), system + int(fields[12])
        return Cpu(user * TICK, system * TICK)

    def own_cpu(self):
        """Microseconds of the process without its descendants, as exact as the kernel counts."""
        # What clock_getcpuclockid(3) gives on Linux.
        return time.clock_gettime(~self.child.pid << 3 | 2) * 1e6

    def rss(self):
        """Resident bytes of all its processes; what they share counts for each."""
        return sum(status_kib(pid, "VmRSS:") for pid in self.pids()) * 1024

    def stop(self, patience=3):
        if self.alive():
            self.child.send_signal(signal.SIGTERM)
            try:
                self.child.wait(patience)
            except subprocess.TimeoutExpired:
                # The group is the child's own, made by us.
                os.killpg(self.child.pid, signal.SIGKILL)
        self.child.wait(10)


def prepare(core):
    """In the child: its core, if one was chosen, and as many descriptors as it may have."""
    if core is not None:
        os.sched_setaffinity(0, {core})
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def status_kib(pid, key):
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1])
    return 0


def busy(cores):
    """Microseconds in which any of the cores did something, for whomever."""
    total = 0
    names = {f"cpu{core}" for core in cores}
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name in names:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            total += user + nice + system + irq + softirq + steal
    return total * TICK


def ours():
    """Microseconds of this process and its ended children: the load generators."""
    times = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(time.ru_utime + time.ru_stime for time in times) * 1e6


def free_ports(count):
    """Different free ports, below those that outgoing connections take."""
    found = []
    for _ in range(1000):
        port = random.randrange(10_000, 32_000)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found:
            found.append(port)
        if len(found) == count:
            return found
    raise BenchError("no free ports between 10000 and 32000")


def connects(port):
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False


def connects_to(path):
    """Whether somebody listens at a Unix socket."""
    with socket.socket(socket.AF_UNIX) as sock:
        try:
            sock.connect(str(path))
            return True
        except OSError:
            return False
