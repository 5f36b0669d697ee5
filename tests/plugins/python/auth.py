"""A plugin made of MOSN's published protocol and handshake and nothing else: no kit, no health, no broker.

Lets requests pass whose `User` is the one that its configuration names, as MOSN's example does.
"""

import argparse
import json
import os
import sys
from concurrent import futures

# Messages and services are made of the .proto file when the program starts.
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import grpc  # noqa: E402

messages, services = grpc.protos_and_services("plugin.proto")


class Auth(services.PluginServicer):
    def __init__(self, expected):
        self.expected = expected

    def Call(self, request, context):
        if any(request.header.get(name) != value for name, value in self.expected.items()):
            return messages.Response(status=-1)
        response = messages.Response(status=1)
        response.header["X-Checked-By"] = "python"
        response.header["X-Secret"] = ""
        if request.body:
            response.body = request.body.upper()
        for name, value in request.trailer.items():
            response.trailer[name] = value + "!"
        return response


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-c", dest="config", required=True)
    with open(parser.parse_args().config, encoding="utf-8") as file:
        expected = json.load(file)
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=4))
    services.add_PluginServicer_to_server(Auth(expected), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"1|1|tcp|127.0.0.1:{port}|grpc", flush=True)
    print("[WARN] python plugin is up", file=sys.stderr, flush=True)
    server.wait_for_termination()


if __name__ == "__main__":
    main()
