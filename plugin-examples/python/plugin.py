"""What a plugin does beside answering: the handshake, health, and its end. Copy this file and plugin.proto."""

import argparse
import os
import shutil
import signal
import sys
import tempfile
import threading
from concurrent import futures

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

# Made of the .proto file, which lies beside this one, when the program starts.
messages, services = grpc.protos_and_services("plugin.proto")

DENY = -1
GO_ON = 0


def arguments():
    """A parser that knows the arguments of `serve`."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--listen", help="unix:/path or a loopback address; without it a Unix socket of its own")
    return parser


def serve(call, listen=None):
    """Answers calls by `call(Request) -> Response`, from several threads, until SIGTERM."""
    run(lambda server: services.add_PluginServicer_to_server(_Servicer(call), server), listen)


def run(add, listen=None):
    """Serves what `add(server)` adds, from several threads, until SIGTERM."""
    if not listen and os.environ.get("MOSN_PLUGIN") != "ON":
        sys.exit("this is a plugin: name it in a configuration of Sidegate, or say where to --listen")
    # A folder of mode 0700: nobody else can connect, whatever the umask.
    folder = None if listen else tempfile.mkdtemp(prefix="plugin-")
    listen = listen or f"unix:{folder}/socket"

    # Bodies may be larger than the 4 MiB that gRPC has as a bound; the listener bounds them.
    unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8), options=unlimited)
    add(server)
    healthy = health.HealthServicer()
    healthy.set("plugin", health_pb2.HealthCheckResponse.SERVING)
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    port = server.add_insecure_port(listen)
    server.start()

    if listen.startswith("unix:"):
        handshake = f"1|1|unix|{listen.removeprefix('unix:')}|grpc"
    else:
        handshake = f"1|1|tcp|{listen.rsplit(':', 1)[0]}:{port}|grpc"
    print(handshake, flush=True)

    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    server.stop(grace=1).wait()
    if folder:
        shutil.rmtree(folder, ignore_errors=True)


class _Servicer(services.PluginServicer):
    def __init__(self, call):
        self.call = call

    def Call(self, request, context):
        return self.call(request)
