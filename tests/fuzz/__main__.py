"""python tests/fuzz [--build FOLDER] [--seed N] [--seconds N] [--executions N] [--target NAME]…
[--replay FILE]

Fuzzes the compiled code, by default the ordinary build; `--build` names one that was made with
MEVSTREAM_SANITIZE=1, and then AddressSanitizer is preloaded. Findings go to fuzz/. Any finding,
crash or hang makes the exit code 1.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import SystemRandom
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[0] = str(REPOSITORY / "tests")

from fuzz import journal  # noqa: E402 (the folder was put on the path just now)

FINDINGS = REPOSITORY / "fuzz"
# An input that takes longer than this is a finding of its own.
STUCK_SECONDS = 60
# A crash ends the worker, not the run; after so many there is enough to do.
MOST_CRASHES = 10
PROGRESS_SECONDS = 30
# What a leak in one of thousands of executions would come to soon; the interpreter leaves a few KB.
MOST_LEAKED = 100_000
LEAKED = re.compile(r"SUMMARY: AddressSanitizer: (\d+) byte\(s\) leaked")


def sanitizer_runtime() -> str:
    """The library that must be loaded first, as the compiler of the extensions names it."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    answer = subprocess.run(
        [compiler, "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    )
    path = answer.stdout.strip()
    if not Path(path).is_absolute():
        sys.exit(f"error: {compiler} has no AddressSanitizer (libasan.so)")
    return path


def package(build: Path | None) -> Path:
    """The folder that `mevstream` is imported from."""
    return build.resolve() if build else REPOSITORY


def environment(build: Path | None, leaks: bool) -> dict[str, str]:
    """The worker's environment: which package it imports, and what watches over it."""
    settings = dict(os.environ)
    settings["PYTHONPATH"] = os.pathsep.join((str(package(build)), str(REPOSITORY / "tests")))
    if build:
        settings["LD_PRELOAD"] = sanitizer_runtime()
        # A gigabyte for inputs of some kilobytes is refused, and the MemoryError is a finding.
        settings["ASAN_OPTIONS"] = (
            f"detect_leaks={int(leaks)}:allocator_may_return_null=1:max_allocation_size_mb=1024"
        )
        # The interpreter never frees some of its own; what was leaked is judged here, by its size.
        settings["LSAN_OPTIONS"] = "exitcode=0"
        if leaks:
            # Pointers that lie in the interpreter's own arenas would not be seen.
            settings["PYTHONMALLOC"] = "malloc"
        settings["UBSAN_OPTIONS"] = "print_stacktrace=1:halt_on_error=1"
    return settings


class Run:
    """One call of this program: workers one after the other until the time is used up."""

    def __init__(self, build: Path | None, scratch: Path, *, leaks: bool) -> None:
        self.build = build
        self.environment = environment(build, leaks)
        self.journal = scratch / "journal"
        self.output = scratch / "stdout"
        self.errors = scratch / "stderr"
        self.executions: Counter[str] = Counter()
        self.kinds: Counter[str] = Counter()
        self.findings = 0

    def worker(self, *arguments: object) -> bool:
        """Runs one worker to its end; False if it crashed or had to be ended."""
        self.journal.write_bytes(b"")
        # -P: the package comes from the path given, not from the current folder.
        command = [sys.executable, "-P", "-m", "fuzz.worker", *map(str, arguments)]
        command += ["--package", str(package(self.build))]
        command += ["--journal", str(self.journal), "--findings", str(FINDINGS)]
        with self.output.open("w") as stdout, self.errors.open("w") as stderr:
            process = subprocess.Popen(command, env=self.environment, stdout=stdout, stderr=stderr)
            stuck = self._watch(process)
        for line in self.output.read_text().splitlines():
            self._read(json.loads(line))
        report = self.errors.read_text()
        if process.returncode == 0:
            leaked = LEAKED.search(report)
            if leaked and int(leaked[1]) > MOST_LEAKED:
                self.findings += 1
                FINDINGS.mkdir(exist_ok=True)
                (FINDINGS / "leaks.txt").write_text(report)
                print("FINDING", leaked[0], f"(stacks in {FINDINGS / 'leaks.txt'})")
            return True
        entry = journal.read(self.journal)
        what = f"no answer within {STUCK_SECONDS} s" if stuck else report
        self.executions[entry.target] += 1
        self._tell(what, journal.save(FINDINGS, entry.target or "start", what, entry.data))
        return False

    def _watch(self, process: subprocess.Popen[bytes]) -> bool:
        """Waits for the worker and shows how far it is; ends it if one input takes too long."""
        number, since, shown = 0, time.monotonic(), time.monotonic()
        while True:
            try:
                process.wait(1)
                return False
            except subprocess.TimeoutExpired:
                now = time.monotonic()
                entry = journal.read(self.journal)
                if entry.number != number:
                    number, since = entry.number, now
                elif now - since > STUCK_SECONDS:
                    process.kill()
                    process.wait()
                    return True
                if now - shown > PROGRESS_SECONDS:
                    shown = now
                    print(f"  {entry.executions:,} executions so far", flush=True)

    def _read(self, line: dict[str, Any]) -> None:
        if "found" in line:
            self._tell(line["found"], Path(line["file"]))
        else:
            self.executions.update(line["done"])
            self.kinds.update(line["kinds"])

    def _tell(self, what: str, file: Path) -> None:
        self.findings += 1
        build = f"--build {self.build} " if self.build else ""
        lines = what.strip().splitlines() or ["died without a word"]
        # Of a sanitizer's report one line says most.
        said = next((line for line in lines if "ERROR" in line or "runtime error" in line), None)
        print("FINDING", said or "; ".join(lines[:2]))
        print(f"  again: {Path(sys.executable)} tests/fuzz {build}--replay {file}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests/fuzz", description="Fuzz the compiled code.")
    parser.add_argument("--build", type=Path, help="folder of the sanitized build")
    parser.add_argument("--leaks", action="store_true", help="look for leaks, too (needs ptrace)")
    parser.add_argument("--seed", type=int, help="same seed, same inputs; random if not given")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--executions", type=int, default=0, help="stop after so many; 0: no bound")
    parser.add_argument("--target", action="append", help="only this one; may be repeated")
    parser.add_argument("--replay", type=Path, help="try one saved input again")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        run = Run(options.build, Path(scratch), leaks=options.leaks)
        if options.replay:
            run.worker("--replay", options.replay)
            return 1 if run.findings else 0
        targets = [part for name in options.target or () for part in ("--target", name)]
        seed = SystemRandom().randrange(2**32) if options.seed is None else options.seed
        sanitized = "under AddressSanitizer and UBSan" if options.build else "WITHOUT sanitizers"
        print(f"fuzzing {sanitized}, seed {seed}", flush=True)
        started = time.monotonic()
        for attempt in range(MOST_CRASHES):
            left = options.seconds - (time.monotonic() - started)
            wanted = ["--seed", seed + attempt, "--seconds", left, *targets]
            if left <= 0 or run.worker(*wanted, "--executions", options.executions):
                break
        seconds = time.monotonic() - started
    for target, count in sorted(run.executions.items()):
        print(f"  {target:<12} {count:>12,} executions")
    for kind, count in run.kinds.most_common():
        print(f"  {count:>6,} x {kind}")
    total = run.executions.total()
    print(f"{total:,} executions in {seconds:.0f} s, {total / seconds:,.0f} a second; "
          f"{run.findings} findings")  # fmt: skip
    return 1 if run.findings else 0


if __name__ == "__main__":
    sys.exit(main())
