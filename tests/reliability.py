#!/usr/bin/env python3
"""Measures the table of docs/reliability.md: runs every test that tells a figure, in full, against the release build, one after the other.

    python3 tests/reliability.py                 # all, and nothing else should run on the machine
    python3 tests/reliability.py half_close udp  # the files whose names contain one of these words
    SHORT=1 python3 tests/reliability.py         # every day's length, to see that everything works
    TRACED=1 python3 tests/reliability.py        # the same under strace: whether a call of a loop waits, but for the poll

Under strace everything is many times slower, so a figure that is missed tells nothing there, and none is printed: the traces are judged by
`tests/timing/system_calls.rs`, and a file whose traces show a call that took long is run up to three times, for the machine may have been busy:
a call that waits does so each time.

Prints a row for each figure, in the order of the faults, and what failed or was skipped. Exits with 1 where something failed.
"""

import glob
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TESTS = os.path.join(ROOT, "tests")
# They use strace themselves, and a process has one tracer.
TRACERS = ("timing/cost", "server/failing_calls", "timing/system_calls")
PROGRAMS = ("core", "server", "load", "commands", "timing")
BUILT = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))


def files(words):
    """The test files that tell a figure, each with its program: `server/half_close`."""
    for path in sorted(glob.glob(os.path.join(TESTS, "*", "*.rs"))):
        program, name = path.removesuffix(".rs").split(os.sep)[-2:]
        if program in PROGRAMS:
            with open(path) as file:
                tells = re.search(r"\bmeasured\(", file.read())
            if tells and (not words or any(word in name for word in words)):
                yield f"{program}/{name}"


def run(name, environment, *words):
    """Runs one test file to its end, or its tests with one of these words, and returns its lines."""
    program, file = name.split("/")
    tests = [f"{file}::{word}" for word in words] or [f"{file}::"]
    command = ["cargo", "test", "--quiet", "--locked", "--test", program, "--", "--nocapture", "--test-threads=1", *tests]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        print(f"[{name}] {line}", end="", file=sys.stderr)
    return process.wait(), lines


def waits(name, environment):
    """Runs one test file with its programs under strace: the names of the calls that took long each time, and the lines of the judge."""
    blocked, lines = None, []
    for _ in range(3):
        with tempfile.TemporaryDirectory() as traces:
            # Some tests have the program run as somebody else.
            os.chmod(traces, 0o777)
            traced = {"TRACED": environment["COOEE"], "COOEE": os.path.join(TESTS, "support", "traced"), "TRACES": traces}
            run(name, environment | traced)
            if not os.listdir(traces):
                return set(), ["it starts no program of ours"]
            code, lines = run("timing/system_calls", environment | {"TRACES": traces}, "no_loop_of_the_traces")
        if code:
            return {"unknown"}, lines
        found = {match[1] for line in lines if (match := re.search(r"blocked: (\w+)", line))}
        blocked = found if blocked is None else blocked & found
        if not blocked:
            break
    return blocked, lines


def judge(names, environment):
    """Judges the calls of all loops of these test files."""
    failed = False
    for name in names:
        if name in TRACERS:
            continue
        blocked, lines = waits(name, environment)
        failed |= bool(blocked)
        told = [line for line in lines if "but the waits" in line or "it starts" in line]
        print(f"tests/{name}.rs: {'NOT KEPT: ' + ', '.join(sorted(blocked)) if blocked else ' '.join(told)}", flush=True)
    sys.exit(1 if failed else 0)


def order(row):
    number, letter = re.match(r"(\d+)(.*)", row[0]).groups()
    return int(number), letter


def main():
    subprocess.run(["cargo", "build", "--locked", "--release"], cwd=ROOT, check=True)
    full = {} if os.environ.get("SHORT") or os.environ.get("TRACED") else {"FULL": "1"}
    environment = os.environ | full | {"COOEE": os.path.join(BUILT, "release", "cooee")}
    if os.environ.get("TRACED"):
        judge(files(sys.argv[1:]), environment)
    rows, failed, skipped = [], [], []
    for name in files(sys.argv[1:]):
        code, lines = run(name, environment)
        if code:
            failed.append(name)
        for line in lines:
            if found := re.search(r"fault (\d+[a-z]?): (.*)", line):
                rows.append((found[1], found[2], name))
            if found := re.search(r"skipped: (.*)", line):
                skipped.append((name, found[1]))
    print("| fault | measured | by |\n|---|---|---|")
    for fault, figure, name in sorted(rows, key=order):
        print(f"| {fault} | {figure} | `tests/{name}.rs` |")
    for name, reason in skipped:
        print(f"\nskipped in `tests/{name}.rs`: {reason}")
    for name in failed:
        print(f"\nfailed: `tests/{name}.rs`")
    sys.exit(1 if failed else 0)


main()
