"""sslscan and testssl.sh on Sidegate and on nginx as it comes, with the same certificate: no finding may be worse."""

import json
import xml.etree.ElementTree

import needs
from calls import call
from subjects import Process, connects, free_ports
from tls_subject import NAME

# As testssl.sh ranks what it finds. `WARN` is a test that could not be done.
SEVERITIES = ("OK", "INFO", "LOW", "MEDIUM", "HIGH", "CRITICAL")
NGINX = """worker_processes 1;
daemon off;
pid {dir}/nginx.pid;
error_log {dir}/error.log;
events {{ worker_connections 512; }}
http {{
    access_log off;
    client_body_temp_path {dir}/body;
    proxy_temp_path {dir}/proxy;
    fastcgi_temp_path {dir}/fastcgi;
    uwsgi_temp_path {dir}/uwsgi;
    scgi_temp_path {dir}/scgi;
    server {{
        listen 127.0.0.1:{port} ssl http2;
        server_name {name};
        ssl_certificate {certs.server};
        ssl_certificate_key {certs.server_key};
        location / {{ proxy_pass http://127.0.0.1:{origin}; }}
    }}
}}
"""


def both(tool):
    """The judge, and whom to compare with."""
    return lambda: (needs.command(tool), needs.command("nginx"))


class Nginx:
    """With no setting of TLS but the certificate."""

    def __init__(self, binary, proxy):
        directory = proxy.log.parent / "nginx"
        directory.mkdir()
        (self.port,) = free_ports(1)
        config = directory / "nginx.conf"
        config.write_text(NGINX.format(dir=directory, port=self.port, name=NAME, certs=proxy.certs, origin=9))
        command = [binary, "-p", directory, "-e", directory / "start.log", "-c", config]
        self.process = Process("nginx", command, None, directory)
        try:
            self.process.wait_until(lambda: connects(self.port), "listening")
        except BaseException:
            self.process.stop()
            raise


def compared(judge, nginx, proxy):
    """What `judge(port, directory)` says of both."""
    other = Nginx(nginx, proxy)
    try:
        return judge(proxy.open, proxy.log.parent / "ours"), judge(other.port, proxy.log.parent / "theirs")
    finally:
        other.process.stop()


def testssl(tools, proxy):
    """Each finding of testssl.sh by its name; worse is a higher severity than nginx's, or one that nginx has not."""
    binary, nginx = tools

    def judge(port, directory):
        directory.mkdir()
        report = directory / "testssl.json"
        done = call([binary, "--quiet", "--color", "0", "--warnings", "batch", "--ip", "127.0.0.1", "--sneaky", "--add-ca",
                     proxy.certs.ca, "--jsonfile", report, "-p", "-s", "-f", "-P", "-S", "-h", "-U", "-c",
                     f"{NAME}:{port}"], 900)
        if not report.exists():
            return {}, (done.stdout + done.stderr)[-500:]
        return {finding["id"]: finding for finding in json.loads(report.read_text())}, ""

    (ours, why), (theirs, other_why) = compared(judge, nginx, proxy)
    if not ours or not theirs:
        return [("its results", why or other_why or "it found nothing")]
    found = []
    for name, finding in ours.items():
        severity = finding["severity"]
        beside = theirs.get(name, {"severity": "OK", "finding": "nothing"})
        worse = rank(severity) > max(rank(beside["severity"]), rank("INFO"))
        found.append((name, f"{severity}: {finding['finding']}; nginx: {beside['severity']}: {beside['finding']}"
                      if worse else ""))
    # A run that was cut short has no findings to be bad.
    found.append(("as many findings as of nginx", "" if len(ours) >= len(theirs) * 0.8 else f"{len(ours)}, {len(theirs)}"))
    return found


def rank(severity):
    return SEVERITIES.index(severity) if severity in SEVERITIES else 0


def sslscan(tools, proxy):
    """Protocols, ciphers by strength, groups and known weaknesses; worse is what sslscan marks and nginx has not."""
    binary, nginx = tools

    def judge(port, directory):
        done = call([binary, "--xml=-", f"--sni-name={NAME}", "--show-sigs", f"127.0.0.1:{port}"], 300)
        return xml.etree.ElementTree.fromstring(done.stdout[done.stdout.index("<?xml"):]).find("ssltest")

    ours, theirs = compared(judge, nginx, proxy)
    found = []

    def row(what, finding, allowed):
        found.append((what, "" if finding <= allowed else f"{sorted(finding - allowed)}"))

    def protocols(test):
        return {f"{one.get('type').upper()} {one.get('version')}" for one in test.iter("protocol")
                if one.get("enabled") == "1"}

    # nginx before 1.23.4 leaves 1.3 off by itself.
    row("protocols", protocols(ours), {"TLS 1.2", "TLS 1.3"})
    strengths = {"null": 0, "anonymous": 0, "weak": 1, "medium": 2, "acceptable": 3, "strong": 4}
    worst = min((strengths.get(one.get("strength"), 0) for one in theirs.iter("cipher")), default=4)
    row("strength of ciphers", {f"{one.get('cipher')}: {one.get('strength')}" for one in ours.iter("cipher")
                                if strengths.get(one.get("strength"), 0) < worst}, set())
    row("bits of ciphers", {f"{one.get('cipher')}: {one.get('bits')}" for one in ours.iter("cipher")
                            if int(one.get("bits")) < 128}, set())
    row("TLS 1.2's ciphers", {one.get("cipher") for one in ours.iter("cipher") if one.get("sslversion") == "TLSv1.2" and
                              not one.get("cipher").startswith("ECDHE-")}, set())
    for element, attribute in (("heartbleed", "vulnerable"), ("compression", "supported"), ("renegotiation", "supported")):
        bad = {f"{one.get('sslversion', '')} {attribute}" for one in ours.iter(element) if one.get(attribute) == "1"
               and not (element == "renegotiation" and one.get("secure") == "1")}
        nginx_has = {f"{one.get('sslversion', '')} {attribute}" for one in theirs.iter(element)
                     if one.get(attribute) == "1"}
        row(element, bad, nginx_has if element == "renegotiation" else set())
    fallback = [test.find("fallback") for test in (ours, theirs)]
    lacking = [one is not None and one.get("supported") == "0" for one in fallback]
    found.append(("fallback SCSV", "it is not there, and nginx has it" if lacking == [True, False] else ""))
    bits = {int(one.get("bits")) for one in ours.iter("group")}
    found.append(("bits of groups", "" if bits and min(bits) >= 112 else f"{bits}"))
    certificate = next(ours.iter("certificate"), None)
    found.append(("the certificate", "" if certificate is not None else "it saw none"))
    return found
