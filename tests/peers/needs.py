"""What the checks take beyond what is on the machine, installed below target/peers by each registry's own client."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parents[1]
H2SPEC = "github.com/summerwind/h2spec/cmd/h2spec@v2.2.1+incompatible"
PYTHON = ["grpcio==1.85.3", "tlslite-ng==0.8.2"]
DEBIAN = {"curl": "curl", "nghttp": "nghttp2-client", "h2load": "nghttp2-client", "nghttpd": "nghttp2-server",
          "java": "default-jdk-headless", "openssl": "openssl", "gnutls-cli": "gnutls-bin", "gnutls-serv": "gnutls-bin",
          "sslscan": "sslscan", "testssl": "testssl.sh", "nginx": "nginx-light"}


class Missing(Exception):
    """Something cannot be had; the checks that take it are left out, by name."""


def target():
    return Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").resolve()


def folder():
    made = target() / "peers"
    made.mkdir(parents=True, exist_ok=True)
    return made


def which(name):
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/go/bin:/usr/local/sbin:/usr/sbin:/sbin")


def command(name):
    """A program of the system."""
    if found := which(name):
        return found
    raise Missing(f"{name} is missing" + (f": apt-get install {DEBIAN[name]}" if name in DEBIAN else ""))


def install_debian():
    """Installs what is missing of Debian's, if this user may."""
    packages = {package for name, package in DEBIAN.items() if not which(name)}
    if packages and os.geteuid() == 0 and which("apt-get"):
        environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        subprocess.run(["apt-get", "update", "-qq"], check=False, stdout=sys.stderr)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", *sorted(packages)], check=False,
                       stdout=sys.stderr, env=environment)


def built(what, arguments, **options):
    print(f"building {what}", file=sys.stderr)
    try:
        done = subprocess.run([str(part) for part in arguments], capture_output=True, text=True, timeout=900, check=False,
                              **options)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Missing(f"{what}: {error}") from error
    if done.returncode:
        raise Missing(f"{what} could not be built: {(done.stdout + done.stderr)[-600:]}")


def httpwg():
    built("httpwg", [command("cargo"), "build", "--quiet", "--locked", "--target-dir", folder() / "httpwg"],
          cwd=HERE / "httpwg")
    return folder() / "httpwg/debug/sidegate-httpwg"


def h2spec():
    binary = folder() / "bin/h2spec"
    if not binary.exists():
        built("h2spec", [command("go"), "install", H2SPEC], env={**os.environ, "GOBIN": str(binary.parent)})
    return binary


def go():
    binary = folder() / "bin/peers"
    built("Go's peers", [command("go"), "build", "-o", binary, "."], cwd=HERE / "go")
    return binary


def python():
    """A Python that has grpcio and tlslite-ng."""
    interpreter = folder() / "venv/bin/python"
    mark = folder() / "venv/installed"
    if not mark.exists() or mark.read_text() != " ".join(PYTHON):
        built("a virtual environment", [sys.executable, "-m", "venv", folder() / "venv"])
        built("what Python's peers take", [interpreter, "-m", "pip", "install", "--quiet", *PYTHON])
        mark.write_text(" ".join(PYTHON))
    return interpreter


def release(name):
    """A program of the project's own; the release build's, or beside the binary that was named."""
    path = release.folder / name
    if not path.exists():
        raise Missing(f"{path} is missing: make build")
    return path


release.folder = target() / "release"
