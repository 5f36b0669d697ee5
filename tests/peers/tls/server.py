#!/usr/bin/env python3
"""Python's ssl as a host: `server.py CERTS`. Asks for certificates, says in its answers what was agreed on.

`/echo` answers with the body, `/bye` closes afterwards. Prints its port and serves until its input ends."""

import socketserver
import ssl
import sys
import threading
from http.server import BaseHTTPRequestHandler


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        peer = dict(part[0] for part in self.connection.getpeercert()["subject"])
        self.answer(f"client={peer['commonName']} version={self.connection.version()} "
                    f"resumed={str(bool(self.connection.session_reused)).lower()}\n".encode())

    def do_POST(self):
        self.answer(self.rfile.read(int(self.headers["content-length"])))

    def answer(self, body):
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        if self.path == "/bye":
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, context):
        super().__init__(("127.0.0.1", 0), Handler)
        self.context = context

    def finish_request(self, request, client_address):
        """In the connection's thread."""
        with self.context.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, *_):
        pass


def main(certs):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=f"{certs}/ca.pem")
    context.load_cert_chain(f"{certs}/server.pem", f"{certs}/server.key")
    context.verify_mode = ssl.CERT_REQUIRED
    server = Server(context)
    print('{"port":%d}' % server.server_address[1], flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()


main(sys.argv[1])
