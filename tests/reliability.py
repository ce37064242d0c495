#!/usr/bin/env python3
"""Measures the table of docs/reliability.md: runs every test that tells a figure, in full, against the release build, one after the other.

    python3 tests/reliability.py                 # all, and nothing else should run on the machine
    python3 tests/reliability.py half_close udp  # the files whose names contain one of these words
    SHORT=1 python3 tests/reliability.py         # every day's length, to see that everything works

Prints a row for each figure, in the order of the faults, and what failed or was skipped. Exits with 1 where something failed.
"""

import os
import re
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
TESTS = os.path.join(ROOT, "tests")
BUILT = os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target"))


def files(words):
    """The test files that tell a figure, by name."""
    for name in sorted(os.listdir(TESTS)):
        if name.endswith(".rs"):
            with open(os.path.join(TESTS, name)) as file:
                tells = re.search(r"\bmeasured\(", file.read())
            if tells and (not words or any(word in name for word in words)):
                yield name.removesuffix(".rs")


def run(name, environment):
    """Runs one test file to its end, and returns its lines."""
    command = ["cargo", "test", "--quiet", "--locked", "--test", name, "--", "--nocapture", "--test-threads=1"]
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        print(f"[{name}] {line}", end="", file=sys.stderr)
    return process.wait(), lines


def order(row):
    number, letter = re.match(r"(\d+)(.*)", row[0]).groups()
    return int(number), letter


def main():
    subprocess.run(["cargo", "build", "--locked", "--release"], cwd=ROOT, check=True)
    full = {} if os.environ.get("SHORT") else {"FULL": "1"}
    environment = os.environ | full | {"COOEE": os.path.join(BUILT, "release", "cooee")}
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
