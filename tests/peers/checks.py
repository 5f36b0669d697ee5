"""The checks: each names its peers and gives lines of (what, failure or "")."""

import re
import subprocess
import tempfile
import xml.etree.ElementTree
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import needs
import tls_clients
import tls_judges
import tls_servers
from calls import call, lines, strip
from subjects import Nghttpd, Server


@dataclass(frozen=True)
class Check:
    name: str
    # What the host behind the proxy speaks, and who it is.
    upstream: str
    host: Callable
    # Makes the program ready; gives what `run` is called with.
    ready: Callable
    run: Callable
    # Small enough for every run of CI.
    quick: bool = False
    # TLS is spoken `before` Sidegate, `behind` it, or on both sides with a host that is `behind`; then `run` gets the
    # proxy and not a port, and a host behind gets certificates.
    tls: str = ""


def ends(directory):
    return Server("ends", [needs.release("sidegate-ends")], directory)


def h2_origin(directory):
    return Server("h2-origin", [needs.release("sidegate-h2relay"), "origin"], directory)


def go_http(directory):
    return Server("go-http", [needs.go(), "http-server"], directory)


def go_grpc(directory):
    return Server("go-grpc", [needs.go(), "grpc-server"], directory)


def python_grpc(directory):
    return Server("grpcio", [needs.python(), needs.HERE / "grpc/server.py"], directory)


def nghttpd(directory):
    return Nghttpd(needs.command("nghttpd"), directory)


def httpwg(binary, port):
    return lines(call([binary, f"127.0.0.1:{port}", 1000], stdin=subprocess.DEVNULL))


def h2spec(binary, port):
    with tempfile.TemporaryDirectory() as name:
        report = Path(name) / "report.xml"
        done = call([binary, "-h", "127.0.0.1", "-p", port, "--timeout", 2, "--junit-report", report])
        if not report.exists():
            return [("its results", f"exit status {done.returncode}: {(done.stdout + done.stderr)[-300:]!r}")]
        found = []
        # It writes what peers sent as it came.
        text = re.sub(r"[^\t\n\x20-\ud7ff\ue000-\ufffd]", "?", report.read_text(errors="replace"))
        for suite in xml.etree.ElementTree.fromstring(text.partition("?>")[2]).iter("testsuite"):
            for case in suite.iter("testcase"):
                # The package is the section, the class what is expected.
                what = f"{case.get('package')}: {case.get('classname')}"
                failure = case.find("failure")
                failure = case.find("error") if failure is None else failure
                if case.find("skipped") is None:
                    found.append((what, "" if failure is None else (failure.text or "failed").strip().replace("\n", " ")))
        return found


def curl(binary, port):
    url = f"http://127.0.0.1:{port}"
    base = [binary, "-q", "--noproxy", "*", "-sS", "--max-time", 30, "--http2-prior-knowledge", "-o", "/dev/null",
            "-w", "%{http_version} %{http_code} %{size_download}\n"]
    rows = {
        "GET": (["/"], "2 200 22"),
        "GET of 10 KiB": (["/10k"], "2 200 10240"),
        "HEAD": (["-I", "/"], None),
        "POST of 2 MiB": (["--data-binary", "@BODY", "/"], "2 200 22"),
        "POST of 2 MiB, length unknown": (["-T", "-", "/"], "2 200 22"),
        "PUT with Expect": (["-T", "BODY", "-H", "Expect: 100-continue", "/"], "2 200 22"),
        "DELETE": (["-X", "DELETE", "/"], "2 200 22"),
    }
    found = []
    with tempfile.TemporaryDirectory() as name:
        body = Path(name) / "body"
        body.write_bytes(b"x" * (2 << 20))
        for what, (arguments, wanted) in rows.items():
            arguments = [part.replace("BODY", str(body)) for part in arguments]
            with open(body, "rb") as source:
                done = call([*base, *arguments[:-1], url + arguments[-1]], 60, stdin=source)
            said = done.stdout.strip()
            good = said == wanted if wanted else said.startswith("2 200")
            found.append((what, "" if good and done.returncode == 0 else f"{said!r} {done.stderr.strip()!r}"))
        # A connection each: curl before 8.0 cannot use one again that began with prior knowledge.
        many = call([*base, "-Z", "--parallel-immediate", "--parallel-max", 50, f"{url}/[1-50]"], 60)
        answered = many.stdout.splitlines().count("2 200 22")
        found.append(("50 requests at once", "" if answered == 50 else f"{answered} answered: {many.stderr[-200:]}"))
        upgrade = [part for part in base if part != "--http2-prior-knowledge"]
        for what, option in (("an offer of h2c is not taken", "--http2"), ("HTTP/1.1 on the same port", "--http1.1")):
            said = call([*upgrade, option, url + "/"], 60).stdout.strip()
            found.append((what, "" if said == "1.1 200 22" else repr(said)))
    return found


def nghttp(binary, port):
    url = f"http://127.0.0.1:{port}"
    found = []
    many = call([binary, "-nv", *[f"{url}/{number}" for number in range(100)]], 60)
    answered = len(re.findall(r":status: 200", strip(many.stdout)))
    found.append(("100 streams at once", "" if answered == 100 else f"{answered} answered"))
    with tempfile.TemporaryDirectory() as name:
        body = Path(name) / "body"
        body.write_bytes(b"x" * (1 << 20))
        post = call([binary, "-nv", "-d", body, f"{url}/"], 60)
        found.append(("POST of 1 MiB", "" if ":status: 200" in strip(post.stdout) else post.stdout[-300:]))
        trailer = call([binary, "-nv", "-d", body, "--trailer", "x-sum: 1", f"{url}/"], 60)
        found.append(("POST with trailers", "" if ":status: 200" in strip(trailer.stdout) else trailer.stdout[-300:]))
    small = call([binary, "-nv", "-w", 10, "-W", 10, f"{url}/10k"], 60)
    found.append(("windows of 1 KiB", "" if ":status: 200" in strip(small.stdout) and not small.returncode
                  else small.stdout[-300:]))
    padded = call([binary, "-nv", "-b", 100, f"{url}/"], 60)
    found.append(("padded frames", "" if ":status: 200" in strip(padded.stdout) else padded.stdout[-300:]))
    return found


def nghttp_from_nghttpd(binary, port):
    got = strip(call([binary, "-nv", f"http://127.0.0.1:{port}/index.html", f"http://127.0.0.1:{port}/1m"], 60).stdout)
    answered, trailers = got.count(":status: 200"), got.count("x-trailer: done")
    return [("two files at once", "" if answered == 2 else f"{answered} answered"),
            ("trailers of the host", "" if trailers == 2 else f"{trailers} of 2")]


def h2load(binary, port):
    found = []
    with tempfile.TemporaryDirectory() as name:
        body = Path(name) / "body"
        body.write_bytes(b"x" * (64 << 10))
        for what, arguments in (
            ("10,000 requests, 16 connections × 32", ["-n", 10_000, "-c", 16, "-m", 32, "/"]),
            ("5,000 replies of 10 KiB, windows of 16 KiB", ["-n", 5000, "-c", 8, "-m", 16, "-w", 14, "-W", 15, "/10k"]),
            ("1,000 uploads of 64 KiB", ["-n", 1000, "-c", 8, "-m", 8, "-d", body, "/"]),
            ("1,000 requests, a stream at a time", ["-n", 1000, "-c", 4, "-m", 1, "/"]),
        ):
            done = call([binary, *arguments[:-1], f"http://127.0.0.1:{port}{arguments[-1]}"])
            total = re.search(r"requests: (\d+) total, .* (\d+) succeeded, (\d+) failed", done.stdout)
            codes = re.search(r"status codes: (\d+) 2xx", done.stdout)
            good = total and codes and total.group(1) == total.group(2) == codes.group(1)
            found.append((what, "" if good else (total.group(0) if total else done.stdout[-300:])))
    return found


def java(binary, port):
    return lines(call([binary, needs.HERE / "java/Upgrade.java", f"http://127.0.0.1:{port}/"]))


def go_http_client(binary, port):
    return lines(call([binary, "http-client", f"http://127.0.0.1:{port}"]))


def go_grpc_client(binary, port):
    return lines(call([binary, "grpc-client", f"127.0.0.1:{port}"]))


def python_grpc_client(interpreter, port):
    return lines(call([interpreter, needs.HERE / "grpc/client.py", f"127.0.0.1:{port}"]))


def program(name):
    return lambda: needs.command(name)


CHECKS = (
    Check("httpwg", "h1", ends, needs.httpwg, httpwg, quick=True),
    Check("h2spec", "h1", ends, needs.h2spec, h2spec),
    Check("httpwg, HTTP/2 behind", "h2", h2_origin, needs.httpwg, httpwg),
    Check("h2spec, HTTP/2 behind", "h2", h2_origin, needs.h2spec, h2spec),
    Check("curl to HTTP/1.1", "h1", ends, program("curl"), curl, quick=True),
    Check("curl to HTTP/2", "h2", h2_origin, program("curl"), curl, quick=True),
    Check("nghttp to HTTP/1.1", "h1", ends, program("nghttp"), nghttp, quick=True),
    Check("nghttp to HTTP/2", "h2", h2_origin, program("nghttp"), nghttp, quick=True),
    Check("nghttp to nghttpd", "h2", nghttpd, program("nghttp"), nghttp_from_nghttpd, quick=True),
    Check("h2load to HTTP/1.1", "h1", ends, program("h2load"), h2load, quick=True),
    Check("h2load to HTTP/2", "h2", h2_origin, program("h2load"), h2load, quick=True),
    Check("Go net/http to net/http, HTTP/2", "h2", go_http, needs.go, go_http_client),
    Check("Go net/http to net/http, HTTP/1.1", "h1", go_http, needs.go, go_http_client),
    Check("Java java.net.http", "h1", ends, program("java"), java),
    Check("grpcio to grpcio", "h2", python_grpc, needs.python, python_grpc_client),
    Check("grpcio to grpc-go", "h2", go_grpc, needs.python, python_grpc_client),
    Check("grpc-go to grpcio", "h2", python_grpc, needs.go, go_grpc_client),
    Check("grpc-go to grpc-go", "h2", go_grpc, needs.go, go_grpc_client),
    Check("TLS: openssl s_client", "h1", ends, program("openssl"), tls_clients.openssl, quick=True, tls="before"),
    Check("TLS: curl", "h1", ends, program("curl"), tls_clients.curl, quick=True, tls="before"),
    Check("TLS: nghttp", "h1", ends, program("nghttp"), tls_clients.nghttp, quick=True, tls="before"),
    Check("TLS: h2load", "h1", ends, program("h2load"), tls_clients.h2load, quick=True, tls="before"),
    Check("TLS: gnutls-cli", "h1", ends, program("gnutls-cli"), tls_clients.gnutls, quick=True, tls="before"),
    Check("TLS: Python's ssl", "h1", ends, program("python3"), tls_clients.python_ssl, quick=True, tls="before"),
    Check("TLS: Go crypto/tls", "h1", ends, needs.go, tls_clients.go, tls="before"),
    Check("TLS: Java javax.net.ssl", "h1", ends, program("java"), tls_clients.java, tls="before"),
    Check("TLS: tlslite-ng, malformed", "h1", ends, needs.python, tls_clients.tlslite, tls="before"),
    Check("TLS: to openssl s_server, 1.3", "h1", tls_servers.s_server("-tls1_3"), program("openssl"),
          tls_servers.from_openssl("TLSv1.3"), quick=True, tls="behind"),
    Check("TLS: to openssl s_server, 1.2", "h1", tls_servers.s_server("-tls1_2"), program("openssl"),
          tls_servers.from_openssl("TLSv1.2"), quick=True, tls="behind"),
    Check("TLS: to gnutls-serv", "h1", tls_servers.gnutls_serv, program("gnutls-serv"), tls_servers.from_gnutls,
          quick=True, tls="behind"),
    Check("TLS: to nghttpd, HTTP/2", "h2", tls_servers.nghttpd, program("nghttpd"), tls_servers.from_nghttpd, quick=True,
          tls="behind"),
    Check("TLS: to Python's ssl", "h1", tls_servers.python_ssl, program("python3"), tls_servers.from_program, quick=True,
          tls="behind"),
    Check("TLS: to Go crypto/tls", "h1", tls_servers.go, needs.go, tls_servers.from_program, tls="behind"),
    Check("TLS: to Go crypto/tls, HTTP/2", "h2", tls_servers.go, needs.go, tls_servers.from_program_h2, tls="behind"),
    Check("TLS: to Java javax.net.ssl", "h1", tls_servers.java, program("java"), tls_servers.from_program, tls="behind"),
    Check("TLS: grpcio to grpcio", "h2", tls_servers.python_grpc, needs.python, tls_clients.grpc, tls="behind"),
    Check("TLS: sslscan beside nginx", "h1", ends, tls_judges.both("sslscan"), tls_judges.sslscan, tls="before"),
    Check("TLS: testssl.sh beside nginx", "h1", ends, tls_judges.both("testssl"), tls_judges.testssl, tls="before"),
)
