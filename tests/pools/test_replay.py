"""Every swap of the real blocks, quoted by what is known before it."""

from __future__ import annotations

from pathlib import Path

import pytest
from reference import load
from reference.compiled import batch

from mevstream.codecs.parsed import ParsedView
from mevstream.topologies.opportunities.pools import APPROXIMATE, Pools, Quoted


@pytest.fixture(scope="module")
def views(shared_data: Path) -> list[ParsedView]:
    """One batch a block, in the order of slots."""
    return [
        ParsedView(batch([m.SerializeToString() for m in load.file(path)]).SerializeToString())
        for path in sorted((shared_data / "blocks").iterdir())
    ]


def table(quoted: dict[str, Quoted]) -> str:
    """What docs/pools.md shows (pytest -s)."""
    lines = [
        f"{'venue':18}{'legs':>6}{'told':>6}{'exact':>6}{'tracked':>8}{'exact':>6}{'drift':>6}"
    ]
    for venue, q in sorted(quoted.items(), key=lambda item: -item[1].legs):
        lines.append(
            f"{venue:18}{q.legs:6}{q.told:6}{q.told_exact:6}{q.tracked:8}{q.tracked_exact:6}"
            f"{q.drifted:6}"
        )
    return "\n".join(lines)


def test_quotes_of_the_real_blocks(views: list[ParsedView]) -> None:
    pools = Pools()
    for view in views:
        checks = pools.apply(view).checks
        # A state that is not called approximate gives quotes to the unit.
        sure = (checks["source"] > 0) & (checks["exactness"] != APPROXIMATE)
        assert (checks["quoted"][sure] == checks["actual"][sure]).all()
    print("\n" + table(pools.quoted))
    for venue in ("raydium_amm_v4", "pump_swap", "pump_fun"):
        quoted = pools.quoted[venue]
        assert quoted.told == quoted.told_exact == quoted.legs > 30
    for quoted in pools.quoted.values():
        # Where the event tells what the program priced by, there is nothing to be off by; and a
        # pool stands before a leg where the leg before it left it.
        assert quoted.told == quoted.told_exact
        assert quoted.drifted == 0
        assert quoted.tracked_close == quoted.tracked
        assert quoted.tracked_exact >= 0.95 * quoted.tracked
    assert pools.quoted["raydium_clmm"].tracked >= 20
    assert pools.quoted["meteora_dlmm"].told >= 3


def test_a_snapshot_goes_on_alike(views: list[ParsedView]) -> None:
    whole = Pools()
    for view in views:
        before = whole.snapshot()
        wanted = whole.apply(view).checks
        part = Pools()
        part.restore(before)
        found = part.apply(view).checks
        assert all((found[name] == wanted[name]).all() for name in wanted)
        assert part.snapshot() == whole.snapshot()


def test_pools_that_are_forgotten(views: list[ParsedView]) -> None:
    """With little room the same quotes come wherever a leg tells its state itself."""
    few, all_ = Pools(8), Pools()
    for view in views:
        small, large = few.apply(view).checks, all_.apply(view).checks
        told = (large["source"] == 1) & (small["source"] == 1)
        assert (small["quoted"][told] == large["quoted"][told]).all()
        assert len(few) <= 8 < len(all_)
    assert few.quoted["raydium_amm_v4"].told == all_.quoted["raydium_amm_v4"].told
