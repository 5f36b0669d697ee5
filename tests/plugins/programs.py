"""The plugins, and how each is built below one folder from what the registries have."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable, Optional

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parents[1] / "plugin-examples"


class Missing(Exception):
    """The machine lacks a toolchain."""


@dataclass(frozen=True)
class Edit:
    """What a program does to a request that passes."""

    mark: str
    # A field that it takes away.
    hidden: str
    # A body, and what it makes of it.
    sent: bytes
    made: str


@dataclass(frozen=True)
class Program:
    name: str
    # What it is built of; one is built once.
    kit: str
    # From what was built to the command that starts it.
    command: Callable[[Path], list]
    edit: Edit
    # What requests must have.
    expected: dict = field(default_factory=lambda: {"User": "admin"})
    # Whether it takes `--listen`, and so serves TCP and can be started by somebody else.
    listens: bool = False
    # What its examples alone do: names without case, fields that come twice, answers to responses, health.
    is_example: bool = False
    # What it says on standard error for a request with `X-Print`, or when it starts.
    says: Optional[str] = None


def example(name, kit, language, command, listens=True):
    edit = Edit(language, "X-Internal", b"I am admin\xff, admin!", "I am ***\xff, ***!")
    return Program(name, kit, command, edit, {"user": "admin"}, listens, True)


def foreign(name, kit, language, command, says):
    return Program(name, kit, command, Edit(language, "X-Secret", b"shout", "SHOUT"), says=says)


def java(program):
    # What the virtual machine compiles beyond that pays in a minute; a test ends before.
    return lambda built: ["java", "-XX:TieredStopAtLevel=1", "-Xmx128m", "-cp", built / "plugins.jar",
                          f"sidegate.plugin.{program}"]


PROGRAMS = [
    example("Python, grpcio", "python", "python", lambda built: [built / "bin/python", EXAMPLES / "python/auth.py"]),
    example("Go, go-plugin", "go", "go", lambda built: [built / "auth"], listens=False),
    example("Go, plain", "go", "go", lambda built: [built / "auth-plain"]),
    example("Java, grpc-java", "java", "java", java("Auth")),
    example("Node, grpc-js", "node", "node", lambda built: ["node", built / "auth.js"]),
    example("Rust, tonic", "rust", "rust", lambda built: [built / "debug/auth"]),
    foreign("protocol alone, Python", "python", "python",
            lambda built: [built / "bin/python", HERE / "python/auth.py"], "python plugin is up"),
    foreign("protocol alone, go-plugin 1.8", "foreign-go", "go", lambda built: [built / "go.mod.out"],
            "logged by the plugin"),
    foreign("protocol alone, go-plugin 1.0.1", "foreign-go", "go", lambda built: [built / "mosn.mod.out"],
            "logged by the plugin"),
]


def build(kit, work):
    """Builds a kit below `work`, what it downloads included, and returns the folder."""
    folder = work / kit
    folder.mkdir(parents=True, exist_ok=True)
    BUILDERS[kit](folder, work)
    return folder


def run(command, cwd, **environment):
    done = subprocess.run([str(word) for word in command], cwd=cwd, env={**os.environ, **environment},
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}")


def need(*tools):
    for tool in tools:
        if not shutil.which(tool):
            raise Missing(f"{tool} is not installed")


def build_python(folder, work):
    source = EXAMPLES / "python"
    if not (folder / "bin/pip").exists():
        # Debian has the means for that in a package of its own.
        run([sys.executable, "-m", "venv", folder], source)
    run([folder / "bin/pip", "install", "--quiet", "--disable-pip-version-check",
         "--cache-dir", work / "cache/pip", "-r", source / "requirements.txt"], source)


def go(work):
    # -modcacherw: what is downloaded can be removed like all else.
    return {"GOMODCACHE": str(work / "cache/go-mod"), "GOCACHE": str(work / "cache/go-build"),
            "GOFLAGS": "-modcacherw"}


def build_go(folder, work):
    need("go")
    source = copied(EXAMPLES / "go", folder / "source")
    run(["go", "generate", "./..."], source, **go(work))
    run(["go", "vet", "./..."], source, **go(work))
    run(["go", "build", "-o", str(folder) + "/", "./cmd/..."], source, **go(work))


def build_foreign_go(folder, work):
    need("go")
    for modules in ("go.mod", "mosn.mod"):
        run(["go", "build", f"-modfile={modules}", "-o", folder / f"{modules}.out", "."], HERE / "go", **go(work))


def build_java(folder, work):
    need("mvn", "java", "javac")
    run(["mvn", "--batch-mode", "--quiet", "--no-transfer-progress", f"-Dmaven.repo.local={work / 'cache/maven'}",
         f"-Dbuild.folder={folder}", "package"], EXAMPLES / "java")


def build_node(folder, work):
    need("node", "npm")
    source = copied(EXAMPLES / "node", folder)
    locked = (source / "package-lock.json").read_bytes()
    installed = folder / "installed"
    if not installed.exists() or installed.read_bytes() != locked:
        run(["npm", "ci", "--no-audit", "--no-fund", "--loglevel=error", "--cache", work / "cache/npm"], source)
        installed.write_bytes(locked)


def build_rust(folder, _):
    need("cargo")
    run(["cargo", "build", "--quiet", "--locked"], EXAMPLES / "rust", CARGO_TARGET_DIR=str(folder),
        RUSTFLAGS="-D warnings")


def copied(source, folder):
    """The sources where files may be made beside them."""
    ignored = shutil.ignore_patterns("node_modules", "pb", "target")
    return shutil.copytree(source, folder, dirs_exist_ok=True, ignore=ignored)


BUILDERS = {"python": build_python, "go": build_go, "java": build_java, "node": build_node, "rust": build_rust,
            "foreign-go": build_foreign_go}
