"""The chain in one process over real blocks, and the sums of slots."""

import subprocess
import sys
from pathlib import Path

import pytest

from mevstream.schemas.slots_pb2 import SlotStatus
from mevstream.topologies.embedded import EmbeddedRuntime
from mevstream.topologies.parsed.slots import SlotLedger
from mevstream.topologies.raw.sources import open_sources
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from mevstream.topologies.sinks.clickhouse import ClickHouseSink

ROOT = Path(__file__).parents[2]

# slot → transactions, votes, failed, with a tip, lamports tipped
KNOWN = {
    285000037: (557, 62, 99, 49, 73_424_641),
    316719544: (2021, 1644, 37, 135, 523_449_098),
    332254908: (1862, 1380, 231, 82, 68_947_871),
}


def test_real_blocks_have_their_known_counts(shared_data: Path, tmp_path: Path) -> None:
    with ClickHouseSink(ChdbEngine(tmp_path)) as sink:
        runtime = EmbeddedRuntime(sink)
        totals = runtime.run(open_sources([str(shared_data / "blocks")]))
        engine = sink._engine  # pyright: ignore[reportPrivateUsage]
        rows = engine.rows(
            "SELECT slot, transactions, votes, failed, tipped, tip_lamports FROM slots"
        )
        [stored] = engine.rows(
            "SELECT (SELECT count() FROM v_transactions), (SELECT count() FROM v_swaps),"
            " (SELECT sum(swaps) FROM slots), (SELECT count() FROM dex_solana_trades)"
        )
    assert {slot: tuple(counts) for slot, *counts in rows} == KNOWN
    assert totals.transactions == totals.votes + totals.failed + totals.succeeded
    assert stored == (totals.failed + totals.succeeded, *[totals.swaps] * 3)


def test_memory_stays_within_its_bound(tmp_path: Path) -> None:
    """At most 600 MB resident with the store in the process, over 387,000 transactions."""
    code = """if True:
        import sys
        from pathlib import Path
        from mevstream.topologies.embedded import EmbeddedRuntime
        from mevstream.topologies.raw.simulator import Simulator, SimulatorConfig
        from mevstream.topologies.raw.sources import open_sources
        from mevstream.topologies.sinks.chdb_engine import ChdbEngine
        from mevstream.topologies.sinks.clickhouse import ClickHouseSink
        with ClickHouseSink(ChdbEngine(Path(sys.argv[1]))) as sink:
            print(EmbeddedRuntime(sink).run(open_sources(sys.argv[2:])).slots)
        status = Path("/proc/self/status").read_text().split()
        print(status[status.index("VmHWM:") + 1])
    """
    if not Path("/proc/self/status").exists():
        pytest.skip("the system does not tell the peak of resident memory")
    chain = tmp_path / "chain"
    simulate = [sys.executable, "-m", "mevstream", "simulate", str(chain), "--slots", "300"]
    subprocess.run([*simulate, "--format", "pb"], cwd=ROOT, check=True, capture_output=True)
    result = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "warm"), str(chain)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    slots, peak_kb = map(int, result.stdout.split())
    assert slots == 300
    assert peak_kb < 600 << 10


def status(slot: int, **fields: int) -> SlotStatus:
    result = SlotStatus(chain="solana", slot=slot, batches=1, transactions=10)
    for name, value in fields.items():
        setattr(result, name, value)
    return result


def test_ledger_adds_up_batches_in_any_order() -> None:
    ledger = SlotLedger()
    assert list(ledger.add(status(5, batches_total=3, tip_lamports=7, first_seen_ns=30))) == []
    assert list(ledger.add(status(6))) == []
    assert list(ledger.add(status(5, tip_lamports=1, first_seen_ns=10))) == []
    [slot] = ledger.add(status(5, first_seen_ns=20))
    assert (slot.slot, slot.batches, slot.batches_total, slot.transactions) == (5, 3, 3, 30)
    assert (slot.tip_lamports, slot.first_seen_ns) == (8, 10)
    [left] = ledger.close()
    assert (left.slot, left.batches, left.batches_total) == (6, 1, 0)


def test_ledger_gives_up_waiting_and_tells() -> None:
    ledger = SlotLedger(max_open=2)
    closed = [done for slot in range(5) for done in ledger.add(status(slot))]
    assert [(done.slot, done.batches_total) for done in closed] == [(0, 0), (1, 0), (2, 0)]
    assert [done.slot for done in ledger.close()] == [3, 4]
