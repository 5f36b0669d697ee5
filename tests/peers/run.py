#!/usr/bin/env python3
"""Foreign peers of HTTP/2 and TLS before and behind the real process; see README.md."""

import argparse
import sys
import tempfile
from pathlib import Path

sys.dont_write_bytecode = True

import needs  # noqa: E402
import tls_subject  # noqa: E402
from checks import CHECKS  # noqa: E402
from subjects import BenchError, Subject, takes_part  # noqa: E402

KNOWN = needs.HERE / "known.txt"


def main():
    options = arguments()
    if options.sidegate:
        needs.release.folder = Path(options.sidegate).resolve().parent
    subjects = options.subjects.split(",")
    checks = [check for check in CHECKS if (not options.quick or check.quick) and
              (not options.only or any(word in check.name for word in options.only.split(",")))]
    if not checks:
        sys.exit(f"peers: no such check; there are {'; '.join(check.name for check in CHECKS)}")
    if options.install:
        needs.install_debian()
    known = read_known()
    outcomes = {}
    with tempfile.TemporaryDirectory(prefix="sidegate-peers-") as name:
        work = Path(name)
        work.chmod(0o755)
        for number, check in enumerate(checks):
            for subject in subjects:
                try:
                    outcome = one(check, subject, work / f"{number}-{subject}")
                except needs.Missing as missing:
                    outcome = str(missing)
                except (BenchError, OSError) as error:
                    outcome = [("the proxy and the host", str(error))]
                outcomes[check.name, subject] = outcome
                tell(check, subject, outcome, known, options)
    print(table(checks, subjects, outcomes, known))
    mine = [(check, what, why) for check in checks if isinstance(outcomes[check.name, "sidegate"], list)
            for what, why in outcomes[check.name, "sidegate"] if why] if "sidegate" in subjects else []
    unknown = [f"{check.name}: {what}: {why}" for check, what, why in mine if (family(check), what) not in known]
    left_out = [f"{check.name}: {outcomes[check.name, subject]}" for check in checks for subject in subjects
                if isinstance(outcomes[check.name, subject], str)]
    for line in left_out:
        print(f"LEFT OUT {line}", file=sys.stderr)
    for line in unknown:
        print(f"FAILED {line}", file=sys.stderr)
    total = sum(len(outcome) for (_, subject), outcome in outcomes.items()
                if subject == "sidegate" and isinstance(outcome, list))
    print(f"{total - len(unknown)} passed, {len(unknown)} failed")
    # Without an option nothing may be left out, so that a run that installs nothing is not a green one.
    return 1 if unknown or not total or (left_out and not options.lenient) else 0


def one(check, subject, directory):
    """Results of a check with a proxy of its own."""
    if check.tls:
        return tls_subject.one(check, subject, directory)
    if not takes_part(subject, check.upstream):
        raise needs.Missing(f"{subject} speaks no HTTP/2 to hosts")
    program = check.ready()
    host = check.host(directory / "host")
    try:
        proxy = Subject(subject, check.upstream, directory / "proxy", host.port)
        try:
            return check.run(program, proxy.port)
        finally:
            proxy.stop()
    finally:
        host.stop()


def family(check):
    """A case of a suite is the same case whatever stands behind."""
    return check.name.split(",")[0] if check.name.startswith(("httpwg", "h2spec")) else check.name


def read_known():
    """`suite, tab, case, tab, reason` a line: failures that are right as they are."""
    found = {}
    for line in KNOWN.read_text().splitlines():
        if line and not line.startswith("#"):
            suite, case, reason = line.split("\t")
            found[suite, case] = reason
    return found


def tell(check, subject, outcome, known, options):
    if isinstance(outcome, str):
        print(f"{check.name}, {subject}: left out", file=sys.stderr)
        return
    failed = [(what, why) for what, why in outcome if why]
    print(f"{check.name}, {subject}: {len(outcome) - len(failed)} of {len(outcome)}", file=sys.stderr)
    for what, why in failed:
        mark = "known" if (family(check), what) in known else "FAILED"
        if mark == "FAILED" or options.verbose:
            print(f"  {mark} {what}: {why[:300]}", file=sys.stderr)


def table(checks, subjects, outcomes, known):
    rows = ["| peers | " + " | ".join(subjects) + " |", "|---|" + "---|" * len(subjects)]
    for check in checks:
        cells = []
        for subject in subjects:
            outcome = outcomes[check.name, subject]
            if isinstance(outcome, str):
                cells.append("–")
                continue
            passed = sum(not why for _, why in outcome)
            explained = sum(1 for what, why in outcome if why and (family(check), what) in known)
            cell = f"{passed} of {len(outcome)}"
            cells.append(cell + (f" ({explained} explained)" if explained and subject == "sidegate" else ""))
        rows.append(f"| {check.name} | " + " | ".join(cells) + " |")
    return "\n".join(rows)


def arguments():
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="only what is small")
    add("--only", default="", metavar="A,B", help="checks whose names hold one of these words")
    add("--subjects", default="sidegate", metavar="A,B", help="sidegate, and for comparison haproxy, envoy, nginx, relay")
    add("--sidegate", metavar="PATH", help="another binary than the release build's; its companions lie beside it")
    add("--install", action="store_true", help="install missing programs of Debian's")
    add("--lenient", action="store_true", help="succeed although checks were left out")
    add("--verbose", action="store_true", help="show failures that are known, too")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
