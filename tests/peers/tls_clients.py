"""Foreign clients of TLS before Sidegate."""

import re
import tempfile
from pathlib import Path

import needs
from calls import call, lines, strip
from tls_subject import CLIENT, NAME, OTHER_NAME

# Both CAs have the same name, so that it may be the signature that is not good.
FOREIGN = "alert (unknown ca|decrypt error)"
REQUEST = f"GET / HTTP/1.1\r\nHost: {NAME}\r\nConnection: close\r\n\r\n"


def s_client(binary, port, certs, *options, name=NAME, request=REQUEST):
    """What openssl says and gets."""
    command = [binary, "s_client", "-connect", f"127.0.0.1:{port}", "-servername", name, "-CAfile", certs.ca,
               "-verify_return_error", "-verify_hostname", name, "-ign_eof", *options]
    done = call(command, 30, input=request)
    return done.stdout + done.stderr


def holds(text, *wanted):
    """Why a text is not as it should be, or nothing."""
    missing = [word for word in wanted if not re.search(word, text)]
    return f"{missing} missing in {text[-400:]!r}" if missing else ""


def openssl(binary, proxy):
    certs, other = proxy.certs, proxy.other
    good = "Verification: OK", "HTTP/1.1 200"
    own = "-cert", certs.client, "-key", certs.client_key
    foreign = "-cert", other.client, "-key", other.client_key

    def ask(port, *options, **more):
        return s_client(binary, port, certs, *options, **more)

    found = [
        ("TLS 1.3", holds(ask(proxy.open, "-tls1_3"), "New, TLSv1.3, Cipher is TLS_AES_128_GCM_SHA256", *good)),
        ("TLS 1.2", holds(ask(proxy.open, "-tls1_2"), "New, TLSv1.2, Cipher is ECDHE-ECDSA-AES128-GCM-SHA256", *good)),
        ("TLS 1.2 alone", holds(ask(proxy.old), "New, TLSv1.2", *good)),
        ("TLS 1.3 where 1.2 is spoken", holds(ask(proxy.old, "-tls1_3"), "alert protocol version")),
        ("TLS 1.1", holds(ask(proxy.open, "-tls1_1", "-cipher", "ALL:@SECLEVEL=0"), "alert protocol version")),
        ("another name", holds(s_client(binary, proxy.open, other, name=OTHER_NAME), *good)),
        ("a name that nobody has", holds(ask(proxy.open, name="nobody.test"), "hostname mismatch")),
        ("no name", holds(call([binary, "s_client", "-connect", f"127.0.0.1:{proxy.open}", "-noservername", "-CAfile",
                                certs.ca, "-ign_eof"], 30, input=REQUEST).stdout, *good)),
        ("ALPN h2", holds(ask(proxy.open, "-alpn", "h2,http/1.1", request=""), "ALPN protocol: h2")),
        ("ALPN http/1.1", holds(ask(proxy.open, "-alpn", "http/1.1"), "ALPN protocol: http/1.1", *good)),
        ("ALPN without overlap", holds(ask(proxy.open, "-alpn", "smtp"), "No ALPN negotiated", *good)),
        ("a certificate", holds(ask(proxy.mutual, *own), f"x-client: CN={CLIENT}", *good)),
        ("a certificate, TLS 1.2", holds(ask(proxy.mutual, *own, "-tls1_2"), f"x-client: CN={CLIENT}", *good)),
        ("no certificate", holds(ask(proxy.mutual), "alert certificate required")),
        ("no certificate, TLS 1.2", holds(ask(proxy.mutual, "-tls1_2"), "alert (handshake failure|certificate required)")),
        ("a certificate of another CA", holds(ask(proxy.mutual, *foreign), FOREIGN)),
        ("a CBC cipher", holds(ask(proxy.open, "-tls1_2", "-cipher", "ECDHE-ECDSA-AES128-SHA256"),
                               "alert handshake failure")),
        ("new keys", holds(ask(proxy.open, "-tls1_3", request="K\n" + REQUEST), "KEYUPDATE|HTTP/1.1")),
        ("a status request", holds(ask(proxy.open, "-status"), "OCSP response: no response sent", *good)),
        ("a fragmented hello", holds(ask(proxy.open, "-split_send_frag", "512", "-max_send_frag", "512"), *good)),
    ]
    for group in ("X25519", "P-256", "P-384"):
        found.append((f"group {group}", holds(ask(proxy.open, "-groups", group), "Server Temp Key", *good)))
    for cipher in ("TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384", "TLS_CHACHA20_POLY1305_SHA256"):
        found.append((cipher, holds(ask(proxy.open, "-ciphersuites", cipher), f"Cipher is {cipher}", *good)))
    for version in ("-tls1_3", "-tls1_2"):
        for what, port, options in (("", proxy.open, ()), (" with a certificate", proxy.mutual, own)):
            with tempfile.TemporaryDirectory() as name:
                session = Path(name) / "session"
                ask(port, version, *options, "-sess_out", session)
                again = ask(port, version, *options, "-sess_in", session)
                found.append((f"resumption, {version[1:]}{what}", holds(again, "Reused, TLSv1", "HTTP/1.1 200")))
                elsewhere = proxy.mutual if port == proxy.open else proxy.open
                wrong = ask(elsewhere, version, *own, "-sess_in", session)
                found.append((f"no resumption elsewhere, {version[1:]}{what}", holds(wrong, "New, TLSv1", "HTTP/1.1 200")))
    return found


def curl(binary, proxy):
    certs = proxy.certs
    resolve = [part for port in (proxy.open, proxy.mutual, proxy.old)
               for part in ("--resolve", f"{NAME}:{port}:127.0.0.1")]
    base = [binary, "-q", "--noproxy", "*", "-sS", "--max-time", 30, "--cacert", certs.ca, *resolve, "-o", "/dev/null",
            "-w", "%{http_version} %{http_code} %{size_download}\n"]
    found = []
    with tempfile.TemporaryDirectory() as name:
        body = Path(name) / "body"
        body.write_bytes(b"x" * (2 << 20))
        own = ["--cert", certs.client, "--key", certs.client_key]
        for what, port, options, path, wanted in (
            ("HTTP/2", proxy.open, ["--http2"], "/", "2 200 22"),
            ("HTTP/1.1", proxy.open, ["--http1.1"], "/", "1.1 200 22"),
            ("without ALPN", proxy.open, ["--no-alpn"], "/", "1.1 200 22"),
            ("TLS 1.2", proxy.open, ["--tls-max", "1.2"], "/", "2 200 22"),
            ("TLS 1.3", proxy.open, ["--tlsv1.3"], "/", "2 200 22"),
            ("1 MiB down", proxy.open, [], "/1m", "2 200 1048576"),
            ("1 MiB down, HTTP/1.1", proxy.open, ["--http1.1"], "/1m", "1.1 200 1048576"),
            ("2 MiB up", proxy.open, ["--data-binary", f"@{body}"], "/", "2 200 22"),
            ("2 MiB up, HTTP/1.1, length unknown", proxy.open,
             ["--http1.1", "-H", "Transfer-Encoding: chunked", "--data-binary", f"@{body}"], "/", "1.1 200 22"),
            ("a certificate", proxy.mutual, own, "/", "2 200 22"),
            ("a certificate, TLS 1.2", proxy.mutual, [*own, "--tls-max", "1.2"], "/", "2 200 22"),
        ):
            done = call([*base, *options, f"https://{NAME}:{port}{path}"], 60)
            said = done.stdout.strip()
            found.append((what, "" if said == wanted else f"{said!r} {done.stderr.strip()!r}"))
        refused = call([*base, f"https://{NAME}:{proxy.mutual}/"], 60)
        found.append(("no certificate", "" if refused.returncode in (35, 56) else f"{refused}"))
        unknown = call([*base, "--cacert", proxy.other.ca, f"https://{NAME}:{proxy.open}/"], 60)
        found.append(("a CA that it does not know", "" if unknown.returncode == 60 else f"{unknown}"))
        many = call([*base, "-Z", "--parallel-max", 50, f"https://{NAME}:{proxy.open}/[1-200]"], 60)
        answered = many.stdout.splitlines().count("2 200 22")
        found.append(("200 requests, 50 at once", "" if answered == 200 else f"{answered}: {many.stderr[-200:]}"))
        clear = call([*base, f"http://127.0.0.1:{proxy.open}/"], 60)
        found.append(("http:// to the port", "" if clear.stdout.startswith("1.1 400") else f"{clear}"))
    return found


def gnutls(binary, proxy):
    def ask(port, *options, request=REQUEST):
        done = call([binary, "-p", port, "--x509cafile", proxy.certs.ca, "--verify-hostname", NAME, "--sni-hostname", NAME,
                     *options, "127.0.0.1"], 30, input=request)
        return done.stdout + done.stderr
    own = "--x509certfile", proxy.certs.client, "--x509keyfile", proxy.certs.client_key
    good = "The certificate is trusted", "HTTP/1.1 200"
    only = "NORMAL:-VERS-ALL:+VERS-TLS1."
    return [
        ("TLS 1.3", holds(ask(proxy.open, "--priority", only + "3"), "TLS1.3", *good)),
        ("TLS 1.2", holds(ask(proxy.open, "--priority", only + "2"), "TLS1.2", *good)),
        ("TLS 1.1", holds(ask(proxy.open, "--priority", only + "1"), "handshake|Handshake|Fatal|rror")),
        ("ALPN", holds(ask(proxy.open, "--alpn", "h2", request=""), "Application protocol: h2")),
        ("a certificate", holds(ask(proxy.mutual, *own), f"x-client: CN={CLIENT}", *good)),
        ("no certificate", holds(ask(proxy.mutual), "Certificate is required|alert|rror")),
        ("resumption, TLS 1.3", holds(ask(proxy.open, "--resume", "--waitresumption", "--priority", only + "3"),
                                      "This is a resumed session")),
        ("resumption, TLS 1.2", holds(ask(proxy.open, "--resume", "--priority", only + "2"),
                                      "This is a resumed session")),
        ("a small limit of records", holds(ask(proxy.open, "--recordsize", "512"), *good)),
    ]


def python_ssl(interpreter, proxy):
    """This very Python's."""
    return lines(call([interpreter, needs.HERE / "tls/client.py", proxy.open, proxy.mutual, proxy.old, proxy.certs.folder,
                       proxy.other.folder]))


def go(binary, proxy):
    return lines(call([binary, "tls-client", f"{proxy.open},{proxy.mutual},{proxy.old}", proxy.certs.folder]))


def java(binary, proxy):
    return lines(call([binary, needs.HERE / "java/Tls.java", "client", proxy.open, proxy.mutual, proxy.certs.folder]))


def nghttp(binary, proxy):
    url = f"https://127.0.0.1:{proxy.open}"
    found = []
    many = strip(call([binary, "-nv", *[f"{url}/{number}" for number in range(100)]], 60).stdout)
    found.append(("ALPN", "" if "The negotiated protocol: h2" in many else many[-300:]))
    answered = len(re.findall(r":status: 200", many))
    found.append(("100 streams at once", "" if answered == 100 else f"{answered} answered"))
    with tempfile.TemporaryDirectory() as name:
        body = Path(name) / "body"
        body.write_bytes(b"x" * (1 << 20))
        post = strip(call([binary, "-nv", "-d", body, f"{url}/"], 60).stdout)
        found.append(("POST of 1 MiB", "" if ":status: 200" in post else post[-300:]))
    return found


def h2load(binary, proxy):
    found = []
    for what, arguments in (
        ("10,000 requests, 16 connections × 32", ["-n", 10_000, "-c", 16, "-m", 32, "/"]),
        ("2,000 replies of 10 KiB", ["-n", 2000, "-c", 8, "-m", 16, "/10k"]),
        ("2,000 requests over HTTP/1.1", ["-n", 2000, "-c", 8, "--h1", "/"]),
        ("500 connections of one request", ["-n", 500, "-c", 500, "-m", 1, "/"]),
    ):
        done = call([binary, *arguments[:-1], f"https://127.0.0.1:{proxy.open}{arguments[-1]}"])
        total = re.search(r"requests: (\d+) total, .* (\d+) succeeded, (\d+) failed", done.stdout)
        codes = re.search(r"status codes: (\d+) 2xx", done.stdout)
        good = total and codes and total.group(1) == total.group(2) == codes.group(1)
        found.append((what, "" if good else (total.group(0) if total else done.stdout[-300:])))
    return found


def grpc(interpreter, proxy):
    """With mutual TLS on both sides."""
    return lines(call([interpreter, needs.HERE / "grpc/client.py", f"127.0.0.1:{proxy.mutual}", proxy.certs.folder, NAME]))


def tlslite(interpreter, proxy):
    return lines(call([interpreter, needs.HERE / "tls/malformed.py", proxy.open, proxy.certs.folder, proxy.log], 600))


