"""The plugins, and how each is built below one folder from what the registries have."""

import os
import re
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
    # None: it makes none.
    edit: Optional[Edit]
    # What requests must have.
    expected: dict = field(default_factory=lambda: {"User": "admin"})
    # Whether it takes `--listen`, and so serves TCP and can be started by somebody else.
    listens: bool = False
    # What its examples alone do: names without case, fields that come twice, answers to responses, health.
    is_example: bool = False
    # What it says on standard error for a request with `X-Print`, or when it starts.
    says: Optional[str] = None
    # It brings certificates and does nothing else.
    is_loader: bool = False
    # It takes access logs and does nothing else.
    is_log_sink: bool = False


def example(name, kit, language, command, listens=True):
    edit = Edit(language, "X-Internal", b"I am admin\xff, admin!", "I am ***\xff, ***!")
    return Program(name, kit, command, edit, {"user": "admin"}, listens, True)


def foreign(name, kit, language, command, says):
    return Program(name, kit, command, Edit(language, "X-Secret", b"shout", "SHOUT"), says=says)


def java(program):
    # What the virtual machine compiles beyond that pays in a minute; a test ends before.
    return lambda built: ["java", "-XX:TieredStopAtLevel=1", "-Xmx128m", "-cp", built / "plugins.jar",
                          f"sidegate.plugin.{program}"]


def book(name, kit, command):
    """A program that the book shows whole: it decides, and does nothing else."""
    return Program(f"the book, {name}", f"book-{kit}", command, None)


def loader(name, kit, command):
    return Program(f"loader, {name}", kit, command, None, is_loader=True)


def log_sink(name, kit, command):
    return Program(f"access log, {name}", kit, command, None, is_log_sink=True)


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
    loader("Python", "python", lambda built: [built / "bin/python", EXAMPLES / "python/loader.py"]),
    loader("Go", "go", lambda built: [built / "loader"]),
    loader("Java", "java", java("Loader")),
    log_sink("Python", "python", lambda built: [built / "bin/python", EXAMPLES / "python/access_log.py"]),
    book("Python", "python", lambda built: [built.parent / "python/bin/python", built / "auth.py"]),
    book("Go", "go", lambda built: [built / "book"]),
    book("Java", "java", java("Small")),
    book("JavaScript", "node", lambda built: ["node", built / "auth.js"]),
    book("Rust", "rust", lambda built: [built.parent / "rust/debug/book"]),
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
    maven(EXAMPLES / "java", folder, work)


def maven(source, folder, work):
    run(["mvn", "--batch-mode", "--quiet", "--no-transfer-progress", f"-Dmaven.repo.local={work / 'cache/maven'}",
         f"-Dbuild.folder={folder}", "package"], source)


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


def shown(language):
    """The program of the book in that language."""
    page = (HERE.parents[1] / "docs/src/plugins.md").read_text()
    found = re.findall(rf"<!-- plugin: {language} -->\n```\w+\n(.*?)```\n", page, re.DOTALL)
    if len(found) != 1:
        raise RuntimeError(f"the page shows {len(found)} programs in {language}")
    return found[0]


def write(file, text):
    """Leaves a file alone that is as it should be: what is built of it is then as well."""
    file.parent.mkdir(parents=True, exist_ok=True)
    if not file.exists() or file.read_text() != text:
        file.write_text(text)


def messages(folder):
    page = (HERE.parents[1] / "docs/src/plugins.md").read_text()
    text = re.search(r"<!-- file: plugin.proto -->\n```text\n(.*?)```\n", page, re.DOTALL).group(1)
    write(folder / "plugin.proto", text)


def build_book_python(folder, work):
    build("python", work)
    messages(folder)
    write(folder / "auth.py", shown("python"))


def build_book_go(folder, work):
    need("go")
    source = copied(EXAMPLES / "go", folder / "source")
    write(source / "cmd/book/main.go", shown("go"))
    run(["go", "generate", "./..."], source, **go(work))
    run(["go", "build", "-o", str(folder) + "/", "./cmd/book"], source, **go(work))


def build_book_java(folder, work):
    need("mvn", "java", "javac")
    source = copied(EXAMPLES / "java", folder / "source")
    write(source / "src/main/java/sidegate/plugin/Small.java", shown("java"))
    maven(source, folder, work)


def build_book_node(folder, work):
    build_node(folder, work)
    messages(folder)
    write(folder / "auth.js", shown("node"))


def build_book_rust(folder, work):
    need("cargo")
    source = copied(EXAMPLES / "rust", folder / "source")
    (source / "src/plugin.rs").unlink()
    messages(source / "proto")
    (source / "src/main.rs").write_text(shown("rust"))
    # Dependencies are those of the example, and built once; the binary beside its one needs another name.
    manifest = (source / "Cargo.toml").read_text()
    (source / "Cargo.toml").write_text(manifest.replace('[[bin]]\nname = "auth"', '[[bin]]\nname = "book"'))
    run(["cargo", "build", "--quiet", "--locked"], source, CARGO_TARGET_DIR=str(work / "rust"), RUSTFLAGS="-D warnings")


BUILDERS = {"python": build_python, "go": build_go, "java": build_java, "node": build_node, "rust": build_rust,
            "foreign-go": build_foreign_go, "book-python": build_book_python, "book-go": build_book_go,
            "book-java": build_book_java, "book-node": build_book_node, "book-rust": build_book_rust}
