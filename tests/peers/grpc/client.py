#!/usr/bin/env python3
"""All kinds of calls with grpcio: `client.py HOST:PORT [CERTS NAME]`, with mutual TLS if there are certificates. A line each: `ok` or `FAILED`, a tab, what, a tab, why."""

import queue
import sys
import time
from concurrent import futures

import grpc

PATIENCE = 20


def dial(address, certs=None, name=None):
    if not certs:
        return grpc.insecure_channel(address)
    ca, key, chain = (open(f"{certs}/{file}", "rb").read() for file in ("ca.pem", "client.key", "client.pem"))
    credentials = grpc.ssl_channel_credentials(ca, key, chain)
    return grpc.secure_channel(address, credentials, (("grpc.ssl_target_name_override", name),))


def main(address, *tls):
    failed = 0
    with dial(address, *tls) as channel:
        for name, check in CHECKS.items():
            try:
                check(channel)
                print(f"ok\t{name}")
            except (AssertionError, grpc.RpcError, queue.Empty) as error:
                failed += 1
                print(f"FAILED\t{name}\t" + repr(error).replace("\n", " ").replace("\t", " ")[:500])
    return 1 if failed else 0


def method(channel, kind, name):
    return getattr(channel, kind)(f"/peers.Echo/{name}")


def same(found, wanted):
    assert found == wanted, f"{found!r} instead of {wanted!r}"


def unary(channel):
    blob = bytes(range(256))
    reply, call = method(channel, "unary_unary", "Unary").with_call(
        b"hello", timeout=PATIENCE, metadata=(("x-ask", "this"), ("x-ask-bin", blob)))
    same(reply, b"hello")
    same(dict(call.initial_metadata())["x-initial"], "yes")
    trailers = dict(call.trailing_metadata())
    same((trailers["x-trailer"], trailers["x-asked"], trailers["x-blob-bin"]), ("done", "this", blob))
    same(call.code(), grpc.StatusCode.OK)


def empty(channel):
    same(method(channel, "unary_unary", "Unary")(b"", timeout=PATIENCE), b"")


def large(channel):
    body = bytes(range(256)) * 12 * 1024
    assert method(channel, "unary_unary", "Unary")(body, timeout=PATIENCE) == body, "another body"


def download(channel):
    call = method(channel, "unary_stream", "Download")(b"1000", timeout=PATIENCE)
    same(list(call), [b"%d" % number for number in range(1000)])
    same(dict(call.trailing_metadata())["x-trailer"], "done")


def upload(channel):
    pieces = (b"x" * 1000 for _ in range(1000))
    same(method(channel, "stream_unary", "Upload")(pieces, timeout=PATIENCE), b"1000:1000000")


def chat(channel):
    """Each message is answered before the next is sent."""
    asked = queue.Queue()
    replies = method(channel, "stream_stream", "Chat")(iter(asked.get, None), timeout=PATIENCE)
    for number in range(100):
        asked.put(b"%d" % number)
        same(next(replies), b"%d" % number)
    asked.put(None)
    same(list(replies), [])


def fail(channel):
    try:
        method(channel, "unary_unary", "Fail")(b"", timeout=PATIENCE)
    except grpc.RpcError as error:
        same((error.code(), error.details()), (grpc.StatusCode.FAILED_PRECONDITION, "nö 100 %"))
        same(dict(error.trailing_metadata())["x-trailer"], "failed")
        return
    raise AssertionError("no error")


def unknown(channel):
    try:
        method(channel, "unary_unary", "Unknown")(b"", timeout=PATIENCE)
    except grpc.RpcError as error:
        same(error.code(), grpc.StatusCode.UNIMPLEMENTED)
        return
    raise AssertionError("no error")


def cancel(channel):
    """The server learns of a call that its client gave up, by its deadline or at once."""
    before = int(method(channel, "unary_unary", "Ended")(b"", timeout=PATIENCE))
    try:
        method(channel, "unary_unary", "Wait")(b"", timeout=0.3)
        raise AssertionError("no deadline")
    except grpc.RpcError as error:
        same(error.code(), grpc.StatusCode.DEADLINE_EXCEEDED)
    call = method(channel, "unary_unary", "Wait").future(b"", timeout=PATIENCE)
    time.sleep(0.1)
    call.cancel()
    deadline = time.monotonic() + PATIENCE / 2
    while int(method(channel, "unary_unary", "Ended")(b"", timeout=PATIENCE)) < before + 2:
        assert time.monotonic() < deadline, "the server was not told"
        time.sleep(0.02)


def parallel(channel):
    unary = method(channel, "unary_unary", "Unary")
    with futures.ThreadPoolExecutor(50) as pool:
        bodies = [b"%d" % number for number in range(500)]
        same(list(pool.map(lambda body: unary(body, timeout=PATIENCE), bodies)), bodies)


CHECKS = {
    "unary, metadata and trailers": unary,
    "unary, empty message": empty,
    "unary, 3 MiB each way": large,
    "server streaming, 1,000 messages": download,
    "client streaming, 1,000 messages": upload,
    "both streaming, one for one": chat,
    "error status with trailers": fail,
    "unknown method": unknown,
    "deadline and cancellation reach the server": cancel,
    "500 calls, 50 at once": parallel,
}

sys.exit(main(*sys.argv[1:]))
