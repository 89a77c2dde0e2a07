"""The answers to the questions of docs/queries.md without a store: from what `mevstream inspect`
prints, with Python's own arithmetic."""

import subprocess
import sys
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from statistics import median
from typing import Any

import orjson

SOL = "So11111111111111111111111111111111111111112"
DOLLARS = {
    "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",
    "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB",
}
_CYCLES = ("arbitrage", "backrun")

Row = dict[str, Any]


@dataclass(slots=True)
class Records:
    """What was printed: lines by record, swaps and others by signature."""

    lines: dict[str, list[Row]] = field(default_factory=lambda: defaultdict(list))
    transactions: dict[str, Row] = field(default_factory=dict[str, Row])
    of: dict[str, dict[str, list[Row]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )

    def own(self, one: Row) -> list[Row]:
        """The transactions of an opportunity but those of victims and of what it followed."""
        rows = [self.transactions[signature] for signature in one["signatures"]]
        return [row for row in rows if row["fee_payer"] not in one["victims"]]

    def others(self, one: Row) -> list[Row]:
        rows = [self.transactions[signature] for signature in one["signatures"]]
        return [row for row in rows if row["fee_payer"] in one["victims"]]

    def costs(self, opportunities: Iterable[Row]) -> tuple[int, int]:
        """Fees and tips of their transactions, each once."""
        rows = {row["signature"]: row for one in opportunities for row in self.own(one)}
        return sum(row["fee"] for row in rows.values()), sum(
            row["tip_lamports"] for row in rows.values()
        )

    def net(self, one: Row) -> int | None:
        """Lamports, where the profit is in SOL."""
        if one["profit_mint"] != SOL or one["profit"] is None:
            return None
        fees, tips = self.costs([one])
        return one["profit"] - fees - tips


def read(blocks: Path) -> Records:
    names = "transactions,swaps,liquidity,liquidations,opportunities"
    command = [sys.executable, "-m", "mevstream", "inspect", str(blocks), "--records", names]
    printed = subprocess.run(command, check=True, capture_output=True, timeout=300).stdout
    records = Records()
    for line in printed.splitlines():
        row = orjson.loads(line)
        records.lines[row["record"]].append(row)
        if row["record"] == "transaction":
            records.transactions[row["signature"]] = row
        elif row["record"] != "opportunity":
            records.of[row["record"]][row["signature"]].append(row)
    return records


def _grouped(rows: Iterable[Row], key: Callable[[Row], Any]) -> dict[Any, list[Row]]:
    groups: dict[Any, list[Row]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def _last(key: float | None) -> tuple[bool, float]:
    """Sorts downwards, None last."""
    return key is None, -(key or 0)


def searchers(records: Records) -> list[Row]:
    rows: list[Row] = []
    for actor, found in _grouped(records.lines["opportunity"], lambda one: one["actor"]).items():
        told = [one for one in found if records.net(one) is not None]
        profit = sum(one["profit"] for one in told)
        fees, tips = records.costs(told)
        rows.append(
            {
                "actor": actor,
                "found": len(found),
                "backruns": sum(one["kind"] == "backrun" for one in found),
                "sandwiches": sum(one["kind"] == "sandwich" for one in found),
                "profit": profit / 1e9 if told else None,
                "tips": records.costs(found)[1] / 1e9,
                "net": (profit - fees - tips) / 1e9 if told else None,
                "tip_share": tips / profit if profit > 0 else None,
            }
        )
    return sorted(rows, key=lambda row: (_last(row["net"]), row["actor"]))[:5]


def bids(records: Records) -> list[Row]:
    names = ["below 0.001", "0.001", "0.01", "0.1", "1 and more"]
    groups: dict[tuple[str, int], list[Fraction]] = defaultdict(list)
    for one in records.lines["opportunity"]:
        if one["kind"] in _CYCLES and records.net(one) is not None:
            size = bisect_right([10**6, 10**7, 10**8, 10**9], one["profit"])
            groups[one["kind"], size].append(Fraction(one["tip_lamports"], one["profit"]))
    rows: list[Row] = []
    for (kind, size), shares in sorted(groups.items()):
        tipped = sorted(share for share in shares if share)
        rows.append(
            {
                "kind": kind,
                "profit_from": names[size],
                "found": len(shares),
                "tipped": len(tipped),
                "median_bid": float(tipped[len(tipped) // 2]) if tipped else None,
                "highest_bid": float(tipped[-1]) if tipped else None,
            }
        )
    return rows


def sandwiches(records: Records) -> list[Row]:
    """`lost_sol` is near where the victim paid SOL: what it paid beside the pool's side is not
    printed."""
    rows: list[Row] = []
    for one in records.lines["opportunity"]:
        if one["kind"] != "sandwich":
            continue
        own, victims = records.own(one), records.others(one)
        net = records.net(one)
        swaps = [
            swap
            for row in victims
            for swap in records.of["swap"][row["signature"]]
            if swap["pool"] in one["pools"]
        ]
        got = sum(swap["amount_out"] for swap in swaps)
        share = one["victim_loss"] / (got + one["victim_loss"])
        lost: float | None = None
        if {swap["mint_out"] for swap in swaps} == {SOL}:
            lost = one["victim_loss"] / 1e9
        elif {swap["mint_in"] for swap in swaps} == {SOL}:
            lost = sum(swap["amount_in"] for swap in swaps) * share / 1e9
        slots = [row["slot"] for row in own]
        rows.append(
            {
                "slot": max(slots),
                "venue": swaps[0]["venue"],
                "apart": max(slots) - min(slots),
                "wallets": len({row["fee_payer"] for row in own}),
                "net": None if net is None else net / 1e9,
                "victims": len(swaps),
                "lost_sol": lost,
            }
        )
    return sorted(rows, key=lambda row: (_last(row["lost_sol"]), row["slot"]))[:6]


def routes(records: Records) -> list[Row]:
    groups: dict[str, list[tuple[Row, list[Row]]]] = defaultdict(list)
    for one in records.lines["opportunity"]:
        if one["kind"] in _CYCLES:
            [own] = records.own(one)
            hops = records.of["swap"][own["signature"]]
            groups[" > ".join(hop["venue"] for hop in hops)].append((one, hops))
    rows: list[Row] = []
    for route, found in groups.items():
        nets = [net for one, _ in found if (net := records.net(one)) is not None]
        rows.append(
            {
                "route": route,
                "found": len(found),
                "backruns": sum(one["kind"] == "backrun" for one, _ in found),
                "routed": sum(any(hop["router"] for hop in hops) for _, hops in found),
                "net_positive": sum(net > 0 for net in nets),
                "net": sum(nets) / 1e9 if nets else None,
            }
        )
    return sorted(rows, key=lambda row: (-row["found"], row["route"]))[:6]


def attempts(records: Records) -> list[Row]:
    actors = {one["actor"] for one in records.lines["opportunity"] if one["kind"] in _CYCLES}
    votes_out = [row for row in records.lines["transaction"] if not row["is_vote"]]
    rows: list[Row] = []
    for actor, found in _grouped(votes_out, lambda row: row["fee_payer"]).items():
        if actor in actors:
            failed = [row for row in found if not row["success"]]
            landed = len(found) - len(failed)
            fees = sum(row["fee"] for row in found)
            rows.append(
                {
                    "actor": actor,
                    "landed": landed,
                    "failed": len(failed),
                    "failed_per_landed": len(failed) / landed,
                    "fees_of_failed": sum(row["fee"] for row in failed) / 1e9,
                    "per_landed": fees / 1e9 / landed,
                }
            )
    return sorted(rows, key=lambda row: (-row["failed"], row["actor"]))[:5]


def targets(records: Records) -> list[Row]:
    names = ["below 1", "1 to 10", "10 to 100", "100 and more"]
    groups: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for one in records.lines["opportunity"]:
        net = records.net(one)
        if one["kind"] != "backrun" or net is None:
            continue
        [target] = records.others(one)
        # Of the target's swaps the one in a pool of the cycle.
        sizes = [
            swap["amount_in"] if swap["mint_in"] == SOL else swap["amount_out"]
            for swap in records.of["swap"][target["signature"]]
            if swap["pool"] in one["pools"] and SOL in (swap["mint_in"], swap["mint_out"])
        ]
        if sizes:
            size = max(sizes)
            groups[bisect_right([10**9, 10**10, 10**11], size)].append((size, net))
    return [
        {
            "target_sol": names[size],
            "followed": len(found),
            "median_net": median(net for _, net in found) / 1e9,
            "net": sum(net for _, net in found) / 1e9,
            "net_per_sol": sum(net for _, net in found) / sum(size for size, _ in found),
        }
        for size, found in sorted(groups.items())
    ]


def liquidations(records: Records) -> list[Row]:
    """`repaid_raw`, `seized_raw`: without the protocol's fee, which the view has in one of them."""
    rows: list[Row] = []
    for one in records.lines["opportunity"]:
        if one["kind"] == "liquidation":
            [told] = records.of["liquidation"][one["signatures"][0]]
            net = records.net(one)
            rows.append(
                {
                    "slot": one["slot"],
                    "protocol": told["protocol"],
                    "liquidator": told["liquidator"],
                    "repaid_raw": told["repay_amount"],
                    "seized_raw": told["collateral_amount"],
                    "fee": told["fee"] or 0,
                    "swaps_back": len(records.of["swap"][one["signatures"][0]]),
                    "net": None if net is None else net / 1e9,
                }
            )
    return rows


def just_in_time(records: Records) -> list[Row]:
    rows: list[Row] = []
    for one in records.lines["opportunity"]:
        if one["kind"] != "jit_liquidity":
            continue
        changes: dict[str, int] = defaultdict(int)
        for row in records.own(one):
            for change in records.of["liquidity"][row["signature"]]:
                for side in "ab":
                    sign = -1 if change["kind"] == "add" else 1
                    changes[change[f"mint_{side}"]] += sign * change[f"amount_{side}"]
        owner = records.of["liquidity"][records.own(one)[0]["signature"]][0]["owner"]
        rows += [
            {
                "slot": one["slot"],
                "owner": owner,
                "swaps": len(records.others(one)),
                "tip_sol": one["tip_lamports"] / 1e9,
                "mint": mint,
                "change": change,
            }
            for mint, change in sorted(changes.items())
        ]
    return rows[:6]


def tips(records: Records) -> list[Row]:
    mev = {row["signature"] for one in records.lines["opportunity"] for row in records.own(one)}
    rows: list[Row] = []
    transactions = records.lines["transaction"]
    for first, found in sorted(_grouped(transactions, lambda row: row["slot"] // 100).items()):
        tipped = [row for row in found if row["tip_lamports"] and not row["is_vote"]]
        sizes = sorted(row["tip_lamports"] for row in tipped)
        of_mev = [row["tip_lamports"] for row in tipped if row["signature"] in mev]

        def quantile(percent: int, sizes: list[int] = sizes) -> float:
            return sizes[len(sizes) * percent // 100] / 1e9

        rows.append(
            {
                "from_slot": first * 100,
                "slots": len({row["slot"] for row in found}),
                "tips": len(sizes),
                "sum": sum(sizes) / 1e9,
                "p50": quantile(50),
                "p95": quantile(95),
                "p99": quantile(99),
                "highest": sizes[-1] / 1e9,
                "for_mev": len(of_mev),
                "share_for_mev": sum(of_mev) / sum(sizes),
            }
        )
    return rows


def pools(records: Records) -> list[Row]:
    """Of the pools of SOL and something that is no dollar."""
    mine = {
        (row["signature"], swap["ix_path"], swap["pool"], swap["amount_in"])
        for one in records.lines["opportunity"]
        if one["kind"] in (*_CYCLES, "sandwich", "liquidation")
        for row in records.own(one)
        for swap in records.of["swap"][row["signature"]]
        if swap["pool"] in one["pools"] or one["kind"] == "liquidation"
    }
    swaps = [
        swap
        for swap in records.lines["swap"]
        if SOL in (pair := {swap["mint_in"], swap["mint_out"]}) and not pair & DOLLARS
    ]
    rows: list[Row] = []
    for pool, found in _grouped(swaps, lambda swap: swap["pool"]).items():
        volume = of_mev = 0
        prices: dict[int, list[float]] = defaultdict(list)
        for swap in found:
            bought = swap["mint_in"] == SOL
            sol, other = swap["amount_in"], swap["amount_out"]
            if not bought:
                sol, other = other, sol
            volume += sol
            if (swap["signature"], swap["ix_path"], pool, swap["amount_in"]) in mine:
                of_mev += sol
            if sol and other:
                prices[swap["slot"]].append(sol / other)
        if of_mev:
            rows.append(
                {
                    "pool": pool,
                    "venue": found[0]["venue"],
                    "swaps": len(found),
                    "volume": volume / 1e9,
                    "of_mev": of_mev / volume,
                    "widest": max(max(p) / min(p) - 1 for p in prices.values()),
                }
            )
    return sorted(rows, key=lambda row: (-round(row["of_mev"], 4), row["pool"]))[:5]


ANSWERS: dict[int, Callable[[Records], list[Row]]] = dict(
    enumerate(
        (
            searchers,
            bids,
            sandwiches,
            routes,
            attempts,
            targets,
            liquidations,
            just_in_time,
            tips,
            pools,
        ),
        1,
    )
)
