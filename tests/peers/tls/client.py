#!/usr/bin/env python3
"""Python's ssl as a client: `client.py OPEN MUTUAL OLD CERTS OTHER`. A line each: `ok` or `FAILED`, a tab, what, a tab, why."""

import http.client
import socket
import ssl
import sys

NAME = "peers.test"


def context(certs, own=None, **settings):
    made = ssl.create_default_context(cafile=f"{certs}/ca.pem")
    if own:
        made.load_cert_chain(f"{own}/client.pem", f"{own}/client.key")
    for key, value in settings.items():
        setattr(made, key, value)
    return made


def dial(made, port, session=None, name=NAME):
    raw = socket.create_connection(("127.0.0.1", port), timeout=20)
    return made.wrap_socket(raw, server_hostname=name, session=session)


def ask(sock, method="GET", path="/", body=None):
    """Status, fields and length of what comes."""
    connection = http.client.HTTPConnection(NAME)
    connection.sock = sock
    connection.request(method, path, body=body)
    response = connection.getresponse()
    return response.status, dict((name.lower(), value) for name, value in response.getheaders()), len(response.read())


def same(found, wanted):
    assert found == wanted, f"{found!r} instead of {wanted!r}"


def fails(run, *words):
    try:
        run()
    except (OSError, http.client.HTTPException) as error:
        assert any(word in str(error).lower().replace("_", " ") for word in words), f"{error!r}"
    else:
        raise AssertionError("it went well")


def main(open_port, mutual, old, certs, other):
    def version(which, port):
        with dial(context(certs, minimum_version=which, maximum_version=which), port) as sock:
            same(sock.version(), {ssl.TLSVersion.TLSv1_2: "TLSv1.2", ssl.TLSVersion.TLSv1_3: "TLSv1.3"}[which])
            same(ask(sock)[0], 200)

    def alpn():
        made = context(certs)
        made.set_alpn_protocols(["h2", "http/1.1"])
        with dial(made, open_port) as sock:
            same(sock.selected_alpn_protocol(), "h2")

    def resumption(which, port, own=None):
        made = context(certs, own, minimum_version=which, maximum_version=which)
        with dial(made, port) as sock:
            same(ask(sock)[0], 200)
            same(sock.session_reused, False)
            session = sock.session
        with dial(made, port, session) as sock:
            same(ask(sock)[0], 200)
            same(sock.session_reused, True)

    def identity():
        with dial(context(certs, certs), mutual) as sock:
            same(ask(sock)[1]["x-client"], "CN=client.peers.test")

    def kept():
        with dial(context(certs), open_port) as sock:
            for _ in range(100):
                same(ask(sock)[0], 200)
            same(ask(sock, "POST", "/", b"x" * (4 << 20))[0], 200)
            same(ask(sock, path="/1m")[2], 1 << 20)

    def without_certificate(made):
        with dial(made, mutual) as sock:
            ask(sock)

    def end():
        """A proxy that closes says so."""
        with dial(context(certs), open_port) as sock:
            sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            while sock.recv(4096):
                pass

    tls12, tls13 = ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3
    checks = {
        "TLS 1.3": lambda: version(tls13, open_port),
        "TLS 1.2": lambda: version(tls12, open_port),
        "TLS 1.2 alone": lambda: version(tls12, old),
        "TLS 1.3 where 1.2 is spoken": lambda: fails(lambda: version(tls13, old), "protocol version"),
        "ALPN": alpn,
        "resumption, TLS 1.3": lambda: resumption(tls13, open_port),
        "resumption, TLS 1.2": lambda: resumption(tls12, open_port),
        "resumption with a certificate, TLS 1.3": lambda: resumption(tls13, mutual, certs),
        "resumption with a certificate, TLS 1.2": lambda: resumption(tls12, mutual, certs),
        "a certificate": identity,
        "no certificate": lambda: fails(lambda: without_certificate(context(certs)), "certificate required"),
        "a certificate of another CA": lambda: fails(lambda: without_certificate(context(certs, other)), "unknown ca", "decrypt error"),
        "a CA that it does not know": lambda: fails(lambda: dial(context(other), open_port), "verify failed"),
        "another name": lambda: fails(lambda: dial(context(certs), open_port, name="nobody.test"), "mismatch"),
        "100 requests on a connection, and large bodies": kept,
        "close_notify": end,
    }
    failed = 0
    for name, check in checks.items():
        try:
            check()
            print(f"ok\t{name}")
        except (AssertionError, OSError, http.client.HTTPException, KeyError) as error:
            failed += 1
            print(f"FAILED\t{name}\t{error!r}")
    return 1 if failed else 0


sys.exit(main(*map(int, sys.argv[1:4]), *sys.argv[4:6]))
