"""What a plugin that brings certificates has to do."""

import contextlib
import json
import os
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
from pathlib import Path

from proxy import PATIENCE, Proxy, is_alive, same, until

NAMES = "localhost,gate.test,127.0.0.1"


class Loader:
    """The program, run as the proxy runs it, and the questions that MOSN asks."""

    def __init__(self, command, ask):
        self.command, self.ask = command, ask
        self.stack = contextlib.ExitStack()

    def __enter__(self):
        self.folder = Path(self.stack.enter_context(tempfile.TemporaryDirectory(prefix="sidegate-loader-")))
        self.authority = self.folder / "ca.pem"
        # What the proxy gives them, and where they may write.
        environment = {"MOSN_PLUGIN": "ON", "PLUGIN_PROTOCOL_VERSIONS": "1", "PLUGIN_MIN_PORT": "10000",
                       "PLUGIN_MAX_PORT": "25000", "TMPDIR": str(self.folder)}
        self.process = subprocess.Popen([*self.command, "--name", NAMES, "--ca-out", self.authority],
                                        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.said = []
        reader = threading.Thread(target=lambda: self.said.extend(self.process.stderr), daemon=True)
        reader.start()
        for close in (self.process.stdout.close, self.end):
            self.stack.callback(close)
        fields = self.process.stdout.readline().rstrip("\n").split("|")
        same(fields[:3] + fields[4:5], ["1", "1", "unix", "grpc"])
        self.address = f"unix:{fields[3]}"
        return self

    def __exit__(self, *_):
        self.stack.close()

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(PATIENCE)

    def bring(self):
        """One answer; it is asked by grpcio, from an environment that has it."""
        answer = subprocess.run([self.ask, Path(__file__).with_name("ask.py"), self.address], check=True,
                                stdout=subprocess.PIPE, timeout=PATIENCE).stdout
        return json.loads(answer)


def brings(loader):
    """brings a key, its certificate and the authority"""
    brought = loader.bring()
    same(sorted(brought), ["ca_pem", "cert_pem", "key_pem"])
    same(brought["ca_pem"], loader.authority.read_text())
    assert "-----BEGIN PRIVATE KEY-----" in brought["key_pem"]
    for name in NAMES.split(","):
        same(handshake(loader.folder, brought, name)["subject"], ((("commonName", "loader"),),))
    with contextlib.suppress(ssl.SSLCertVerificationError):
        handshake(loader.folder, brought, "other.test")
        raise AssertionError("the certificate is for every name")


def rotates(loader):
    """brings another one each time, of the same authority"""
    first, second = loader.bring(), loader.bring()
    same(first["ca_pem"], second["ca_pem"])
    serials = [handshake(loader.folder, brought, "gate.test")["serialNumber"] for brought in (first, second)]
    assert serials[0] != serials[1], serials
    assert first["key_pem"] != second["key_pem"]


def keeps(loader):
    """writes no key anywhere"""
    brought = loader.bring()
    secret = brought["key_pem"].splitlines()[1]
    for folder, _, files in os.walk(loader.folder):
        for name in files:
            path = Path(folder, name)
            assert not path.is_file() or secret not in path.read_text(errors="replace"), path
    assert secret not in "".join(loader.said)


def serves(binary, command):
    """is served by the proxy, and rotated"""
    with Proxy(binary, loader=[*command, "--name", NAMES]) as proxy:
        trusting = ssl.create_default_context(cafile=proxy.folder / "ca.pem")

        def serial():
            with socket.create_connection(("127.0.0.1", proxy.port), PATIENCE) as connection:
                with trusting.wrap_socket(connection, server_hostname="gate.test") as session:
                    session.sendall(b"GET / HTTP/1.1\r\nHost: gate.test\r\nConnection: close\r\n\r\n")
                    same(session.recv(12), b"HTTP/1.1 200")
                    return session.getpeercert()["serialNumber"]

        seen = {serial()}
        # Each of them is good: none is half another.
        until("three certificates", lambda: seen.add(serial()) or len(seen) >= 3)
        assert "PRIVATE KEY" not in proxy.logs()
        pid = proxy.status()["pid"]
        os.kill(pid, signal.SIGSTOP)
        # What was brought is served while nobody brings anything.
        try:
            serial()
        finally:
            os.kill(pid, signal.SIGCONT)
        proxy.process.terminate()
        same((proxy.process.wait(PATIENCE), is_alive(pid)), (0, False))


def handshake(folder, brought, name):
    """A session between a server that has what was brought and a client that trusts the authority alone."""
    pair = folder / "pair.pem"
    try:
        pair.write_text(brought["cert_pem"] + brought["key_pem"])
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(pair)
    finally:
        pair.unlink()
    client = ssl.create_default_context(cadata=brought["ca_pem"])
    ours, theirs = socket.socketpair()
    for end in (ours, theirs):
        end.settimeout(PATIENCE)

    def serve():
        with contextlib.suppress(OSError), server.wrap_socket(theirs, server_side=True) as session:
            session.recv(1)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    try:
        with client.wrap_socket(ours, server_hostname=name) as session:
            return session.getpeercert()
    finally:
        ours.close()
        thread.join(PATIENCE)
        theirs.close()


CHECKS = [brings, rotates, keeps]
