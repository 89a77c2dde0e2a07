"""The features stage against its plain twin, on random chains and on real blocks."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features import twin
from features.batches import batch, chain, huge
from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.features import FeatureView
from mevstream.codecs.parsed import ParsedView, encode_parsed
from mevstream.errors import InputError
from mevstream.schemas.dead_letter_pb2 import DeadLetter
from mevstream.schemas.features_pb2 import FeatureState
from mevstream.schemas.parsed_pb2 import ParsedBatch
from mevstream.topologies.chain import DEAD_LETTER, FEATURES
from mevstream.topologies.features.pairs import QUOTE_MINTS
from mevstream.topologies.features.stage import FeatureStage
from mevstream.topologies.raw.sources import open_sources

USDC, SOL = QUOTE_MINTS[0], QUOTE_MINTS[6]


def run(stage: FeatureStage, batches: list[bytes]) -> list[bytes]:
    """One FeatureBatch each, in order."""
    results: list[bytes] = []
    for message in batches:
        [record] = stage(message)
        assert record.topic == FEATURES
        FeatureView(record.value).validate()
        results.append(record.value)
    return results


@pytest.mark.parametrize("seed", range(12))
def test_stage_does_what_its_twin_does(seed: int) -> None:
    batches = chain(seed, slots=8)
    told = run(FeatureStage(), batches)
    assert twin.text(twin.told_swaps(told)) == twin.text(twin.swaps(batches))
    candles = twin.candles(batches)
    assert len(candles) > 20
    assert twin.text(twin.told_candles(told)) == twin.text(candles)


def test_envelope_and_places_pass_on() -> None:
    batches = chain(3)
    for message, told in zip(batches, run(FeatureStage(), batches), strict=True):
        parsed, features = ParsedView(message), FeatureView(told)
        for name in ("slot", "parent_slot", "seq", "last", "blockhash", "block_time", "chain"):
            assert getattr(features, name) == getattr(parsed, name)
        assert (features.partition, features.partitions) == (1, 3)
        np.testing.assert_array_equal(features.swap_tx_index, parsed.tx_index[parsed.swap_tx])
        for name in ("outer", "inner", "leg", "replica"):
            np.testing.assert_array_equal(
                getattr(features, f"swap_{name}"), getattr(parsed, f"swap_{name}")
            )


def test_volumes_are_exact_beyond_64_bits() -> None:
    [candle] = twin.told_candles(run(FeatureStage(), [huge(5)]))
    assert (candle["volume_base"], candle["volume_quote"]) == (5 * 2**64 - 5, 5 * 2**64 - 10)


@pytest.mark.parametrize(
    ("mint_in", "mint_out", "base", "quote"),
    [
        (b"m" * 32, SOL, b"m" * 32, SOL),
        (SOL, b"m" * 32, b"m" * 32, SOL),
        (USDC, SOL, SOL, USDC),
        (SOL, USDC, SOL, USDC),
        (b"b" * 32, b"a" * 32, b"a" * 32, b"b" * 32),
        (b"a" * 32, b"b" * 32, b"a" * 32, b"b" * 32),
    ],
)
def test_which_mint_is_the_quote(
    mint_in: bytes, mint_out: bytes, base: bytes, quote: bytes
) -> None:
    keys = np.frombuffer(b"p" * 32 + mint_in + mint_out, np.uint8).reshape(-1, 32)
    message = encode_parsed(
        {"slot": 1, "names": ["orca_whirlpool"]},
        {
            "keys": keys,
            "tx_index": [0],
            **{name: [0] for name in ("swap_tx", "swap_pool", "swap_venue")},
            "swap_mint_in": [1],
            "swap_mint_out": [2],
            "swap_amount_in": [10],
            "swap_amount_out": [40],
            "swap_price_after": [4.0],
        },
    )
    [row] = twin.told_swaps(run(FeatureStage(), [message]))
    buy = mint_in == quote
    assert (row["base"], row["quote"], row["flags"]) == (base, quote, 2 | buy)
    assert row["price"] == row["price_after"] == (0.25 if buy else 4.0)


# -- real blocks -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(shared_data: Path) -> list[bytes]:
    decoder = BatchDecoder()
    return [decoder.decode(raw) for raw in open_sources([str(shared_data / "blocks")])]


def test_real_blocks(real: list[bytes]) -> None:
    """Reserves are the vaults' balances as the blocks tell them; candles those of the twin."""
    told = run(FeatureStage(), real)
    assert twin.text(twin.told_swaps(told)) == twin.text(twin.swaps(real))
    candles = twin.told_candles(told)
    assert twin.text(candles) == twin.text(twin.candles(real))
    assert {row["slot"] for row in candles} == {285000037, 316719544, 332254908}
    known = 0
    for message, result in zip(real, told, strict=True):
        parsed, features = ParsedView(message), FeatureView(result)
        for i in np.flatnonzero(parsed.swap_flags & 16):
            sides = (features.swap_reserve_base[i], features.swap_reserve_quote[i])
            if features.swap_flags[i] & 1:
                sides = sides[::-1]
            assert sides == (parsed.swap_reserve_in[i], parsed.swap_reserve_out[i])
            known += 1
    assert known > 300


def test_a_replay_gives_the_same_candles(real: list[bytes]) -> None:
    """Also one that begins in the middle of the chain, with other pools remembered or none."""
    clean = twin.text(twin.told_candles(run(FeatureStage(), real)))
    stage = FeatureStage(pools=8)
    run(stage, real)
    assert twin.text(twin.told_candles(run(stage, real))) == clean
    third = [message for message in real if ParsedView(message).slot == 332254908]
    again = twin.text(twin.told_candles(run(FeatureStage(), third)))
    assert again
    assert again == clean[-len(again) :]


# -- state -----------------------------------------------------------------------------------------


@given(
    seed=st.integers(0, 2**32), at=st.floats(0, 1), pools=st.sampled_from([1, 2, 7, 64, 1 << 16])
)
def test_a_restored_stage_goes_on_as_the_old_one(seed: int, at: float, pools: int) -> None:
    batches = chain(seed, slots=5)
    cut = int(at * len(batches))
    whole, before = FeatureStage(pools=pools), FeatureStage(pools=pools)
    expected = run(whole, batches)
    assert run(before, batches[:cut]) == expected[:cut]
    snapshot = before.snapshot()
    after = FeatureStage(pools=pools)
    after.restore(snapshot)
    assert after.snapshot() == snapshot
    assert run(after, batches[cut:]) == expected[cut:]
    # Taking a snapshot leaves the stage as it is.
    assert run(before, batches[cut:]) == expected[cut:]
    assert after.snapshot() == before.snapshot() == whole.snapshot()


@given(seed=st.integers(0, 2**32), pools=st.integers(1, 40))
def test_the_pools_that_were_not_touched_longest_are_forgotten(seed: int, pools: int) -> None:
    """`count` starts anew for a pool that was forgotten; which ones are, a list tells."""
    batches = chain(seed, slots=4)
    remembered: dict[tuple[bytes, ...], int] = {}
    for row in (rows := twin.told_swaps(run(FeatureStage(pools=pools), batches))):
        if not row["flags"] & 2:
            continue
        pair = (row["pool"], row["base"], row["quote"])
        count = remembered.pop(pair, 0) + 1
        assert row["count"] == count
        remembered[pair] = count
        if len(remembered) > pools:
            del remembered[next(iter(remembered))]
    whole = twin.text(twin.told_candles(run(FeatureStage(), batches)))
    assert twin.text(twin.told_candles(run(FeatureStage(pools=pools), batches))) == whole
    assert rows


def test_the_snapshot_is_bounded_by_the_pools() -> None:
    stage = FeatureStage(pools=10)
    sizes: list[int] = []
    for seed in range(6):
        run(stage, chain(seed, markets=40, slots=10))
        run(stage, [batch(np.random.default_rng(0), {"slot": 999, "blockhash": b"x" * 32}, 0)])
        sizes.append(len(stage.snapshot()))
    assert max(sizes) < 10 * 200 + 500


# -- bad input -------------------------------------------------------------------------------------


def bad_batches() -> dict[str, bytes]:
    good = batch(np.random.default_rng(1), {"slot": 5, "blockhash": b"h" * 32}, 4)

    def changed(**columns: list[int]) -> bytes:
        message = ParsedBatch.FromString(good)
        for name, values in columns.items():
            field = getattr(message, name)
            del field[:]
            field.extend(values)
        return message.SerializeToString()

    return {
        "malformed protobuf": b"\xff" * 9,
        "has 1 rows": changed(swap_pool=[0]),
        "a pool or mint points outside 21 keys": changed(swap_mint_in=[0, 0, 21, 0]),
        "swap_venue points outside 3 names": changed(swap_venue=[0, 0, 0, 3]),
        "swap_tx points outside 6": changed(swap_tx=[0, 0, 0, 6]),
        "blockhash is not 32 bytes": ParsedBatch(slot=5, blockhash=b"x").SerializeToString(),
    }


@pytest.mark.parametrize("error", bad_batches())
def test_bad_batches_are_dead_letters_and_change_nothing(error: str) -> None:
    stage = FeatureStage()
    run(stage, chain(1))
    before = stage.snapshot()
    bad = bad_batches()[error]
    [record] = stage(bad)
    assert record.topic == DEAD_LETTER
    letter = DeadLetter.FromString(record.value)
    assert error in letter.error
    assert (letter.payload, letter.stage, letter.topic) == (bad, "features", "mev.parsed")
    assert stage.snapshot() == before


def test_the_last_batch_that_can_be_numbered() -> None:
    envelope = {"slot": 5, "blockhash": b"h" * 32, "seq": 2**32 - 1, "last": True}
    (told,) = run(FeatureStage(), [batch(np.random.default_rng(1), envelope, 4)])
    assert FeatureView(told).closed[0].batches_total == 2**32 - 1


def test_forged_venues_are_bounded() -> None:
    stage = FeatureStage()
    for number in range(3):
        names = [f"venue {number} {i}" for i in range(900)] + ["x" * 100_000]
        message = ParsedBatch.FromString(batch(np.random.default_rng(1), {"slot": 5}, 4))
        del message.names[:]
        message.names.extend(names)
        message.swap_venue[:] = [0, 1, 899, 900]
        [record] = stage(message.SerializeToString())
        assert record.topic == FEATURES
        FeatureView(record.value).validate()
    assert len(stage.snapshot()) < 40_000


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda state: state.Clear(), "version 0 is not known"),
        (lambda state: setattr(state, "version", 2), "version 2 is not known"),
        (lambda state: state.names.append("pump_swap"), "not those of venues"),
        (lambda state: setattr(state, "keys", state.keys[:-32]), "outside"),
        (lambda state: state.pool_slot.append(1), "rows"),
        (lambda state: state.pool_pool.__setitem__(0, 0xFFFFFFFF), "outside"),
    ],
)
def test_a_snapshot_that_is_none_is_refused(change: "object", error: str) -> None:
    stage = FeatureStage()
    run(stage, chain(2))
    before = stage.snapshot()
    state = FeatureState.FromString(before)
    assert callable(change)
    change(state)
    with pytest.raises(InputError, match=error):
        stage.restore(state.SerializeToString())
    with pytest.raises(InputError):
        stage.restore(before[:-5])
    assert stage.snapshot() == before


def test_a_candle_of_a_venue_that_has_no_name() -> None:
    stage = FeatureStage()
    run(stage, [batch(np.random.default_rng(1), {"slot": 5, "blockhash": b"h" * 32}, 8)])
    state = FeatureState.FromString(stage.snapshot())
    state.candle_venue[0] = len(state.names)
    with pytest.raises(InputError, match="candle_venue points outside its names"):
        stage.restore(state.SerializeToString())
    state.candle_venue[0] = 0xFFFFFFFF
    stage.restore(state.SerializeToString())
