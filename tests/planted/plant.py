#!/usr/bin/env python3
"""Tests the tests: breaks the code on purpose, one line at a time, and shows which test notices. The bugs are those of `bugs.toml`.

    python3 tests/planted/plant.py               # every bug: about half an hour
    python3 tests/planted/plant.py eof udp       # those whose names contain one of these words
    python3 tests/planted/plant.py --few         # those marked `few`, which need no sockets: what CI runs
    python3 tests/planted/plant.py --try src/os/key.rs 'a line' 'another' simulation::the_first_seeds    # one of your own

The code is copied to `target/planted`, and nothing else is ever changed. The copy has to pass the named tests as it is, so that a red test is the
bug's work. Then for each bug: it is planted, the tests that the table names run and must each turn red, and it is taken out. A test
that does not end in time is ended, with all processes of its group, and counts as red. Where a test stays green, everything that runs
without the binary is tried, to see whether anything else would have noticed.

Exits with 1 where a bug is missed, or its line is not there any more, or what it makes of the code does not compile.
"""

import argparse
import dataclasses
import fcntl
import json
import os
import pathlib
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
import tomllib

ROOT = pathlib.Path(__file__).resolve().parents[2]
TABLE = pathlib.Path(__file__).with_name("bugs.toml")
BUILT = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()
FOLDER = BUILT / "planted"
COPY = FOLDER / "tree"

# What runs without the binary. It builds with fewer features, in a fraction of the time.
CORE = ["lib", "core"]
CORE_FEATURES = ["--no-default-features", "--features", "load"]

# What those features leave out: the tests beside this code need the others.
NOT_CORE = ("lib::cli::", "lib::measure::compare::", "lib::measure::processes::", "lib::measure::report::")

# A red test is not debugged here. The dependencies keep the profile of `cargo test`, which may have built them already.
PROFILE = ["--config", "profile.dev.package.cooee.debug=false"]

# A test with a bug in it may take a few times as long as without, and then it hangs.
PATIENCE = lambda seconds: 30 + 4 * seconds

# A bug may eat memory without end, and the machine is not ours alone.
MEMORY = 8 << 30


@dataclasses.dataclass
class Bug:
    """One row of the table."""

    name: str
    wrong: str
    file: str
    find: str
    replace: str
    caught_by: list
    few: bool = False

    def targets(self):
        return sorted({target_of(test) for test in self.caught_by})

    def is_core(self):
        return set(self.targets()) <= set(CORE) and not any(test.startswith(NOT_CORE) for test in self.caught_by)

    def fault(self, root):
        """Why it is no bug that could be planted; none where it is one."""
        path = root / self.file
        if not path.is_file():
            return f"{self.file} is not there any more"
        count = path.read_text().count(self.find)
        if count != 1:
            return f"{self.file} has its line {count} times, and not once"
        if self.find == self.replace:
            return "it changes nothing"
        if not self.caught_by:
            return "no test is named"
        if self.few and not self.is_core():
            return "it is one of the few, but its tests need the binary"
        for test in self.caught_by:
            if not names_a_test(test, root):
                return f"there is no test {test}"
        return None


def target_of(test, root=ROOT):
    """The test program that has a test: `lib`, or the folder below tests/ that has its file."""
    name = test.partition("::")[0]
    if name == "lib":
        return name
    return next((file.parent.name for file in root.glob(f"tests/*/{name}.rs")), name)


def names_a_test(test, root):
    """Whether there is a test of that name: `half_close::...` in tests/*/half_close.rs, `lib::os::...` beside the code."""
    target, _, path = test.partition("::")
    if target == "lib":
        module = path.removesuffix("::" + path.split("::")[-1]).removesuffix("::tests").replace("::", "/")
        files = [root / "src" / (module + ".rs"), root / "src" / module / "mod.rs"]
    else:
        files = [root / "tests" / target_of(test, root) / (target + ".rs")]
    named = re.compile(rf"#\[test\]\s+fn {re.escape(path.split('::')[-1])}\(")
    return any(file.is_file() and named.search(file.read_text()) for file in files)


@dataclasses.dataclass
class Ran:
    """How a test ended: it `passed`, `failed`, hung (`hangs`), or `skipped` itself; after so long, with what it said."""

    how: str
    seconds: float
    said: str

    def is_red(self):
        return self.how in ("failed", "hangs")


@dataclasses.dataclass
class Verdict:
    """What has become of a bug."""

    bug: Bug
    word: str
    by: str = ""
    said: str = ""


def tell(text):
    print(text, file=sys.stderr, flush=True)


def copy_tree():
    """Brings the copy up to date. Files that are the same stay untouched, so that cargo builds only what has changed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=ROOT, check=True, capture_output=True
    )
    files = {name for name in os.fsdecode(listed.stdout).split("\0") if name and (ROOT / name).is_file()}
    for name in files:
        (there, here), bytes_ = (COPY / name, ROOT / name), (ROOT / name).read_bytes()
        if not there.is_file() or there.read_bytes() != bytes_:
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_bytes(bytes_)
            there.chmod(here.stat().st_mode)
    for path in COPY.rglob("*"):
        if path.is_file() and str(path.relative_to(COPY)) not in files:
            path.unlink()


def environment():
    """Nothing that makes a test run longer, quieter or against another build."""
    left_out = {"FULL", "COOEE", "SEED", "RUST_LOG", "RUST_BACKTRACE", "CARGO_TARGET_DIR"}
    return {name: value for name, value in os.environ.items() if name not in left_out} | {"CARGO_TERM_COLOR": "never"}


def run_group(command, limit=float("inf")):
    """Runs a command in a group of its own, of which nobody is left at the end. Its exit code, none where it did not end in time; and what it
    printed on either stream."""
    bounded = lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    with tempfile.TemporaryFile() as stdout, tempfile.TemporaryFile() as stderr:
        process = subprocess.Popen(
            command, cwd=COPY, env=environment(), stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
            start_new_session=True, preexec_fn=bounded,
        )
        began, ended = time.monotonic(), None
        try:
            # It stays unreaped, so that its number names this group and no other until all of the group are gone.
            while not ended and time.monotonic() - began <= limit:
                ended = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                time.sleep(0.01)
        finally:
            os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
        texts = [file.seek(0) or file.read().decode(errors="replace") for file in (stdout, stderr)]
    return code if ended else None, *texts


class Workshop:
    """The copy, and what is built of it."""

    def __init__(self, target):
        self.target = target
        self.normal_seconds = {}

    def build(self, targets, is_core):
        """Builds test programs, with the features of the core alone or with all: their paths by target, or what the compiler said."""
        command = ["cargo", "test", "--locked", "--no-run", "--message-format=json-render-diagnostics", *PROFILE]
        command += ["--target-dir", str(self.target)] + (CORE_FEATURES if is_core else [])
        for target in targets:
            command += ["--lib"] if target == "lib" else ["--test", target]
        code, stdout, stderr = run_group(command)
        if code:
            errors = [line for line in stderr.splitlines() if line.startswith("error")]
            return None, errors[0] if errors else stderr[-300:]
        programs = {}
        for line in stdout.splitlines():
            message = json.loads(line) if line.startswith("{") else {}
            if message.get("executable") and message["profile"]["test"]:
                is_lib = "lib" in message["target"]["kind"]
                programs["lib" if is_lib else message["target"]["name"]] = message["executable"]
        return programs, None

    def run(self, programs, test):
        """Runs one test, or all of a program."""
        target = target_of(test)
        # Beside the code a test is named without `lib`, in a program of files with its file.
        path = test.removeprefix("lib").removeprefix("::") if target == "lib" else test if "::" in test else ""
        began = time.monotonic()
        command = [programs[target], "--nocapture"] + (["--exact", path] if path else [])
        code, stdout, stderr = run_group(command, PATIENCE(self.normal_seconds.get(test, 30)))
        seconds = time.monotonic() - began
        if code is None:
            return Ran("hangs", seconds, f"it hangs, and was ended after {seconds:.0f} s")
        if code:
            return Ran("failed", seconds, last_words(stderr, code))
        if skipped := re.search(r"skipped: (.*)", stderr):
            return Ran("skipped", seconds, skipped[1])
        if path and "test result: ok. 1 passed" not in stdout:
            return Ran("failed", seconds, "there is no such test")
        return Ran("passed", seconds, "")

    def check_unbroken(self, bugs):
        """Runs the tests of these bugs on the copy as it is: how those ended that are not green."""
        not_green = {}
        tests = sorted({test for bug in bugs for test in bug.caught_by})
        tell(f"building {len(tests)} tests of the unbroken code")
        programs, error = self.build(
            sorted({target for bug in bugs for target in bug.targets()}), all(bug.is_core() for bug in bugs)
        )
        if error:
            sys.exit(f"the unbroken code does not compile: {error}")
        for test in tests:
            ran = self.run(programs, test)
            if ran.is_red():
                # Other programs may have held it up.
                ran = self.run(programs, test)
            self.normal_seconds[test] = ran.seconds
            tell(f"    unbroken: {test} {ran.how} in {ran.seconds:.1f} s {ran.said}")
            if ran.how != "passed":
                not_green[test] = ran
        return not_green

    def plant(self, bug, not_green):
        """Plants a bug, sees who notices, and takes it out."""
        for test in bug.caught_by:
            if ran := not_green.get(test):
                word = "skipped" if ran.how == "skipped" else "NOT JUDGED"
                return Verdict(bug, word, test, f"without the bug: {ran.said}")
        path = COPY / bug.file
        code = path.read_text()
        path.write_text(code.replace(bug.find, bug.replace))
        try:
            return self.judge(bug)
        finally:
            path.write_text(code)

    def judge(self, bug):
        programs, error = self.build(bug.targets(), bug.is_core())
        if error:
            return Verdict(bug, "DOES NOT COMPILE", said=error)
        by, said = [], ""
        for test in bug.caught_by:
            ran = self.run(programs, test)
            if ran.how == "skipped":
                return Verdict(bug, "skipped", test, ran.said)
            if not ran.is_red():
                return Verdict(bug, "MISSED", f"{test} stays green", self.who_else())
            by.append(f"{test} in {ran.seconds:.1f} s")
            said = said or ran.said
        return Verdict(bug, "caught", ", ".join(by), said)

    def who_else(self):
        """What of all that runs without the binary notices the planted bug."""
        programs, error = self.build(CORE, True)
        if error:
            return error
        others = [f"{target} {ran.how}: {ran.said}" for target in CORE if (ran := self.run(programs, target)).is_red()]
        return "; ".join(others) or f"so does everything in {', '.join(CORE)}"


def last_words(text, code):
    """What a test said when it failed: where it panicked first, and with which words."""
    if panicked := re.search(r"panicked at ([^\n]*?):\d+:\n([^\n]*)", text):
        return f"{panicked[1]}: {panicked[2].strip()}"
    return f"exit code {code}" if code > 0 else f"ended by {signal.Signals(-code).name}"


def cell(text, most):
    text = "".join(character if character.isprintable() else "?" for character in text).replace("|", "\\|")
    return text if len(text) <= most else text[: most - 3] + "..."


def show(verdicts):
    print("\n| bug | what goes wrong | | by | what it said |\n|---|---|---|---|---|")
    for verdict in verdicts:
        bug = verdict.bug
        print(f"| {bug.name} | {bug.wrong} | {verdict.word} | {verdict.by} | {cell(verdict.said, 120)} |")
    words = [verdict.word for verdict in verdicts]
    print(f"\n{words.count('caught')} of {len(words)} bugs are caught, {words.count('skipped')} skipped")


def arguments():
    about = __doc__.split("\n\n")[0]
    parser = argparse.ArgumentParser(description=about, epilog="The head of this file tells more.")
    parser.add_argument("words", nargs="*", help="only the bugs whose names contain one of these")
    parser.add_argument("--few", action="store_true", help="only those that are marked `few`")
    parser.add_argument("--try", nargs=4, metavar=("FILE", "FIND", "REPLACE", "TEST"), dest="own", help="one that is not in the table")
    return parser.parse_args()


def chosen(asked):
    """The bugs to plant. The whole table has to hold, whichever they are."""
    if asked.own:
        file, find, replace, test = asked.own
        table = [Bug("own", "given on the command line", file, find, replace, [test])]
    else:
        table = [Bug(**row) for row in tomllib.loads(TABLE.read_text())["bug"]]
    faults = [f"{bug.name}: {fault}" for bug in table if (fault := bug.fault(ROOT))]
    if len({bug.name for bug in table}) < len(table):
        faults.append("two bugs have one name")
    if faults:
        sys.exit("\n".join(["the table does not fit the code:", *faults]))
    bugs = [bug for bug in table if bug.few or not asked.few]
    bugs = [bug for bug in bugs if not asked.words or any(word.lower() in bug.name.lower() for word in asked.words)]
    return bugs or sys.exit("no bug has such a name")


def main():
    asked = arguments()
    bugs = chosen(asked)
    FOLDER.mkdir(parents=True, exist_ok=True)
    lock = open(FOLDER / "lock", "w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit("bugs are being planted already")
    # So that an end by a signal takes the test and its processes along.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended by a signal"))
    copy_tree()
    # The few share the dependencies of every day's tests. A broken binary there would be taken for the real one.
    workshop = Workshop(BUILT if asked.few else FOLDER / "target")
    verdicts = []
    # Those that build alike come one after the other, the quick ones first.
    for is_core in (True, False):
        if alike := [bug for bug in bugs if bug.is_core() == is_core]:
            not_green = workshop.check_unbroken(alike)
            for bug in alike:
                verdict = workshop.plant(bug, not_green)
                by = f" by {verdict.by}" if verdict.by else ""
                tell(f"{bug.name}: {verdict.word}{by} ({verdict.said})")
                verdicts.append(verdict)
    show(verdicts)
    sys.exit(0 if all(verdict.word in ("caught", "skipped") for verdict in verdicts) else 1)


main()
