"""Checks the log of a transaction: frames, who may speak, compute units."""

from __future__ import annotations

import base64
import re

from .replay import SYSTEM, VOTE, Transaction

COMPUTE_BUDGET = "ComputeBudget111111111111111111111111111111"
INVOKE = re.compile(r"Program (\w+) invoke \[(\d+)\]")
CONSUMED = re.compile(r"Program (\w+) consumed (\d+) of (\d+) compute units")
SUCCESS = re.compile(r"Program (\w+) success")
FAILED = re.compile(r"Program (\w+) failed: custom program error: 0x([0-9a-f]+)")
RETURN = re.compile(r"Program return: (\w+) (\S+)")
EVENT = re.compile(r"Program (?:data|log: ray_log): (\S+)")


def check(transaction: Transaction) -> None:
    """Every frame opens, speaks and closes in order; the frames are the instructions; units
    add up."""
    stack: list[dict] = []
    opened: list[tuple[str, int]] = []
    failed = False
    top_level = 0
    for line in transaction.message.meta.log_messages:
        if match := INVOKE.fullmatch(line):
            assert not failed
            assert int(match[2]) == len(stack) + 1
            opened.append((match[1], len(stack) + 1))
            stack.append({"program": match[1], "inside": 0, "units": None})
        elif match := CONSUMED.fullmatch(line):
            frame = stack[-1]
            used, left = int(match[2]), int(match[3])
            assert match[1] == frame["program"]
            assert frame["inside"] <= used <= left
            frame["units"] = used
        elif match := (SUCCESS.fullmatch(line) or FAILED.fullmatch(line)):
            frame = stack.pop()
            assert match[1] == frame["program"]
            builtin = match[1] in (SYSTEM, COMPUTE_BUDGET, VOTE)
            assert (frame["units"] is None) == builtin
            failed = failed or match.re is FAILED
            assert failed == (match.re is FAILED), "success after a failure below"
            if stack:
                stack[-1]["inside"] += frame["units"] or 0
            else:
                top_level += frame["units"] or 0
            if failed:
                code = int.from_bytes(transaction.message.meta.err.err[9:13], "little")
                assert int(match[2], 16) == code
        elif match := RETURN.fullmatch(line):
            assert match[1] == stack[-1]["program"]
            returned = transaction.message.meta.return_data
            assert base64.b64decode(match[2]) == returned.data
        elif match := EVENT.fullmatch(line):
            assert base64.b64decode(match[1], validate=True)
        else:
            assert line.startswith("Program log: ")
            assert stack
    assert not stack
    assert failed == transaction.failed
    ran = [(c.program, c.height) for c in transaction.calls]
    if failed:
        # Top-level instructions behind the failure did not run.
        failing = transaction.message.meta.err.err[4]
        ran = [
            (c.program, c.height) for c in transaction.calls if int(c.path.split(".")[0]) <= failing
        ]
    assert opened == ran
    assert top_level <= transaction.message.meta.compute_units_consumed
