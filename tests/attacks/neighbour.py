"""An honest client beside the attack: everything it asks for must be answered."""

import http.client
import statistics
import threading
import time


class Refused(Exception):
    """An answer that is not the one."""


class Neighbour:
    """A request every 10 ms, each on a connection of its own, until it is stopped."""

    def __init__(self, port, ask=None):
        """`ask` makes a request in another way, and fails if the answer is not 200."""
        self.port = port
        self.ask = ask or self.get
        self.times = []
        self.failures = []
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.over.wait(0.01):
            started = time.monotonic()
            try:
                self.ask(self.port)
            except (OSError, http.client.HTTPException, Refused) as error:
                self.failures.append(repr(error))
                continue
            self.times.append(time.monotonic() - started)

    @staticmethod
    def get(port):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
        connection.request("GET", "/", headers={"Host": "honest.example"})
        status = connection.getresponse().status
        connection.close()
        if status != 200:
            raise Refused(f"status {status}")

    def stop(self):
        self.over.set()
        self.thread.join(30)

    @property
    def median_ms(self):
        return statistics.median(self.times) * 1000 if self.times else 0.0
