#!/usr/bin/env python3
"""Plugins in many languages behind the real process; see README.md."""

import argparse
import sys
import time
import traceback
from pathlib import Path

import access_logs
import certificates
import checks
import programs
from proxy import Proxy

class Table:
    """What was done, as it is done and at the end."""

    def __init__(self):
        self.rows, self.passed, self.failed, self.skipped = {}, 0, 0, 0

    def attempt(self, program, title, work):
        begun = time.monotonic()
        try:
            work()
        except Exception as error:  # whatever a check failed by, the others go on
            traceback.print_exc()
            self.failed += 1
            self.note(program, "failed", f"FAILED   {program}: {title}: {error!r}")
            return False
        self.passed += 1
        self.note(program, "passed", f"ok {time.monotonic() - begun:5.1f}s  {program}: {title}")
        return True

    def skip(self, program, why):
        self.skipped += 1
        self.note(program, "skipped", f"SKIPPED  {program}: {why}")

    def note(self, program, what, line):
        self.rows.setdefault(program, {"passed": 0, "failed": 0, "skipped": 0})[what] += 1
        print(line, flush=True)

    def show(self, seconds):
        width = max(map(len, self.rows), default=0)
        print(f"\n{'plugin':{width}}  passed  failed  skipped  seconds")
        for name, row in self.rows.items():
            counts = "  ".join(f"{row[what]:{len(what)}}" for what in ("passed", "failed", "skipped"))
            print(f"{name:{width}}  {counts}  {seconds.get(name, 0):7.1f}")
        print(f"\n{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--sidegate", required=True, help="the binary")
    options.add_argument("--work", required=True, help="a folder for what is built and downloaded")
    options.add_argument("--only", action="append", help="plugins whose name has this word; may be given again")
    options.add_argument("--quick", action="store_true", help="each plugin in one process")
    options.add_argument("--skip-missing", action="store_true", help="skip languages that the machine lacks")
    options = options.parse_args()
    binary, work = Path(options.sidegate).resolve(), Path(options.work).resolve()
    table, seconds, built = Table(), {}, {}
    for program in programs.PROGRAMS:
        if options.only and not any(word.lower() in program.name.lower() for word in options.only):
            continue
        begun = time.monotonic()
        try:
            if program.kit not in built:
                print(f"building {program.kit}", flush=True)
                built[program.kit] = programs.build(program.kit, work)
                print(f"built {program.kit} in {time.monotonic() - begun:.1f}s", flush=True)
        except programs.Missing as missing:
            if not options.skip_missing:
                raise SystemExit(f"{missing}: install it, or go without by --skip-missing") from None
            table.skip(program.name, str(missing))
            continue
        command = [str(word) for word in program.command(built[program.kit])]
        begun = time.monotonic()
        if program.is_loader:
            # It is asked by grpcio.
            examine_loader(table, binary, program, command, programs.build("python", work) / "bin/python")
        elif program.is_log_sink:
            for check in access_logs.CHECKS:
                table.attempt(program.name, check.__doc__, lambda: check(binary, command))
        else:
            examine(table, binary, program, command, options.quick)
        seconds[program.name] = time.monotonic() - begun
    table.show(seconds)
    return 1 if table.failed or not table.passed else 0


def examine_loader(table, binary, program, command, ask):
    def alone(check):
        with certificates.Loader(command, ask) as loader:
            check(loader)

    for check in certificates.CHECKS:
        table.attempt(program.name, check.__doc__, lambda: alone(check))
    serves = certificates.serves
    table.attempt(program.name, serves.__doc__, lambda: serves(binary, command))


def examine(table, binary, program, command, quick):
    def of(those):
        return [check for check in those if checks.belongs(check, program)]

    def shared():
        with Proxy(binary, command, program.expected) as proxy:
            for check in of(checks.SHARED):
                if not table.attempt(program.name, check.__doc__, lambda: check(proxy, program)):
                    print(proxy.logs(), file=sys.stderr)
                    return
            if quick:
                table.attempt(program.name, checks.ends.__doc__, lambda: checks.ends(proxy, program))

    def alone(check):
        with Proxy(binary, command, program.expected) as proxy:
            check(proxy, program)

    try:
        shared()
    except Exception as error:
        table.failed += 1
        table.note(program.name, "failed", f"FAILED   {program.name}: start: {error!r}")
        return
    if quick:
        return
    for check in of(checks.LAST):
        table.attempt(program.name, check.__doc__, lambda: alone(check))
    for check in of(checks.OWN):
        table.attempt(program.name, check.__doc__, lambda: check(binary, program, command))


if __name__ == "__main__":
    sys.exit(main())
