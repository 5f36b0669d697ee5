"""Asks a plugin once, as MOSN asks for certificates, and prints the body of its answer."""

import sys
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parent / "python"))
messages, services = grpc.protos_and_services("plugin.proto")
with grpc.insecure_channel(sys.argv[1]) as channel:
    sys.stdout.buffer.write(services.PluginStub(channel).Call(messages.Request(), timeout=30).body)
