"""Sidegate with TLS between the peers, and certificates for all of them."""

import re
import subprocess
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import needs
from subjects import BenchError, Process, connects, free_ports
from sidebench.template import fill_text

NAME, OTHER_NAME, CLIENT = "peers.test", "other.test", "client.peers.test"
WORDS = {"h1": "Http1", "h2": "Http2"}


@dataclass(frozen=True)
class Certs:
    """ca.pem, server.pem, client.pem and their keys; ECDSA with P-256."""

    folder: Path

    def __getattr__(self, name):
        """`server_key` is the path of server.key, `ca` that of ca.pem."""
        stem, _, kind = name.partition("_")
        return str(self.folder / f"{stem}.{kind or 'pem'}")


def make_certs(folder, name):
    done = subprocess.run([needs.release("sidegate"), "cert", str(folder), "--name", name, "--name", "127.0.0.1",
                           "--client", CLIENT], capture_output=True, text=True, timeout=60, check=False)
    if done.returncode:
        raise BenchError(f"sidegate cert: {done.stderr[-300:]}")
    # Java and nghttpd want one file, or the whole chain.
    for who in ("server", "client"):
        pem, key = folder / f"{who}.pem", folder / f"{who}.key"
        (folder / f"{who}.bundle").write_text(pem.read_text() + key.read_text())
    return Certs(folder)


class TlsProxy:
    """The listeners `open`, `mutual`, `old` and `clear` before a host that speaks `h1` or `h2`, in TLS or not."""

    def __init__(self, directory, upstream, host_tls, origin_port, certs, other):
        directory.mkdir(parents=True)
        self.certs, self.other = certs, other
        self.open, self.mutual, self.old, self.clear, self.admin = free_ports(5)
        context = [f"tls_context: {{status: true, ca_cert: {certs.ca}, server_name: {NAME}, "
                   f"cert_chain: {certs.client}, private_key: {certs.client_key}}}"] if host_tls else []
        values = {"DIR": directory, "OPEN": self.open, "MUTUAL": self.mutual, "OLD": self.old, "CLEAR": self.clear,
                  "ADMIN": self.admin, "ORIGIN_PORT": origin_port, "UPSTREAM": WORDS[upstream], "CERTS": certs.folder,
                  "OTHER": other.folder, "HOST_TLS": "\n".join(context)}
        config = directory / "tls.yaml"
        config.write_text(fill_text((needs.HERE / "tls.yaml").read_text(), values))
        self.log = directory / "sidegate.log"
        self.process = Process("sidegate", [needs.release("sidegate"), "run", "-c", config, "--workers", 1], None,
                               directory)
        try:
            self.process.wait_until(lambda: connects(self.clear), "listening")
        except BaseException:
            self.process.stop()
            raise

    def resumed(self):
        """How many handshakes with hosts went on with an earlier session."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin}/stats/prometheus", timeout=20) as page:
            text = page.read().decode()
        counts = re.findall(r'^upstream_tls_handshakes_total\{[^}]*resumed="true"[^}]*\} (\d+)', text, re.MULTILINE)
        return sum(map(int, counts))

    def stop(self):
        alive = self.process.alive()
        self.process.stop()
        if not alive:
            raise BenchError(f"sidegate ended by itself: {self.process.tail()}")


def one(check, subject, directory):
    """Results of a check of TLS with a proxy of its own."""
    if subject != "sidegate":
        raise needs.Missing(f"{subject} is not set up for TLS")
    program = check.ready()
    directory.mkdir(parents=True)
    directory.chmod(0o755)
    certs, other = make_certs(directory / "certs", NAME), make_certs(directory / "other", OTHER_NAME)
    host = check.host(directory / "host", certs) if check.tls == "behind" else check.host(directory / "host")
    try:
        proxy = TlsProxy(directory / "proxy", check.upstream, check.tls == "behind", host.port, certs, other)
        try:
            return check.run(program, proxy)
        finally:
            proxy.stop()
    finally:
        host.stop()
