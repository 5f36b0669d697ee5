"""What every plugin has to do, whoever wrote it."""

import contextlib
import os
import signal
import subprocess
import tempfile
from pathlib import Path

from proxy import PATIENCE, Proxy, is_alive, same, until

ADMIN = {"User": "admin"}


def decides(proxy, program):
    """passes and refuses"""
    for _ in range(20):
        same(proxy.ask()[0], 403)
        same(proxy.ask({"User": "guest"})[0], 403)
        same(proxy.ask(ADMIN)[0], 200)
    if program.is_example:
        same(proxy.ask({"uSER": "admin"})[0], 200)
        same(proxy.ask({"User": "Admin"})[0], 403)
        same(proxy.ask([("User", "admin"), ("User", "guest")])[0], 403)
        same(proxy.ask([("User", "admin"), ("User", "admin")])[0], 403)


def edits(proxy, program):
    """changes fields and bodies"""
    edit = program.edit
    status, seen, _ = proxy.ask({**ADMIN, edit.hidden: "word", "X-Checked-By": "me"}, edit.sent)
    same((status, seen["body"]), (200, edit.made))
    same((seen["headers"]["x-checked-by"], seen["headers"].get(edit.hidden.lower())), (edit.mark, None))
    same(seen["headers"]["content-length"], str(len(edit.made)))
    status, seen, _ = proxy.ask({**ADMIN, "Content-Type": "text/x"}, b"")
    same((status, seen["body"], seen["headers"]["content-type"]), (200, "", "text/x"))


def large(proxy, program):
    """is shown large bodies"""
    # Beyond what gRPC allows unless it is told otherwise, where the program tells it.
    size = (5 if program.is_example else 1) << 20
    status, seen, _ = proxy.ask(ADMIN, program.edit.sent + b"-" * size)
    same((status, len(seen["body"])), (200, len(program.edit.made) + size))
    same(seen["body"][:len(program.edit.made)], program.edit.made)


def answers(proxy, program):
    """changes responses"""
    proxy.write(direction="both")
    same(proxy.order("POST", "/api/v1/config/reload")[0], 200)
    status, seen, fields = proxy.ask(ADMIN, program.edit.sent)
    same((status, seen["body"], fields["x-checked-by"]), (200, program.edit.made, program.edit.mark))
    proxy.write()
    same(proxy.order("POST", "/api/v1/config/reload")[0], 200)


def speaks(proxy, program):
    """is heard in the log"""
    same(proxy.ask({**ADMIN, "X-Print": "1"})[0], 200)
    proxy.logged(program.says)


def healthy(proxy, program):
    """says that it is well"""
    until("its health", lambda: proxy.status()["healthy"] is True)


def stays(proxy, program):
    """lives on over a reload"""
    before = proxy.status()["pid"]
    proxy.write(timeout="49s")
    same(proxy.order("POST", "/api/v1/config/reload")[0], 200)
    same((proxy.status()["pid"], proxy.ask(ADMIN)[0]), (before, 200))


def returns(proxy, program):
    """is there again after SIGKILL"""
    gone(proxy, signal.SIGKILL)


def yields(proxy, program):
    """ends by SIGTERM, is there again"""
    gone(proxy, signal.SIGTERM)


def gone(proxy, number):
    before = proxy.status()["pid"]
    os.kill(before, number)
    until("another process", lambda: proxy.status()["pid"] not in (before, None))
    same((is_alive(before), proxy.ask(ADMIN)[0]), (False, 200))


def switched(proxy, program):
    """is disabled and enabled"""
    pid = proxy.status()["pid"]
    same(proxy.order("GET", "/api/v1/plugin?disable=auth"), (200, "disable auth success\n"))
    until("its end", lambda: not is_alive(pid))
    same(proxy.ask(ADMIN)[0], 500)
    same(proxy.order("GET", "/api/v1/plugin?enable=auth"), (200, "enable auth success\n"))
    until("its return", lambda: proxy.status()["state"] == "up")
    same(proxy.ask(ADMIN)[0], 200)


def local(proxy, program):
    """listens where it should"""
    kind = "unix:" if program.is_example else ("unix:", "127.0.0.1:")
    assert proxy.status()["address"].startswith(kind), proxy.status()


def ends(proxy, program):
    """ends with the process, tidily"""
    status = proxy.status()
    pid, address = status["pid"], status["address"]
    proxy.process.terminate()
    same(proxy.process.wait(PATIENCE), 0)
    same(is_alive(pid), False)
    proxy.logged("plugin was stopped")
    assert "does not end and is killed" not in proxy.logs()
    if program.listens:
        # One that was killed leaves its empty folder.
        folder = Path(address.removeprefix("unix:")).parent
        same((folder.parent, folder.exists()), (proxy.temporary, False))


def dies(proxy, program):
    """dies with a process that is killed"""
    pid = proxy.status()["pid"]
    proxy.process.kill()
    proxy.process.wait(PATIENCE)
    until("its end", lambda: not is_alive(pid))


def over_tcp(binary, program, command):
    """listens on loopback"""
    with Proxy(binary, [*command, "--listen", "127.0.0.1:0"], program.expected) as proxy:
        assert proxy.status()["address"].startswith("127.0.0.1:"), proxy.status()
        decides(proxy, program)
        edits(proxy, program)


def attached(binary, program, command):
    """is run by somebody else"""
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="sidegate-attached-")))
        expected, path = folder / "expected.json", folder / "socket"
        expected.write_text('{"User": "admin"}')
        # Without the cookie: by hand, or as a container of its own.
        process = subprocess.Popen([*command, "-c", expected, "--listen", f"unix:{path}"],
                                   stdout=subprocess.PIPE, text=True)
        stack.callback(process.stdout.close)
        stack.callback(process.wait, PATIENCE)
        stack.callback(process.kill)
        same(process.stdout.readline(), f"1|1|unix|{path}|grpc\n")
        proxy = stack.enter_context(Proxy(binary, address=f"unix:{path}"))
        decides(proxy, program)
        edits(proxy, program)
        process.terminate()
        # The virtual machine of Java says that it was a signal.
        assert process.wait(PATIENCE) in (0, 128 + signal.SIGTERM), process.returncode
        until("a refusal", lambda: proxy.status()["state"] != "up")


def by_hand(binary, program, command):
    """says what it is when it is run by hand"""
    environment = {name: value for name, value in os.environ.items() if name != "MOSN_PLUGIN"}
    with tempfile.NamedTemporaryFile("w", suffix=".json") as expected:
        expected.write("{}")
        expected.flush()
        done = subprocess.run([*command, "-c", expected.name], env=environment, stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE, text=True)
    assert done.returncode != 0, done
    assert "is a plugin" in (done.stdout + done.stderr).lower(), done


# Asked of one process, one after the other.
SHARED = [decides, edits, large, answers, speaks, local, stays, healthy, switched, yields, returns]
# They end the process.
LAST = [ends, dies]
# They start what they need.
OWN = [over_tcp, attached, by_hand]


def belongs(check, program):
    """Whether the program can do that at all."""
    if check in (edits, large):
        return program.edit is not None
    if check is speaks:
        return program.says is not None
    if check in (answers, healthy):
        return program.is_example
    if check in (over_tcp, attached):
        return program.listens
    return check is not by_hand or program.is_example
