#!/usr/bin/env python3
"""A gRPC server with grpcio: the service `peers.Echo` over raw bytes; with mutual TLS if certificates are named. Prints its port and serves until its input ends."""

import sys
import threading
from concurrent import futures

import grpc

cancelled = 0
lock = threading.Lock()


def unary(request, context):
    context.send_initial_metadata((("x-initial", "yes"),))
    seen = dict(context.invocation_metadata())
    context.set_trailing_metadata((("x-trailer", "done"), ("x-asked", seen.get("x-ask", "")),
                                   ("x-blob-bin", seen.get("x-ask-bin", b""))))
    return request


def download(request, context):
    for number in range(int(request)):
        yield b"%d" % number
    context.set_trailing_metadata((("x-trailer", "done"),))


def upload(requests, context):
    count = size = 0
    for request in requests:
        count, size = count + 1, size + len(request)
    return b"%d:%d" % (count, size)


def chat(requests, context):
    yield from requests


def fail(request, context):
    context.set_trailing_metadata((("x-trailer", "failed"),))
    context.abort(grpc.StatusCode.FAILED_PRECONDITION, "nö 100 %")


def wait(request, context):
    over = threading.Event()
    context.add_callback(over.set)
    over.wait(20)
    with lock:
        global cancelled
        cancelled += 1
    return b""


def ended(request, context):
    with lock:
        return b"%d" % cancelled


METHODS = {
    "Unary": grpc.unary_unary_rpc_method_handler(unary),
    "Download": grpc.unary_stream_rpc_method_handler(download),
    "Upload": grpc.stream_unary_rpc_method_handler(upload),
    "Chat": grpc.stream_stream_rpc_method_handler(chat),
    "Fail": grpc.unary_unary_rpc_method_handler(fail),
    "Wait": grpc.unary_unary_rpc_method_handler(wait),
    "Ended": grpc.unary_unary_rpc_method_handler(ended),
}


def bind(server, certs=None):
    if not certs:
        return server.add_insecure_port("127.0.0.1:0")
    ca, key, chain = (open(f"{certs}/{file}", "rb").read() for file in ("ca.pem", "server.key", "server.pem"))
    return server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials(((key, chain),), ca, True))


def main(*tls):
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=32))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("peers.Echo", METHODS),))
    print('{"port":%d}' % bind(server, *tls), flush=True)
    server.start()
    sys.stdin.read()
    server.stop(0)


main(*sys.argv[1:])
