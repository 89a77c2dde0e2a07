"""The hot store against what the features say: newest states, whatever comes again or late."""

import math
import random
from pathlib import Path
from typing import Any

import pytest
from features import twin
from features.batches import chain, huge
from features.test_stage import run
from solders.pubkey import Pubkey

from hot.conftest import Valkey
from mevstream.codecs.headers import RecordHeaders
from mevstream.errors import InputError, MevstreamError
from mevstream.schemas.features_pb2 import FeatureBatch
from mevstream.schemas.parsed_pb2 import ParsedBatch
from mevstream.settings import load_settings
from mevstream.topologies.features.stage import FeatureStage
from mevstream.topologies.sinks.hot import HotItem, HotSink, RedisServer, configured_redis
from mevstream.topologies.sinks.stream import Delivery

HEADERS = RecordHeaders(schema="mevstream.v1.FeatureBatch")

State = dict[str, str]
Redis = Any
"""The library's answers are typed as whatever any of its modes may answer."""


def items(sink: HotSink, told: list[bytes]) -> list[HotItem]:
    return [sink.read(Delivery("mev.features", 0, i, v, HEADERS)) for i, v in enumerate(told)]


def base58(key: bytes) -> str:
    return str(Pubkey(key))


def contents(client: Redis) -> dict[str, Any]:
    """All keys but what tells when they were written."""
    result: dict[str, Any] = {}
    for key in sorted(client.scan_iter()):
        name = key.decode()
        if name.startswith("mev:market:"):
            result[name] = sorted(member.decode() for member in client.zrange(name, 0, -1))
        else:
            fields = {k.decode(): v.decode() for k, v in client.hgetall(name).items()}
            assert int(fields.pop("updated")) > 0
            result[name] = fields
        assert 0 < client.ttl(name) <= 3600
    return result


def expected(told: list[bytes]) -> dict[str, State]:
    """Pool → what is known after its last leg at home, row by row."""
    states: dict[str, State] = {}
    rows = iter(twin.told_swaps(told))
    for message in told:
        batch = FeatureBatch.FromString(message)
        for i in range(len(batch.swap_tx_index)):
            row = next(rows)
            if row["replica"] or not row["flags"] & 2:
                continue
            key = f"mev:pool:solana:{base58(row['pool'])}"
            pair = {"base": base58(row["base"]), "quote": base58(row["quote"])}
            state = states.get(key, {})
            if {name: state.get(name) for name in pair} != pair:
                state = {}
            state |= pair | {
                "slot": str(batch.slot),
                "tx_index": str(batch.swap_tx_index[i]),
                "swaps": str(row["count"]),
                "venue": row["venue"],
                "blockhash": base58(batch.blockhash) if batch.blockhash else "",
            }
            for name in ("price", "price_after"):
                if not math.isnan(row[name]):
                    state[name] = repr(row[name])
            for name in ("decimals_base", "decimals_quote"):
                if row[name] != 255:
                    state[name] = str(row[name])
            if row["flags"] & 32:
                for name in ("reserve_base", "reserve_quote", "reserve_slot"):
                    state[name] = str(row[name])
            states[key] = state
    return states


def simple_chain(seed: int) -> list[bytes]:
    """Batches whose legs are in the order of their places, as those of a decoder are."""
    result: list[bytes] = []
    for told in run(FeatureStage(), chain(seed, slots=6)):
        batch = FeatureBatch.FromString(told)
        for i in range(len(batch.swap_tx_index)):
            batch.swap_tx_index[i] = 1000 * batch.seq + i
        result.append(batch.SerializeToString())
    return result


def pools(client: Redis) -> dict[str, State]:
    found = {k: v for k, v in contents(client).items() if k.startswith("mev:pool:")}
    for fields in found.values():
        fields.pop("position")
    return found


@pytest.mark.parametrize("portion", [1, 5, 1000])
def test_the_last_state_of_every_pool(valkey: Valkey, client: Redis, portion: int) -> None:
    told = simple_chain(4)
    with_sink = HotSink(valkey.server)
    with_sink.open()
    read = items(with_sink, told)
    for start in range(0, len(read), portion):
        with_sink.store(read[start : start + portion])
    assert pools(client) == expected(told)
    found = contents(client)
    assert found["mev:head:solana"]["slot"] == "105"
    for key, members in found.items():
        if key.startswith("mev:market:"):
            mint = key.rpartition(":")[2]
            for pool in members:
                assert client.exists(f"mev:pool:solana:{pool}")
            # A pool of several pairs may have been traded against this mint before.
            now = {k.rpartition(":")[2] for k, v in pools(client).items() if mint in v.values()}
            assert now <= set(members)
    with_sink.close()


def test_what_comes_again_or_late_changes_nothing(valkey: Valkey, client: Redis) -> None:
    told = [t for t in simple_chain(11) if FeatureBatch.FromString(t).blockhash]
    sink = HotSink(valkey.server)
    read = items(sink, told)
    sink.store(read)
    before = contents(client)
    assert len(before) > 10
    last = read[-1].slot
    late = [item for item in read if item.slot < last]
    random.Random(1).shuffle(late)
    for item in [*late, *(item for item in read if item.slot == last)]:
        sink.store([item])
    sink.store(read)
    after = contents(client)
    assert after.keys() == before.keys()
    assert after == before


def test_another_block_of_a_slot_replaces_the_first(valkey: Valkey, client: Redis) -> None:
    def block(fork: int, tx_index: int, amount: int, slot: int = 50) -> bytes:
        batch = ParsedBatch.FromString(huge(1))
        batch.slot, batch.blockhash = slot, bytes([fork]) * 32
        batch.tx_index[0] = tx_index
        batch.swap_amount_in[0] = amount
        return batch.SerializeToString()

    told = run(FeatureStage(), [block(1, 900, 1), block(2, 3, 2), block(2, 1, 4, slot=49)])
    sink = HotSink(valkey.server)
    for item in items(sink, told):
        sink.store([item])
    [state] = pools(client).values()
    assert (state["tx_index"], state["price"]) == ("3", repr(float(2**64 - 2) / 2))


def test_a_server_that_went_away_is_used_again(valkey: Valkey, client: Redis) -> None:
    sink = HotSink(valkey.server)
    sink.open()
    read = items(sink, simple_chain(4))
    valkey.kill()
    with pytest.raises(MevstreamError, match=r"^redis://127\.0\.0\.1:\d+/0: "):
        sink.store(read)
    with pytest.raises(MevstreamError):
        HotSink(valkey.server).open()
    valkey.start()
    client.flushdb()  # and without the script that it had
    client.script_flush()
    sink.store(read)
    assert pools(client)


def test_pools_that_are_not_traded_any_more_go(valkey: Valkey, client: Redis) -> None:
    sink = HotSink(valkey.server, seconds=1)
    sink.store(items(sink, simple_chain(4)))
    set_ = next(iter(client.scan_iter("mev:market:*")))
    client.zadd(set_, {"of old": 1})
    sink.store(items(sink, simple_chain(4)))
    assert client.zscore(set_, "of old") is None
    assert client.ttl(next(iter(client.scan_iter("mev:pool:*")))) == 1


def test_records_that_are_none_are_refused(valkey: Valkey) -> None:
    sink = HotSink(valkey.server)
    with pytest.raises(InputError):
        sink.read(Delivery("mev.features", 0, 0, b"\xff", HEADERS))
    bad = FeatureBatch(swap_tx_index=[1], swap_pool=[5], swap_flags=[2])
    with pytest.raises(InputError, match="swap_pool points outside"):
        sink.read(Delivery("mev.features", 0, 0, bad.SerializeToString(), HEADERS))
    # Flagged as a pair, and names none.
    bad = FeatureBatch(swap_tx_index=[1], swap_flags=[2])
    with pytest.raises(InputError, match="pair"):
        sink.read(Delivery("mev.features", 0, 0, bad.SerializeToString(), HEADERS))


def test_a_password_is_in_no_message(tmp_path: Path, client: Redis, valkey: Valkey) -> None:
    file = tmp_path / "password"
    file.write_text("s3cret\n")
    settings = load_settings(redis="redis://reader@127.0.0.1:1/0", redis_password_file=file)
    server = configured_redis(settings)
    assert server.password == file.read_text().strip()
    assert "s3cret" not in repr(server)
    with pytest.raises(MevstreamError, match=r"^redis://127\.0\.0\.1:1/0: ") as error:
        HotSink(server).open()
    assert "s3cret" not in str(error.value)
    with pytest.raises(MevstreamError, match="its own setting") as error:
        configured_redis(load_settings(redis="redis://:s3cret@127.0.0.1:1/0"))
    assert "s3cret" not in str(error.value)
    with pytest.raises(MevstreamError, match="redis_password_file"):
        configured_redis(load_settings(redis_password_file=tmp_path / "none"))
    client.config_set("requirepass", "s3cret")
    try:
        with pytest.raises(MevstreamError, match=r"[Aa]uthentication"):
            HotSink(valkey.server).open()
        HotSink(RedisServer(valkey.server.url, "s3cret")).open()
    finally:
        client.config_set("requirepass", "")
