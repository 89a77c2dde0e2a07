"""The hot store's sink: mev.features becomes the last state of each pool, in Redis.

Keys and fields: docs/hot.md. A record that comes again, or late, never puts an older state in the
place of a newer one: the server compares positions before it writes, in one script call for many
pools.
"""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.resources import files
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

from redis import Redis, RedisError
from solders.pubkey import Pubkey

from mevstream.codecs.columns import NONE
from mevstream.codecs.features import PAIRED, RESERVES_KNOWN, FeatureView
from mevstream.errors import InputError, MevstreamError
from mevstream.settings import Settings
from mevstream.topologies.chain import FEATURES
from mevstream.topologies.sinks.stream import Delivery, StreamSink

# Pools a script call; the server does nothing else while it runs (some 5 µs a pool).
_POOLS = 256

Position = tuple[int, int, int, int, int]
"""slot, transaction index, outer, inner + 1 (0: top level), leg."""


@dataclass(frozen=True, slots=True)
class RedisServer:
    """Where a Redis (or Valkey) is. The password is not in its repr."""

    url: str
    password: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        """What may be told: without user and password."""
        parts = urlsplit(self.url)
        return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def configured_redis(settings: Settings) -> RedisServer:
    """The server that the settings name; without one, that of the local stack. Raises
    MevstreamError for a URL with a password in it and for a password file that is none."""
    url = settings.redis or f"redis://127.0.0.1:{settings.valkey_port}/0"
    if urlsplit(url).password is not None:
        raise MevstreamError("setting redis: the password has its own setting, redis_password")
    password = settings.redis_password.get_secret_value()
    if file := settings.redis_password_file:
        try:
            password = file.read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            told = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise MevstreamError(f"setting redis_password_file: {file}: {told}") from None
    return RedisServer(url, password)


def connect(server: RedisServer) -> "Redis":
    """A client; it connects at its first command. Answers are bytes."""
    try:
        return Redis.from_url(  # pyright: ignore[reportUnknownMemberType]
            server.url,
            password=server.password or None,
            socket_connect_timeout=5,
            socket_timeout=10,
            health_check_interval=30,
        )
    except ValueError as error:
        raise MevstreamError(f"setting redis: {error}") from None


@dataclass(slots=True)
class PoolState:
    """What is written of one pool: where it comes from, and the fields that are known."""

    position: Position
    blockhash: str
    base: str
    quote: str
    fields: dict[str, Any]


@dataclass(slots=True)
class HotItem:
    """What one record says: the last state of each pool (base58) that has its home there."""

    chain: str
    slot: int
    blockhash: str
    pools: dict[str, PoolState]


class HotSink(StreamSink[HotItem]):
    """Keeps the last state of every pool for `seconds` after its last swap."""

    name = "hot"
    topics = (FEATURES,)
    # Readers want the present: what was read is written at once.
    default_seconds = 0.05

    def __init__(self, server: RedisServer, *, seconds: int = 3600) -> None:
        self._server = server
        self._seconds = seconds
        self._client = connect(server)
        lua = (files("mevstream.topologies.sinks") / "hot.lua").read_text(encoding="utf-8")
        self._script = self._client.register_script(lua)

    def open(self) -> None:
        try:
            self._client.ping()  # pyright: ignore[reportUnknownMemberType]
        except RedisError as error:
            raise self._error(error) from None

    def read(self, delivery: Delivery) -> HotItem:
        view = FeatureView(delivery.value)
        view.validate()
        return pool_states(view)

    def store(self, items: Sequence[HotItem]) -> None:
        by_chain: dict[str, list[HotItem]] = {}
        for item in items:
            by_chain.setdefault(item.chain, []).append(item)
        for chain, of_chain in by_chain.items():
            head = max(of_chain, key=lambda item: item.slot)
            pools = iter(_merged(of_chain).items())
            now = time.time_ns() // 1_000_000
            while len(part := list(islice(pools, _POOLS))) == _POOLS:
                self._write(chain, part, now, None)
            self._write(chain, part, now, head)

    def _write(
        self, chain: str, pools: list[tuple[str, PoolState]], now: int, head: HotItem | None
    ) -> None:
        keys: list[str] = []
        arguments: list[Any] = [now, self._seconds, len(pools)]
        arguments += [head.slot, head.blockhash] if head is not None else [-1, ""]
        for pool, state in pools:
            keys += [
                f"mev:pool:{chain}:{pool}",
                f"mev:market:{chain}:{state.base}",
                f"mev:market:{chain}:{state.quote}",
            ]
            told = [part for pair in state.fields.items() for part in pair]
            arguments += [pool, _text(state.position), state.blockhash, state.base, state.quote]
            arguments += [len(told), *told]
        keys.append(f"mev:head:{chain}")
        try:
            self._script(keys=keys, args=arguments)
        except RedisError as error:
            raise self._error(error) from None

    def close(self) -> None:
        self._client.close()

    def _error(self, error: RedisError) -> MevstreamError:
        told = " ".join(str(error).split()) or type(error).__name__
        return MevstreamError(f"{self._server.address}: {told}")


def pool_states(view: FeatureView) -> HotItem:
    """The last state of each pool among the legs at home. A price that the last leg does not
    have is that of the last leg that has one."""
    home = (view.swap_replica == 0) & (view.swap_flags & PAIRED != 0)
    columns = (view.swap_pool, view.swap_base, view.swap_quote)
    if any((column[home] == NONE).any() for column in columns):
        raise InputError("FeatureBatch: a leg that names no pair is flagged as one that does")
    blockhash = _base58(view.blockhash) if view.blockhash else ""
    rows = [getattr(view, f"swap_{name}")[home].tolist() for name in _READ]
    texts = {index: _base58(view.keys[index].tobytes()) for index in {*rows[0], *rows[1], *rows[2]}}
    states: dict[str, PoolState] = {}
    for row in zip(*rows, strict=True):
        pool, base, quote, tx_index, outer, inner, leg, flags, venue, count, *numbers = row
        pool, base, quote = texts[pool], texts[base], texts[quote]
        position = (view.slot, tx_index, outer, 0 if inner == NONE else inner + 1, leg)
        before = states.get(pool)
        same_pair = before is not None and (before.base, before.quote) == (base, quote)
        fields = before.fields if before is not None and same_pair else {}
        fields |= {"slot": view.slot, "tx_index": tx_index, "swaps": count}
        if venue != NONE:
            fields["venue"] = view.names[venue]
        for name, number in zip(_NUMBERS, numbers, strict=True):
            # Not told: decimals 255, NaN, reserves without their flag.
            if name.startswith("reserve"):
                known = flags & RESERVES_KNOWN
            else:
                known = number == number and not (number == 255 and name.startswith("decimals"))
            if known:
                fields[name] = number
        states[pool] = PoolState(position, blockhash, base, quote, fields)
    return HotItem(view.chain, view.slot, blockhash, states)


_NUMBERS = (
    *("decimals_base", "decimals_quote", "price", "price_after"),
    *("reserve_base", "reserve_quote", "reserve_slot"),
)
_READ = (
    *("pool", "base", "quote", "tx_index", "outer", "inner", "leg", "flags", "venue", "count"),
    *_NUMBERS,
)


def _merged(items: Iterable[HotItem]) -> dict[str, PoolState]:
    """The newest state of each pool; of two blocks of one slot that which came later."""
    merged: dict[str, PoolState] = {}
    for pool, state in _in_turn(items):
        before = merged.get(pool)
        if before is None:
            merged[pool] = state
        elif state.position >= before.position or (
            state.position[0] == before.position[0] and state.blockhash != before.blockhash
        ):
            same_pair = (before.base, before.quote) == (state.base, state.quote)
            fields = before.fields | state.fields if same_pair else state.fields
            merged[pool] = replace(state, fields=fields)
    return merged


def _in_turn(items: Iterable[HotItem]) -> Iterator[tuple[str, PoolState]]:
    for item in items:
        yield from item.pools.items()


def _text(position: Position) -> str:
    """A text that sorts as the position does, in any locale."""
    slot, *rest = position
    return f"{slot:016x}" + "".join(f"{number:08x}" for number in rest)


@lru_cache(maxsize=1 << 16)
def _base58(key: bytes) -> str:
    return str(Pubkey(key))
