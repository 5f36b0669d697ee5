"""Running programs of others and reading what they say."""

import re
import subprocess

PATIENCE = 300


def call(arguments, seconds=PATIENCE, **options):
    """Output of a program that may fail."""
    if "input" not in options and "stdin" not in options:
        options["stdin"] = subprocess.DEVNULL
    try:
        return subprocess.run([str(part) for part in arguments], capture_output=True, text=True, timeout=seconds,
                              check=False, errors="replace", **options)
    except subprocess.TimeoutExpired as error:
        return subprocess.CompletedProcess(arguments, 124, str(error.stdout or ""), f"no end within {seconds} s")


def lines(done):
    """Results of a program that prints `ok` or `FAILED`, a tab, what, a tab, why."""
    found = []
    for line in done.stdout.splitlines():
        word, _, rest = line.partition("\t")
        if word in ("ok", "FAILED"):
            what, _, why = rest.partition("\t")
            found.append((what, "" if word == "ok" else why or "it did not say why"))
    if not found:
        found.append(("its results", f"exit status {done.returncode}: {(done.stdout + done.stderr)[-300:]!r}"))
    return found


def strip(text):
    """Without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)
