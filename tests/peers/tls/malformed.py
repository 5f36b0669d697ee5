#!/usr/bin/env python3
"""Handshakes that are not as they should be, with tlslite-ng: `malformed.py OPEN CERTS LOG`.

A line each: `ok` or `FAILED`, a tab, what, a tab, why. Each ends with an alert or a close, soon, leaves a line in the log
that is not `internal`, and the listener serves the next client."""

import re
import socket
import ssl
import sys
import time

from tlslite.api import HandshakeSettings, TLSConnection
from tlslite.constants import AlertDescription, AlertLevel, ContentType, ExtensionType, HandshakeType
from tlslite.errors import TLSRemoteAlert
from tlslite.extensions import SupportedVersionsExtension, TLSExtension
from tlslite.messages import Alert, ApplicationData, ChangeCipherSpec, ClientHello, Message

PATIENCE = 15
NAME = "peers.test"


class Client:
    """A TCP connection on which handshakes are written by hand."""

    def __init__(self, port):
        self.sock = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE)

    def record(self, kind, data, version=b"\x03\x01"):
        self.sock.sendall(bytes([kind]) + version + len(data).to_bytes(2, "big") + bytes(data))

    def end(self):
        """Bytes up to the end that the proxy makes."""
        data = b""
        try:
            while part := self.sock.recv(65536):
                data += part
                assert len(data) < 1 << 20, "it goes on and on"
        except ConnectionError:
            pass
        return data


def hello(edit=None, extensions=None):
    """The bytes of a hello that is good but for what `edit` does to it."""
    settings = HandshakeSettings()
    captured = []

    class Tap(TLSConnection):
        def _sendMsg(self, msg, *arguments, **options):
            if isinstance(msg, ClientHello):
                captured.append(msg)
                raise StopIteration
            yield from super()._sendMsg(msg, *arguments, **options)

    left, right = socket.socketpair()
    with left, right:
        try:
            Tap(left).handshakeClientCert(serverName=NAME, settings=settings)
        except (StopIteration, RuntimeError):
            pass
    message = captured[0]
    if extensions is not None:
        message.extensions = extensions(message.extensions)
    if edit:
        edit(message)
    return bytes(message.write())


def with_length(kind, body):
    return bytes([kind]) + len(body).to_bytes(3, "big") + body


def shaken(port, **settings):
    """A connection whose handshake is over."""
    made = HandshakeSettings()
    for key, value in settings.items():
        setattr(made, key, value)
    connection = TLSConnection(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE))
    connection.handshakeClientCert(serverName=NAME, settings=made)
    return connection


def send(connection, message):
    for _ in connection._sendMsg(message):  # noqa: SLF001
        pass


def drain(connection):
    """Reads to the end, whatever that is."""
    connection.sock.settimeout(PATIENCE)
    try:
        while connection.sock.recv(65536):
            pass
    except ConnectionError:
        pass


def served(port, certs):
    context = ssl.create_default_context(cafile=f"{certs}/ca.pem")
    with context.wrap_socket(socket.create_connection(("127.0.0.1", port), timeout=PATIENCE), server_hostname=NAME) as sock:
        sock.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        return sock.recv(12) == b"HTTP/1.1 200"


def raw(*records):
    """A check that sends records and waits for the end."""
    def run(port):
        client = Client(port)
        try:
            for kind, data in records:
                client.record(kind, data)
        except ConnectionError:
            pass
        said = client.end()
        kinds = {said[place] for place in (0,) if said}
        # An alert, or an answer with an alert behind it, or nothing.
        assert not kinds or kinds <= {ContentType.alert, ContentType.handshake}, f"{said[:20]!r}"
        client.sock.close()
    return run


def many(make, count=2000, **settings):
    """A check that sends a message again and again over a connection that is good, and waits for the end."""
    def run(port):
        connection = shaken(port, **settings)
        try:
            for number in range(count):
                send(connection, make(number))
            drain(connection)
        except TLSRemoteAlert:
            # tlslite looks for an alert when it can send no more.
            pass
        except OSError as error:
            assert not isinstance(error, TimeoutError), "it was taken without end"
        connection.sock.close()
    return run


def without(*kinds):
    return lambda extensions: [one for one in extensions if one.extType not in kinds]


def plus(*extra):
    return lambda extensions: list(extra) + extensions


def key_update(_):
    return Message(ContentType.handshake, bytearray(with_length(HandshakeType.key_update, b"\x01")))


def warning(description):
    return lambda _: Alert().create(description, AlertLevel.warning)


def checks():
    good = hello()
    body = good[4:]
    kind = ContentType.handshake

    def cut(place):
        return raw((kind, with_length(HandshakeType.client_hello, body[:place])))

    def edited(**fields):
        return raw((kind, hello(lambda message: [setattr(message, key, value) for key, value in fields.items()])))

    only12, only13 = {"maxVersion": (3, 3)}, {"minVersion": (3, 4)}
    huge = TLSExtension(extType=0xFDE8).create(0xFDE8, bytearray(16000))
    found = {
        "no random": cut(2),
        "half a random": cut(20),
        "no ciphers": cut(35),
        "no extensions at all": cut(len(body) - len(body) // 2),
        "a length larger than what comes": raw((kind, good[:1] + b"\x00\xff\xff" + body), (ContentType.alert, b"\x02\x28")),
        "a length of 16 MiB": raw((kind, good[:1] + b"\xff\xff\xff" + body)),
        "a length smaller than what comes": raw((kind, good[:1] + (len(body) - 10).to_bytes(3, "big") + body)),
        "an empty list of ciphers": edited(cipher_suites=[]),
        "ciphers that nobody has": edited(cipher_suites=[0x0A0A, 0xFFFE]),
        "ciphers of SSL 3 alone": edited(cipher_suites=[0x0004, 0x0005, 0x000A]),
        "compression": edited(compression_methods=[1]),
        "no compression, not even none": edited(compression_methods=[]),
        "SSL 3": raw((kind, hello(lambda message: setattr(message, "client_version", (3, 0)),
                                  without(ExtensionType.supported_versions)))),
        "TLS 1.0": raw((kind, hello(lambda message: setattr(message, "client_version", (3, 1)),
                                    without(ExtensionType.supported_versions)))),
        "TLS 1.1": raw((kind, hello(lambda message: setattr(message, "client_version", (3, 2)),
                                    without(ExtensionType.supported_versions)))),
        "no version that is known": raw((kind, hello(extensions=lambda all: without(ExtensionType.supported_versions)(all) + [
            SupportedVersionsExtension().create([(3, 9), (0x7F, 0x1C)])]))),
        "no groups": raw((kind, hello(extensions=without(ExtensionType.supported_groups, ExtensionType.key_share)))),
        "no signatures": raw((kind, hello(extensions=without(ExtensionType.signature_algorithms)))),
        "no share of a key, and none after being asked": raw((kind, hello(extensions=without(ExtensionType.key_share)))),
        "an extension twice": raw((kind, hello(extensions=lambda all: all + [all[0]]))),
        "an extension of 16 KB twice": raw((kind, hello(extensions=plus(huge, huge)))),
        "a session ticket of rubbish in place of a PSK": raw((kind, hello(extensions=lambda all: all + [
            TLSExtension(extType=41).create(41, bytearray(b"\x00\x02rubbish"))]))),
        "a name with a zero in it": raw((kind, hello(extensions=lambda all: [
            TLSExtension(extType=0).create(0, bytearray(b"\x00\x0a\x00\x00\x07a\x00.test"))] +
            without(ExtensionType.server_name)(all)))),
        "an empty name": raw((kind, hello(extensions=lambda all: [
            TLSExtension(extType=0).create(0, bytearray(b"\x00\x03\x00\x00\x00"))] +
            without(ExtensionType.server_name)(all)))),
        "ALPN with an empty name": raw((kind, hello(extensions=plus(
            TLSExtension(extType=16).create(16, bytearray(b"\x00\x01\x00")))))),
        "a ServerHello from a client": raw((kind, with_length(HandshakeType.server_hello, body))),
        "a Finished first": raw((kind, with_length(HandshakeType.finished, bytes(32)))),
        "a certificate first": raw((kind, with_length(HandshakeType.certificate, b"\x00\x00\x00\x00"))),
        "application data first": raw((ContentType.application_data, b"GET / HTTP/1.1\r\n\r\n")),
        "a heartbeat first": raw((24, b"\x01\x40\x00")),
        "a kind of record that nobody knows": raw((99, b"x")),
        "a hello, and application data in clear text": raw((kind, good), (ContentType.application_data, b"GET /")),
        "a hello, and a Finished in clear text": raw((kind, good), (kind, with_length(HandshakeType.finished, bytes(32)))),
        "a hello, and another": raw((kind, good), (kind, good)),
        "a hello between two alerts": raw((ContentType.alert, b"\x01\x5a"), (kind, good), (ContentType.alert, b"\x02\x28")),
        "a hello in pieces of a byte, the last missing": raw(*[(kind, good[place:place + 1]) for place in range(200)],
                                                            (ContentType.alert, b"\x02\x28")),
        "an alert of three bytes": raw((kind, good), (ContentType.alert, b"\x02\x28\x00")),
        "an alert of no level": raw((kind, good), (ContentType.alert, b"\x07\x28")),
        "keys anew without end": many(key_update, **only13),
        "warnings without end, TLS 1.2": many(warning(AlertDescription.user_canceled), **only12),
        "refusals of renegotiation without end, TLS 1.2": many(warning(AlertDescription.no_renegotiation), **only12),
        "warnings without end, TLS 1.3": many(warning(AlertDescription.user_canceled), **only13),
        "records without anything in them": many(lambda _: ApplicationData().create(bytearray()), 20000, **only13),
        "a hello after the handshake, TLS 1.2": many(lambda _: Message(kind, bytearray(good)), 200, **only12),
        "a hello after the handshake, TLS 1.3": many(lambda _: Message(kind, bytearray(good)), 1, **only13),
        "a change of ciphers after the handshake": many(lambda _: ChangeCipherSpec().create(), 200, **only13),
        "a fatal alert after the handshake": many(
            lambda _: Alert().create(AlertDescription.internal_error, AlertLevel.fatal), 1, **only13),
    }
    return found


def main(port, certs, log):
    failed = 0
    for name, check in checks().items():
        began = time.monotonic()
        try:
            check(port)
            took = time.monotonic() - began
            assert took < PATIENCE - 2, f"the end took {took:.0f} s"
            assert served(port, certs), "the next client was not served"
            print(f"ok\t{name}", flush=True)
        except Exception as error:  # noqa: BLE001: whatever a check comes to is its result.
            failed += 1
            print(f"FAILED\t{name}\t" + repr(error).replace("\n", " ").replace("\t", " ")[:300], flush=True)
    text = open(log, encoding="utf-8", errors="replace").read()
    internal = re.findall(r'.*reason="?internal.*', text)
    print(f"FAILED\treasons in the log\t{internal[:2]}" if internal else "ok\treasons in the log")
    return 1 if failed or internal else 0


sys.exit(main(int(sys.argv[1]), sys.argv[2], sys.argv[3]))
