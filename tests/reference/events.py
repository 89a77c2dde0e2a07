"""Events that the programs tell of their own swaps, each with the instruction that emitted it.

Three transports: an Anchor log (`Program data:` while the program is on top of the invoke stack),
a self-CPI (an inner instruction of the program to itself), and Raydium v4's ray_log text.
An event belongs to a program, never to a discriminator: several programs share one.
"""

import base64
import binascii
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from reference.transaction import Instruction, Tx, base58

SELF_CPI = bytes.fromhex("e445a52e51cb9a1d")
# Precompiles are instructions without an invoke line.
PRECOMPILES = (
    "Ed25519SigVerify111111111111111111111111111",
    "KeccakSecp256k11111111111111111111111111111",
    "Secp256r1SigVerify1111111111111111111111111",
)
_INVOKE = re.compile(r"^Program (\w{32,44}) invoke \[(\d+)\]$")
_END = re.compile(r"^Program (\w{32,44}) (?:success|failed)")


@dataclass(frozen=True)
class Raw:
    """Bytes that `ix` emitted; `transport` is log, cpi or ray_log."""

    ix: Instruction
    transport: str
    data: bytes


def raw_events(tx: Tx) -> Iterator[Raw]:
    """Every event of the transaction, logs first, each kind in execution order."""
    order = iter([ix for ix in tx.instructions if ix.program not in PRECOMPILES])
    stack: list[Instruction] = []
    for line in tx.meta.log_messages:
        if invoke := _INVOKE.match(line):
            ix = next(order, None)
            if ix is None or ix.program != invoke[1]:
                break  # logs and instructions no longer agree: nothing after can be attributed
            del stack[int(invoke[2]) - 1 :]
            stack.append(ix)
        elif (end := _END.match(line)) and stack and stack[-1].program == end[1]:
            stack.pop()
        elif stack and line.startswith("Program data: "):
            yield Raw(stack[-1], "log", _decode(line.removeprefix("Program data: ").split()))
        elif stack and line.startswith("Program log: ray_log: "):
            yield Raw(stack[-1], "ray_log", _decode([line.removeprefix("Program log: ray_log: ")]))
        elif line == "Log truncated":
            break
    for ix in tx.instructions:
        if ix.parent and ix.data.startswith(SELF_CPI) and ix.parent.program == ix.program:
            yield Raw(ix.parent, "cpi", ix.data[8:])


def _decode(parts: list[str]) -> bytes:
    try:
        return b"".join(base64.b64decode(part, validate=True) for part in parts)
    except binascii.Error:
        return b""


@dataclass(frozen=True)
class SwapEvent:
    """What an event says of one leg, brought to the pool's side; None where it does not say."""

    ix: Instruction
    kind: str
    amount_in: int
    amount_out: int
    pool: str | None = None
    trader: str | None = None


def _key(data: bytes, offset: int) -> str:
    return base58(data[offset : offset + 32])


def _u64s(data: bytes, offset: int, count: int) -> tuple[int, ...]:
    return struct.unpack_from(f"<{count}Q", data, offset)


def _raydium_v4(ix: Instruction, data: bytes) -> SwapEvent | None:
    if len(data) != 57 or data[0] not in (3, 4):
        return None
    first, second, _, _, _, _, result = _u64s(data, 1, 7)
    if data[0] == 3:  # exact input: amount in, least out, …, amount out
        return SwapEvent(ix, "ray_log", first, result)
    return SwapEvent(ix, "ray_log", result, second)  # most in, amount out, …, amount in


def _clmm(ix: Instruction, data: bytes) -> SwapEvent:
    amount_0, fee_0, amount_1, fee_1 = _u64s(data, 136, 4)
    into, out = (amount_0 + fee_0, amount_1) if data[168] else (amount_1 + fee_1, amount_0)
    return SwapEvent(ix, "clmm", into, out, pool=_key(data, 8), trader=_key(data, 40))


def _cpmm(ix: Instruction, data: bytes) -> SwapEvent:
    amount_in, amount_out, fee_in, _ = _u64s(data, 56, 4)
    return SwapEvent(ix, "cpmm", amount_in + fee_in, amount_out, pool=_key(data, 8))


def _gamma(ix: Instruction, data: bytes) -> SwapEvent:
    # As Raydium CPMM's up to here; what follows the amounts is not its transfer fees.
    return SwapEvent(ix, "gamma", *_u64s(data, 56, 2), pool=_key(data, 8))


def _whirlpool(ix: Instruction, data: bytes) -> SwapEvent:
    amount_in, amount_out = _u64s(data, 73, 2)
    return SwapEvent(ix, "whirlpool", amount_in, amount_out, pool=_key(data, 8))


def _dlmm(ix: Instruction, data: bytes) -> SwapEvent:
    amount_in, amount_out = _u64s(data, 80, 2)
    return SwapEvent(ix, "dlmm", amount_in, amount_out, pool=_key(data, 8), trader=_key(data, 40))


def _damm_v1(ix: Instruction, data: bytes) -> SwapEvent:
    amount_in, amount_out, _, protocol_fee, _ = _u64s(data, 8, 5)
    # The protocol's part of the fee goes past the vault.
    return SwapEvent(ix, "damm_v1", amount_in - protocol_fee, amount_out)


def _damm_v2(ix: Instruction, data: bytes) -> SwapEvent:
    return SwapEvent(
        ix, "damm_v2", _u64s(data, 140, 1)[0], _u64s(data, 148, 1)[0], pool=_key(data, 8)
    )


def _dbc(ix: Instruction, data: bytes) -> SwapEvent:
    return SwapEvent(ix, "dbc", _u64s(data, 91, 1)[0], _u64s(data, 115, 1)[0], pool=_key(data, 8))


def _launchlab(ix: Instruction, data: bytes) -> SwapEvent:
    return SwapEvent(ix, "launchlab", *_u64s(data, 96, 2), pool=_key(data, 8))


def _pump_swap_buy(ix: Instruction, data: bytes) -> SwapEvent:
    (base_out,) = _u64s(data, 16, 1)
    (quote_in_with_lp_fee,) = _u64s(data, 104, 1)
    return SwapEvent(
        ix,
        "pump_swap",
        quote_in_with_lp_fee,
        base_out,
        pool=_key(data, 120),
        trader=_key(data, 152),
    )


def _pump_swap_sell(ix: Instruction, data: bytes) -> SwapEvent:
    (base_in,) = _u64s(data, 16, 1)
    (without_lp_fee,) = _u64s(data, 104, 1)
    return SwapEvent(
        ix, "pump_swap", base_in, without_lp_fee, pool=_key(data, 120), trader=_key(data, 152)
    )


def _pump_fun(ix: Instruction, data: bytes) -> SwapEvent:
    sol, tokens = _u64s(data, 40, 2)
    into, out = (sol, tokens) if data[56] else (tokens, sol)
    return SwapEvent(ix, "pump_fun", into, out, trader=_key(data, 57))


_CLMM = "40c6cde8260871e2"
_PARSERS = {
    ("675kPX9MHTjS2zt1qfr1NYHuzeLXfQM9H24wFSUt1Mp8", "ray_log", ""): _raydium_v4,
    ("CAMMCzo5YL8w4VFF8KVHrK22GGUsp5VTaW7grrKgrWqK", "log", _CLMM): _clmm,
    ("HpNfyc2Saw7RKkQd8nEL4khUcuPhQ7WwY1B2qjx8jxFq", "log", _CLMM): _clmm,
    ("REALQqNEomY6cQGZJUGwywTBD2UmDT32rZcNnfxQ5N2", "log", _CLMM): _clmm,
    ("CPMMoo8L3F4NbTegBCKVNunggL7H1ZpdTHKxQB5qKP1C", "log", _CLMM): _cpmm,
    ("GAMMA7meSFWaBXF25oSUgmGRwaW6sCMFLmBNiMSdbHVT", "log", _CLMM): _gamma,
    ("whirLbMiicVdio4qvUfM5KAg6Ct8VwpYzGff3uctyCc", "log", "e1ca49af932ba096"): _whirlpool,
    ("LBUZKhRxPF3XUpBCjp4YzTKgLccjZhTSDM9YuVaPwxo", "cpi", "516ce3becdd00ac4"): _dlmm,
    ("Eo7WjKq67rjJQSZxS6z3YkapzY3eMj6Xy8X5EQVn5UaB", "log", "516ce3becdd00ac4"): _damm_v1,
    ("cpamdpZCGKUy5JxQXB4dcpGPiikHawvSWAd6mEn1sGG", "cpi", "bd4233a826507599"): _damm_v2,
    ("dbcij3LWUppWqq96dh6gJWwBifmcGfLSB5D4DuSMaqN", "cpi", "bd4233a826507599"): _dbc,
    ("LanMV9sAd7wArD4vJFi2qDdfnVhFxYSUg6eADduJ3uj", "cpi", "bddb7fd34ee661ee"): _launchlab,
    ("pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA", "cpi", "67f4521f2cf57777"): _pump_swap_buy,
    ("pAMMBay6oceH9fJKBRHGP5D4bD4sWpmSwMn52FMfXEA", "cpi", "3e2f370aa503dc2a"): _pump_swap_sell,
    ("6EF8rrecthR5Dkzon8Nwu78hRvfCKubJ14M5uBEwF6P", "cpi", "bddb7fd34ee661ee"): _pump_fun,
}


def swap_events(tx: Tx) -> list[SwapEvent]:
    """The venues' own words on every swap of the transaction that has any."""
    found: list[SwapEvent] = []
    for raw in raw_events(tx):
        head = "" if raw.transport == "ray_log" else raw.data[:8].hex()
        parse = _PARSERS.get((raw.ix.program, raw.transport, head))
        event = parse(raw.ix, raw.data) if parse else None
        if event is not None:
            found.append(event)
    return found


@dataclass(frozen=True)
class RouterEvent:
    """What a router says that one hop took and gave, seen from the trader's accounts."""

    ix: Instruction
    program: str | None
    mint_in: str
    amount_in: int
    mint_out: str
    amount_out: int


JUPITER_V6 = "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4"
# One hop an event: program, mint in, amount, mint out, amount.
_HOP_EVENTS = {
    (JUPITER_V6, "cpi", _CLMM),
    ("DF1ow4tspfHX9JwWJsAb9epbkA8hmpSEAtxXy1V27QBH", "cpi", _CLMM),
    ("JUP4Fb2cqiRUcaTHdrPC8h2gNsA2ETXiPDD33WcGuJB", "log", "516ce3becdd00ac4"),
}
# All hops of a route in one event, without the programs.
_ROUTE_EVENT = (JUPITER_V6, "cpi", "982f4eebc0606e6a")


def router_events(tx: Tx) -> list[RouterEvent]:
    """One for each hop, in the order in which each router tells them."""
    found: list[RouterEvent] = []
    for raw in raw_events(tx):
        kind = raw.ix.program, raw.transport, raw.data[:8].hex()
        if kind in _HOP_EVENTS:
            found.append(_hop(raw.ix, base58(raw.data[8:40]), raw.data[40:]))
        elif kind == _ROUTE_EVENT:
            (hops,) = struct.unpack_from("<I", raw.data, 8)
            found += [_hop(raw.ix, None, raw.data[12 + 80 * hop :]) for hop in range(hops)]
    return found


def _hop(ix: Instruction, program: str | None, data: bytes) -> RouterEvent:
    (amount_in,), (amount_out,) = _u64s(data, 32, 1), _u64s(data, 72, 1)
    return RouterEvent(ix, program, _key(data, 0), amount_in, _key(data, 40), amount_out)
