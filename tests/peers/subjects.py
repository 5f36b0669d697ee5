"""Who stands between the peers: Sidegate, or another proxy for comparison."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "bench"))

from sidebench import h2, tools  # noqa: E402
from sidebench.process import BenchError, Process, connects, free_ports  # noqa: E402
from sidebench.template import fill_text  # noqa: E402

import needs  # noqa: E402


takes_part = h2.takes_part


class Subject:
    """A proxy before a host that speaks `h1` or `h2`; ended by `stop`."""

    def __init__(self, name, upstream, directory, origin_port):
        directory.mkdir(parents=True)
        directory.chmod(0o755)
        self.name, self.directory = name, directory
        if name == "sidegate":
            (self.port,) = free_ports(1)
            values = {"DIR": directory, "PORT": self.port, "ORIGIN_PORT": origin_port,
                      "UPSTREAM": {"h1": "Http1", "h2": "Http2"}[upstream]}
            config = directory / "sidegate.yaml"
            config.write_text(fill_text((needs.HERE / "sidegate.yaml").read_text(), values))
            command = [needs.release("sidegate"), "run", "-c", config, "--workers", 1]
            self.process = Process(name, command, None, directory)
            try:
                self.process.wait_until(lambda: connects(self.port), "listening")
            except BaseException:
                self.process.stop()
                raise
            return
        found = tools.find(sidegate=str(needs.release("sidegate")))
        running = h2.Running(name, upstream, found, directory / "peer", None, origin_port)
        self.process, self.port = running.process, running.port

    def stop(self):
        alive = self.process.alive()
        self.process.stop()
        if not alive:
            raise BenchError(f"{self.name} ended by itself: {self.process.tail()}")


class Server:
    """A host whose program prints its port as JSON and ends with its input."""

    def __init__(self, name, command, directory):
        directory.mkdir(parents=True, exist_ok=True)
        self.process = Process(name, command, None, directory, asked=True)
        try:
            self.port = h2.port_of(self.process)
        except BaseException:
            self.process.stop()
            raise

    def stop(self):
        self.process.child.stdin.close()
        self.process.stop()


class Nghttpd(Server):
    """nghttpd, which has to be told its port."""

    def __init__(self, binary, directory):
        root = directory / "www"
        root.mkdir(parents=True)
        (root / "index.html").write_bytes(b"hello from the origin\n")
        (root / "1m").write_bytes(b"x" * (1 << 20))
        (self.port,) = free_ports(1)
        command = [binary, "--no-tls", "-a", "127.0.0.1", "-d", root, "--trailer", "x-trailer: done", self.port]
        self.process = Process("nghttpd", command, None, directory)
        try:
            self.process.wait_until(lambda: connects(self.port), "listening")
        except BaseException:
            self.process.stop()
            raise

    def stop(self):
        self.process.stop()
