"""What a plugin that takes access logs has to do."""

import json
import os
import signal
from pathlib import Path

from proxy import Proxy, same, until


def lines(proxy, log):
    file = Path(proxy.folder / "logs" / f"{log}.log")
    return file.read_text().splitlines() if file.exists() else []


def taken(proxy, paths):
    """Waits until both logs have a line for each path, and looks at them."""
    until("the lines", lambda: all(len(lines(proxy, log)) >= len(paths) for log in ("text", "json")))
    # Each worker's lines are in order, and there are two.
    same(sorted(lines(proxy, "text")), sorted(f"{path} 200" for path in paths))
    said = [json.loads(line) for line in lines(proxy, "json")]
    same(sorted(line["path"] for line in said), sorted(paths))
    same({line["status"] for line in said}, {200})


def takes(binary, command):
    """takes each line once, as text and as JSON"""
    with Proxy(binary, log_sink=command) as proxy:
        paths = [f"/{number}" for number in range(100)]
        for path in paths:
            same(proxy.ask(path=path)[0], 200)
        taken(proxy, paths)
        status = proxy.status()
        same((status["name"], status["state"], status["failures"]), ("sink", "up", 0))


def killed(binary, command):
    """is started again after it was killed, and misses nothing"""
    with Proxy(binary, log_sink=command) as proxy:
        paths = [f"/{number}" for number in range(40)]
        for path in paths[:20]:
            proxy.ask(path=path)
        taken(proxy, paths[:20])
        before = proxy.status()["pid"]
        os.kill(before, signal.SIGKILL)
        for path in paths[20:]:
            proxy.ask(path=path)
        taken(proxy, paths)
        until("another process", lambda: proxy.status()["pid"] not in (None, before))


def ends(binary, command):
    """takes the last lines before it ends with the proxy"""
    with Proxy(binary, log_sink=command) as proxy:
        paths = [f"/{number}" for number in range(30)]
        for path in paths:
            proxy.ask(path=path)
        proxy.end()
        same(proxy.process.returncode, 0)
        same(len(lines(proxy, "text")), 30)
        same(len(lines(proxy, "json")), 30)


CHECKS = [takes, killed, ends]
