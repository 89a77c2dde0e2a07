"""Builds one transaction template: message, inner instructions, logs and what they move.

A template is written the way a transaction runs: `with tx.call(program, accounts, data)` opens a
stack frame, nested calls become inner instructions with their stack height, and the log gets
its invoke, consumed and success lines. Amounts are holes (`U64(register)`) that the engine
fills. `tx.fail(code)` ends execution there: the open frames report the failure, later top-level
instructions stay in the message but do not run, and nothing is moved.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from mevstream.topologies.raw.simulator import programs
from mevstream.topologies.raw.simulator.blob import Blob, Key, PatchKind, Piece, Signature
from mevstream.topologies.raw.simulator.template import (
    NONE,
    EffectKind,
    Instruction,
    LegTruth,
    Meta,
    Template,
    TooLarge,
    Version,
    WidthChanged,
    r,
)
from mevstream.topologies.raw.simulator.world import World

MAX_LEGACY_BYTES = 1232
MAX_V1_BYTES = 4096
# One frame of a transaction uses 0 … JITTER - 1 units more or less; a power of two.
JITTER = 512


@dataclass(frozen=True, slots=True)
class _Units:
    """Compute units: base + jitter * factor."""

    base: int
    factor: int = 0

    def __add__(self, other: _Units) -> _Units:
        return _Units(self.base + other.base, self.factor + other.factor)

    def __sub__(self, other: _Units) -> _Units:
        return _Units(self.base - other.base, self.factor - other.factor)


@dataclass(slots=True)
class _Frame:
    program: int
    started: _Units
    top: Instruction
    router: str | None


class TemplateBuilder:
    """One transaction in the making. payer: the account that signs first and pays."""

    def __init__(
        self,
        world: World,
        payer: int,
        *,
        version: Version,
        group: int = 0,
        user_class: int = 0,
        cu_limit: int = 0,
        priced: bool = True,
        config_priority: int = 0,
        extra_units: int = 0,
    ) -> None:
        self.world = world
        self.payer = payer
        self.version = version
        self.group = group
        self.user_class = user_class
        self.cu_limit = cu_limit
        self.priced = priced and version.number != 1
        self.config_priority = config_priority
        self.extra_units = extra_units
        self.failed = False
        self.wrapped = False
        self.temporary: set[int] = set()
        self.truths: list[LegTruth] = []
        self.legs: list[tuple[int, ...]] = []
        self._used = _Units(0)
        self._jittered = False
        self._stack: list[_Frame] = []
        # Positions among the inner instructions of the open frames below the first.
        self._positions: list[int] = []
        self._instructions: list[Instruction] = []
        self._metas: dict[int, list[bool]] = {payer: [True, True]}
        self._effects: list[tuple[int, ...]] = []
        self._error = b""
        self._failed_code = 0
        self._logs = Blob()
        self._events = Blob()
        self._tail = Blob()

    # -- execution -------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        """Open stack frames."""
        return len(self._stack)

    @property
    def path(self) -> str:
        """ix path of the instruction that is running."""
        outer = len(self._instructions) - 1
        if len(self._stack) == 1:
            return str(outer)
        return f"{outer}.{self._frame_position}"

    @property
    def _frame_position(self) -> int:
        return self._positions[-1]

    @contextmanager
    def call(
        self,
        program: int,
        accounts: Sequence[Meta],
        data: Iterable[Piece] = (),
        *,
        units: int = 0,
        router: str | None = None,
    ) -> Generator[None]:
        """Runs an instruction. accounts: in the program's order; units: compute units that it
        uses itself, beside those of its inner calls."""
        for meta in accounts:
            # Only people sign transactions. Programs sign for their addresses in calls of their
            # own, and below the top level nobody becomes a signer who was none.
            signer = meta.signer and meta.account < 0 and not self._stack
            flags = self._metas.setdefault(meta.account, [False, False])
            flags[0] |= signer
            flags[1] |= meta.writable
        self._metas.setdefault(program, [False, False])
        instruction = Instruction(
            program, [m.account for m in accounts], tuple(data), len(self._stack) + 1
        )
        if self.failed and self._stack:
            yield
            return
        if not self._stack:
            self._instructions.append(instruction)
            if self.failed:
                yield
                return
        else:
            top = self._stack[0].top
            top.inner.append(instruction)
            self._positions.append(len(top.inner) - 1)
        name = self.world.name(program)
        inherited = self._stack[-1].router if self._stack else None
        frame = _Frame(
            program,
            self._used,
            self._stack[0].top if self._stack else instruction,
            router or inherited,
        )
        self._stack.append(frame)
        self._line(f"Program {name} invoke [{len(self._stack)}]")
        self._used += _Units(units or 150)
        yield
        if name not in programs.BUILTINS:
            used, left = self._used - frame.started, _Units(self._budget) - frame.started
            self._line(f"Program {name} consumed ", used, " of ", left, " compute units")
        if self.failed:
            self._line(f"Program {name} failed: custom program error: {self._failed_code:#x}")
        else:
            self._line(f"Program {name} success")
        self._stack.pop()
        if self._positions:
            self._positions.pop()

    @property
    def _budget(self) -> int:
        return self.cu_limit or 200_000 * 3

    def run(
        self,
        program: int,
        accounts: Sequence[Meta],
        data: Iterable[Piece] = (),
        *,
        units: int = 0,
        logs: Sequence[str] = (),
    ) -> None:
        """An instruction that calls nothing."""
        with self.call(program, accounts, data, units=units):
            for line in logs:
                self.log(line)

    def burn(self, units: int, *, jitter: bool = False) -> None:
        """Uses compute units in the running frame; with jitter, up to JITTER - 1 more."""
        if self.failed:
            return
        self._used += _Units(units)
        if jitter and not self._jittered:
            self._jittered = True
            self._used += _Units(self.extra_units, 1)

    def log(self, text: str) -> None:
        """A `Program log:` line of the running program."""
        if not self.failed:
            self._line(f"Program log: {text}")

    def log_event(self, prefix: str, pieces: Sequence[Piece]) -> None:
        """A log line whose rest is base64 of pieces."""
        if not self.failed:
            event = Blob().add(*pieces)
            shift = len(self._events.data)
            self._events.data += event.data
            self._events.patches += [(k, at + shift, *rest) for k, at, *rest in event.patches]
            self._line(prefix, (shift, len(event.data)))

    def set_return(self, pieces: Sequence[Piece]) -> None:
        """Return data of the running top-level instruction, with its log line."""
        if self.failed:
            return
        program = self._stack[-1].program
        name = self.world.name(program)
        self.log_event(f"Program return: {name} ", pieces)
        # ReturnData {program_id 1, data 2} is field 14 of the metadata.
        data = Blob().field(1, self.world.key(program)).field(2, Blob().add(*pieces))
        self._tail = Blob().field(14, data)

    def emit_self(self, authority: int, pieces: Sequence[Piece], *, units: int) -> None:
        """An Anchor event by a call of the program to itself."""
        program = self._stack[-1].program
        self.run(program, [r(authority)], (programs.EVENT_TAG, *pieces), units=units)

    def fail(self, code: int, line: str) -> None:
        """The running instruction logs `line` and fails with a custom error."""
        if self.failed:
            return
        self.log(line)
        self.failed = True
        self._failed_code = code
        index = len(self._instructions) - 1
        # bincode: InstructionError is variant 8, Custom is variant 25.
        error = b"\x08\0\0\0" + bytes([index]) + b"\x19\0\0\0" + code.to_bytes(4, "little")
        self._error = bytes(Blob().field(1, Blob().field(1, error)).data)

    def leg(
        self,
        *,
        pool: int,
        side_in: int,
        trader: int,
        source: int,
        destination: int,
        funds: int,
        chained: bool,
        account: int,
        mints: tuple[str, str],
        share: int = 0,
    ) -> int:
        """Declares a swap leg of the running instruction; returns its number."""
        venue = self.world.pools[pool].venue
        self.legs.append(
            (venue, pool, side_in, int(chained), share, trader, source, destination, funds)
        )
        running = self._stack[-1] if self._stack else None
        if running is not None and not self.failed:
            self.truths.append(
                LegTruth(
                    self.path,
                    self.world.name(running.program),
                    programs.VENUE_NAMES[venue],
                    running.router,
                    self.world.name(account),
                    *mints,
                )
            )
        return len(self.legs) - 1

    def _line(self, *parts: str | _Units | tuple[int, int]) -> None:
        line = Blob()
        for part in parts:
            match part:
                case str():
                    line.add(part.encode())
                case _Units(base, factor):
                    width = len(str(base))
                    if factor and len(str(base + factor * (JITTER - 1))) != width:
                        raise WidthChanged(f"{base} changes its width")
                    if base < 0:
                        raise WidthChanged("compute budget exceeded")
                    at = len(line.data)
                    line.add(str(base).encode())
                    if factor:
                        line.patches.append((PatchKind.DECIMAL, at, width, base, factor))
                case (start, length):
                    at = len(line.data)
                    line.add(bytes(4 * ((length + 2) // 3)))
                    line.patches.append((PatchKind.BASE64, at, start, length, 0))
        self._logs.field(6, line)

    # -- what moves ------------------------------------------------------------------------------

    def move_lamports(self, source: int, destination: int, register: int) -> None:
        """Lamports from account to account."""
        self._effect(EffectKind.LAMPORTS, source, destination, register)

    def move_tokens(
        self, source: int, destination: int, register: int, fee_register: int = NONE
    ) -> None:
        """Token base units; the fee is withheld in the destination account."""
        self._effect(EffectKind.TOKENS, source, destination, register, fee_register)

    def burn_tokens(self, source: int, register: int) -> None:
        """Token base units that cease to be."""
        self._effect(EffectKind.BURN, source, source, register)

    def pay_rent(self, source: int, destination: int) -> None:
        """Rent of a token account."""
        self._effect(EffectKind.RENT, source, destination)

    def sync_native(self, account: int) -> None:
        """The token amount of a wrapped SOL account becomes what its lamports say."""
        self._effect(EffectKind.SYNC, account, account)

    def close_account(self, account: int, destination: int) -> None:
        """All lamports go to `destination`."""
        self._effect(EffectKind.CLOSE, account, destination)

    def _effect(
        self, kind: EffectKind, source: int, target: int, register: int = NONE, fee: int = NONE
    ) -> None:
        if not self.failed:
            self._effects.append((kind, source, target, register, fee))

    # -- the wire form ---------------------------------------------------------------------------

    def finish(self) -> Template:
        """Lays the accounts out and encodes. Raises TooLarge, WidthChanged."""
        world = self.world
        order, header, lookups = self._lay_out()
        index = {account: i for i, account in enumerate(order)}
        n_static = len(order) - sum(len(wr) + len(ro) for _, wr, ro in lookups)

        message = Blob()
        head = Blob().number(1, header[0]).number(2, header[1]).number(3, header[2])
        message.field(1, head)
        for account in order[:n_static]:
            message.field(2, Blob().add(Key(account)))
        message.field(3, Blob().add(Key(world.blockhash)))
        for instruction in self._instructions:
            message.field(4, _encode(instruction, index, with_height=False))
        if self.version.number >= 0:
            message.number(5, 1)
        for table, writable, readonly in lookups:
            entry = Blob().field(1, world.table_key(table))
            if writable:
                entry.field(2, bytes(world.table_entry(a)[1] for a in writable))
            if readonly:
                entry.field(3, bytes(world.table_entry(a)[1] for a in readonly))
            message.field(6, entry)
        if self.version.number == 1:
            config = Blob().number(1, self.config_priority).number(2, self.cu_limit)
            message.field(7, config)
        transaction = Blob()
        for _ in range(header[0]):
            transaction.field(1, Blob().add(Signature()))
        transaction.field(2, message)

        inner = Blob()
        for i, instruction in enumerate(self._instructions):
            if instruction.inner:
                group = Blob().number(1, i)
                for call in instruction.inner:
                    group.field(2, _encode(call, index, with_height=True))
                inner.field(5, group)
        meta = inner
        shift = len(meta.data)
        meta.data += self._logs.data
        meta.patches += [(k, at + shift, *rest) for k, at, *rest in self._logs.patches]
        tail = Blob()
        for _, writable, _ in lookups:
            for account in writable:
                tail.field(12, world.key(account))
        for _, _, readonly in lookups:
            for account in readonly:
                tail.field(13, world.key(account))
        if self._tail.data and not self.failed:
            shift = len(tail.data)
            tail.data += self._tail.data
            tail.patches += [(k, at + shift, *rest) for k, at, *rest in self._tail.patches]
        else:
            tail.number(15, 1)
        meta.patches += [(k, at + len(meta.data), *rest) for k, at, *rest in tail.patches]

        size = self._packet_size(header[0], n_static, lookups)
        if size > (MAX_V1_BYTES if self.version.number == 1 else MAX_LEGACY_BYTES):
            raise TooLarge(f"{size} bytes")

        def by_index(patches: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
            out: list[tuple[int, ...]] = []
            for kind, at, a, b, c in patches:
                slot = index.get(a, NONE) if kind == PatchKind.KEY else a
                if slot == NONE:
                    # A key that is no account of the transaction: a fixed account of the world.
                    extra.setdefault(a, len(order) + len(extra))
                    slot = extra[a]
                out.append((kind, at, slot, b, c))
            return out

        extra: dict[int, int] = {}
        event_patches = by_index(self._events.patches)
        message_patches = by_index(transaction.patches)
        meta_patches = by_index(meta.patches)
        tokens = [
            (i, 1, 1)
            for i, account in enumerate(order)
            if world.is_token_account(account) and account not in self.temporary
        ]
        writable_count = (
            header[0] - header[1] + sum(1 for a in order[header[0] :] if self._metas[a][1])
        )
        return Template(
            failed=self.failed,
            wrapped=self.wrapped,
            group=self.group,
            user_class=self.user_class,
            n_signatures=header[0],
            cu_limit=self.cu_limit if self.priced else 0,
            cu_base=self._used.base,
            cu_jitter=self._used.factor,
            cost_base=720 * header[0] + 300 * writable_count + size // 4,
            fixed_priority=self.config_priority,
            n_accounts=len(order),
            accounts=[*order, *extra],
            tokens=tokens,
            legs=[
                (venue, pool, side, chained, *(index[account] for account in accounts), share)
                for venue, pool, side, chained, share, *accounts in self.legs
            ],
            effects=[
                (kind, index[source], index[target], register, fee)
                for kind, source, target, register, fee in self._effects
            ]
            if not self.failed
            else [],
            events=bytes(self._events.data),
            event_patches=event_patches,
            message=bytes(transaction.data),
            message_patches=message_patches,
            meta=bytes(meta.data),
            meta_patches=meta_patches,
            tail=bytes(tail.data),
            error=self._error,
            truths=self.truths,
        )

    def _lay_out(
        self,
    ) -> tuple[list[int], tuple[int, int, int], list[tuple[int, list[int], list[int]]]]:
        """Account order, header counts, and per lookup table its writable and readonly accounts."""
        invoked = {i.program for i in self._instructions}
        loaded: list[int] = []
        if self.version.tables:
            loaded = [
                a
                for a, (signer, _) in self._metas.items()
                if not signer and a not in invoked and self.world.in_table(a)
            ]
        static = [a for a in self._metas if a not in set(loaded)]
        groups: dict[tuple[bool, bool], list[int]] = {}
        for account in static:
            signer, writable = self._metas[account]
            groups.setdefault((signer, writable), []).append(account)
        signers = groups.get((True, True), [])
        signers_readonly = groups.get((True, False), [])
        writable = groups.get((False, True), [])
        readonly = groups.get((False, False), [])
        lookups: dict[int, tuple[list[int], list[int]]] = {}
        for account in loaded:
            lists = lookups.setdefault(self.world.table_entry(account)[0], ([], []))
            lists[0 if self._metas[account][1] else 1].append(account)
        order = [*signers, *signers_readonly, *writable, *readonly]
        for wr, _ in lookups.values():
            order += wr
        for _, ro in lookups.values():
            order += ro
        header = (len(signers) + len(signers_readonly), len(signers_readonly), len(readonly))
        return order, header, [(t, wr, ro) for t, (wr, ro) in lookups.items()]

    def _packet_size(
        self, n_signatures: int, n_static: int, lookups: list[tuple[int, list[int], list[int]]]
    ) -> int:
        """Bytes of the wire transaction (protocol facts 5.3)."""
        size = 64 * n_signatures + 3 + 32 * n_static + 32
        if self.version.number == 1:
            size += 1 + 4 + 1 + 1 + 4 * 3
            return size + sum(4 + len(i.accounts) + _size(i.data) for i in self._instructions)
        size += 1 + 1 + 1
        for i in self._instructions:
            size += 1 + 1 + len(i.accounts) + (1 if _size(i.data) < 128 else 2) + _size(i.data)
        if self.version.number == 0:
            size += 1 + 1 + sum(34 + len(wr) + len(ro) for _, wr, ro in lookups)
        return size


def _size(pieces: Iterable[Piece]) -> int:
    return len(Blob().add(*pieces).data)


def _encode(instruction: Instruction, index: dict[int, int], *, with_height: bool) -> Blob:
    out = Blob().number(1, index[instruction.program])
    if instruction.accounts:
        out.field(2, bytes(index[a] for a in instruction.accounts))
    data = Blob().add(*instruction.data)
    if data.data:
        out.field(3, data)
    if with_height:
        out.number(4, instruction.height)
    return out
