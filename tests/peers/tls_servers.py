"""Foreign hosts that speak TLS behind Sidegate, and what a client of Sidegate sees of them."""

import http.client
import re
import socket

import needs
from subjects import Process, Server, connects, free_ports
from tls_subject import CLIENT

SMALL = b"hello from the host\n"


class Told:
    """A program that has to be told its port."""

    def __init__(self, name, command, directory, asked=False):
        directory.mkdir(parents=True, exist_ok=True)
        (self.port,) = free_ports(1)
        command = [str(part).replace("@PORT@", str(self.port)) for part in command]
        self.process = Process(name, command, None, directory, asked)
        try:
            self.process.wait_until(lambda: connects(self.port), "listening")
        except BaseException:
            self.process.stop()
            raise

    def stop(self):
        self.process.stop()


def s_server(*options):
    """openssl with its page of what was agreed on; it asks for a certificate, and refuses without one."""
    def start(directory, certs):
        command = [needs.command("openssl"), "s_server", "-accept", "127.0.0.1:@PORT@", "-cert", certs.server, "-key",
                   certs.server_key, "-CAfile", certs.ca, "-Verify", 4, "-verify_return_error", "-www", "-naccept", 1000,
                   *options]
        # With its input closed it ends.
        return Told("openssl", command, directory, asked=True)
    return start


def gnutls_serv(directory, certs):
    command = [needs.command("gnutls-serv"), "--http", "-p", "@PORT@", "--x509certfile", certs.server, "--x509keyfile",
               certs.server_key, "--x509cafile", certs.ca, "--require-client-cert", "--verify-client-cert"]
    return Told("gnutls-serv", command, directory, asked=True)


def nghttpd(directory, certs):
    root = directory / "www"
    root.mkdir(parents=True)
    (root / "index.html").write_bytes(SMALL)
    (root / "1m").write_bytes(b"x" * (1 << 20))
    command = [needs.command("nghttpd"), "-a", "127.0.0.1", "-d", root, "@PORT@", certs.server_key, certs.server]
    return Told("nghttpd", command, directory)


def go(directory, certs):
    return Server("go-tls", [needs.go(), "tls-server", certs.folder], directory)


def java(directory, certs):
    return Server("java-tls", [needs.command("java"), needs.HERE / "java/Tls.java", "server", certs.folder], directory)


def python_ssl(directory, certs):
    return Server("python-ssl", [needs.command("python3"), needs.HERE / "tls/server.py", certs.folder], directory)


def python_grpc(directory, certs):
    return Server("grpcio", [needs.python(), needs.HERE / "grpc/server.py", certs.folder], directory)


def get(port, path="/", body=None, close=False):
    """Status and body that a client of the proxy gets."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        fields = {"Connection": "close"} if close else {}
        connection.request("POST" if body is not None else "GET", path, body=body, headers=fields)
        response = connection.getresponse()
        return response.status, response.read()
    except (http.client.HTTPException, socket.error) as error:
        return 0, repr(error).encode()
    finally:
        connection.close()


def as_wanted(got, status, pattern=None):
    found, body = got
    text = body.decode(errors="replace")
    good = found == status and (pattern is None or re.search(pattern, text))
    return "" if good else f"{found} {text[-300:]!r}"


def from_openssl(version):
    def run(_, proxy):
        first, later = get(proxy.clear), [get(proxy.clear) for _ in range(5)]
        who = as_wanted(first, 200, CLIENT.replace(".", r"\."))
        return [
            (version, as_wanted(first, 200, f"{version}, Cipher is")),
            ("it sees who asks", who),
            # Each page is a connection of its own; sessions are of workers.
            ("resumption", "" if any(re.search(rb"Reused, TLSv1", body) for _, body in later) else
             as_wanted(later[-1], 200, "Reused, TLSv1")),
        ]
    return run


def from_gnutls(_, proxy):
    got = get(proxy.clear)
    return [("a page", as_wanted(got, 200, "TLS1.3|TLS 1.3")), ("it sees who asks", as_wanted(got, 200, CLIENT)),
            ("another", as_wanted(get(proxy.clear), 200)),
            # The page does not say it.
            ("resumption", "" if proxy.resumed() else "the second was not resumed")]


def from_nghttpd(_, proxy):
    return [("a file", as_wanted(get(proxy.clear, "/index.html"), 200, "hello")),
            ("1 MiB", "" if len(get(proxy.clear, "/1m")[1]) == 1 << 20 else "another length")]


def from_program(_, proxy):
    """Of those of ours: `/` says what was agreed on, `/close` ends without a length, `/cut` ends without close_notify."""
    body = bytes(range(256)) * 4096
    found = [
        ("who asks", as_wanted(get(proxy.clear, "/"), 200, f"client={CLIENT}")),
        ("TLS 1.3", as_wanted(get(proxy.clear, "/"), 200, "version=TLSv1.3")),
        ("1 MiB up and down", "" if get(proxy.clear, "/echo", body) == (200, body) else "another body"),
        ("resumption", ""),
    ]
    # Closed after each answer, so that the next is a new connection.
    answers = [get(proxy.clear, "/bye") for _ in range(4)]
    if not any(b"resumed=true" in body for _, body in answers):
        found[-1] = ("resumption", f"{answers[-1]}")
    return found


def from_program_h2(_, proxy):
    """Streams of one connection, so that nothing is resumed."""
    body = bytes(range(256)) * 4096
    return [("who asks", as_wanted(get(proxy.clear, "/"), 200, f"client={CLIENT}")),
            ("1 MiB up and down", "" if get(proxy.clear, "/echo", body) == (200, body) else "another body")]
