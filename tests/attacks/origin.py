"""An upstream host whose paths choose how it behaves, well or badly."""

import socket
import threading

HELLO = b"HTTP/1.1 200 OK\r\nContent-Length: 22\r\n\r\nhello from the origin\n"
INTERIM = b"HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload; as=style\r\n\r\n" * 200
ONE_BYTE_CHUNKS = b"1\r\nx\r\n" * 10_000
MIB = b"x" * (1 << 20)


class Origin:
    """Accepts until it is stopped; one thread per connection, none outlives `stop`."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self.listener.getsockname()[1]
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.open = set()
        self.sent = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            with self.lock:
                self.open.add(sock)
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    def stop(self):
        self.stopping.set()
        self.listener.close()
        self.hang_up()

    def hang_up(self):
        """Ends all connections, those that stall included."""
        with self.lock:
            for sock in self.open:
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def serve(self, sock):
        try:
            self.answer_all(sock)
        except OSError:
            pass
        finally:
            with self.lock:
                self.open.discard(sock)
            sock.close()

    def answer_all(self, sock):
        data = b""
        while not self.stopping.is_set():
            while b"\r\n\r\n" not in data:
                part = sock.recv(65536)
                if not part:
                    return
                data += part
            head, _, data = data.partition(b"\r\n\r\n")
            answer = ANSWERS.get(head.split(b" ", 2)[1], Origin.hello)
            if answer(self, sock, head, data) == "close":
                return
            data = b""

    def send(self, sock, data):
        sock.sendall(data)
        self.sent += len(data)

    def hello(self, sock, head, data):
        """Reads a body of either framing to its end, then greets."""
        lower = head.lower()
        if b"transfer-encoding: chunked" in lower:
            tail = data[-5:]
            while tail != b"0\r\n\r\n":
                part = sock.recv(1 << 18)
                if not part:
                    return "close"
                tail = (tail + part)[-5:]
        elif b"content-length:" in lower:
            left = int(lower.partition(b"content-length:")[2].split(b"\r\n")[0]) - len(data)
            while left > 0:
                part = sock.recv(min(left, 1 << 18))
                if not part:
                    return "close"
                left -= len(part)
        self.send(sock, HELLO)

    def stall(self, sock, head, data):
        """Takes the head and no byte of the body."""
        self.stopping.wait(60)
        return "close"

    def interim(self, sock, head, data):
        """Informational responses without end."""
        while not self.stopping.is_set():
            self.send(sock, INTERIM)
        return "close"

    def one_byte_chunks(self, sock, head, data):
        """1 MB in chunks of one byte."""
        self.send(sock, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            self.send(sock, ONE_BYTE_CHUNKS)
        self.send(sock, b"0\r\n\r\n")

    def large(self, sock, head, data):
        """100 MiB."""
        self.send(sock, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (100 * len(MIB)))
        for _ in range(100):
            self.send(sock, MIB)


ANSWERS = {
    b"/stall": Origin.stall,
    b"/interim": Origin.interim,
    b"/one-byte-chunks": Origin.one_byte_chunks,
    b"/large": Origin.large,
}
