"""Runs simulator → decoder → observed detection and counts what was found, missed and made up.

A truth and a detection are the same if they are of one kind and consist of the same transactions
of the actor. Arbitrage counts every cycle, a backrun as well; backruns also need their target.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from solders.pubkey import Pubkey
from solders.signature import Signature

from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.opportunities import Exactness, Kind, OpportunityView, Origin, Role
from mevstream.topologies.opportunities.stage import open_stage
from mevstream.topologies.raw.batches import BatchWriter
from mevstream.topologies.raw.simulator import Block, output

# Kinds of the truth by the names of the detection, and the kinds that the table counts.
KIND_NAMES = {"jit_liquidity": "jit"}
KINDS = ("arbitrage", "backrun", "sandwich", "jit", "liquidation")
CYCLES = ("arbitrage", "backrun")
OTHERS = ("victim", "target", "bystander", "transfer")
CLOSE = 1e-3
CONSTANT_PRODUCT = ("raydium_amm_v4", "raydium_cpmm", "pump_swap", "pump_fun")


@dataclass(frozen=True, slots=True)
class Detected:
    """What detection told. own: signatures of the actor's transactions; others: of victims and
    targets; venues: of all legs; victims: by signature what they would have got, and how that was
    found."""

    kind: str
    own: frozenset[str]
    others: frozenset[str]
    mint: str
    profit: int
    loss: int
    venues: frozenset[str]
    victims: dict[str, tuple[int, Exactness]] = field(compare=False)


def parsed_batches(blocks: Iterable[Block]) -> Iterator[bytes]:
    """ParsedBatch messages of the blocks, as the chain has them."""
    decoder, writer = BatchDecoder(), BatchWriter("solana", 1 << 20, lambda: 0)
    for block in blocks:
        for raw in output.raw_batches(block, writer):
            yield decoder.decode(raw)


def detect(blocks: Iterable[Block]) -> Iterator[Detected]:
    """What the stage tells of the blocks."""
    stage = open_stage()
    others = (Role.victim, Role.target)
    for parsed in parsed_batches(blocks):
        for record in stage(parsed):
            assert record.topic == "mev.opportunities", record.value
            view = OpportunityView(record.value)
            signatures = [str(Signature.from_bytes(s.tobytes())) for s in view.tx_signature]
            for i in np.flatnonzero(view.opp_origin == Origin.observed).tolist():
                legs = [k for k in range(view.n_legs) if view.leg_opp[k] == i]
                of = {k: signatures[int(view.leg_tx[k])] for k in legs}
                apart = {k for k in legs if view.leg_role[k] in others}
                name = Kind(int(view.opp_kind[i])).name
                mint = view.keys[int(view.opp_profit_mint[i])].tobytes()
                victims = {
                    of[int(view.victim_leg[v])]: (
                        int(view.victim_expected[v]),
                        Exactness(int(view.victim_exactness[v])),
                    )
                    for v in range(view.n_victims)
                    if view.victim_opp[v] == i
                }
                yield Detected(
                    KIND_NAMES.get(name, name),
                    frozenset(of[k] for k in legs if k not in apart),
                    frozenset(of[k] for k in apart),
                    str(Pubkey.from_bytes(mint)),
                    int(view.opp_profit[i]),
                    int(view.opp_victim_loss[i]),
                    frozenset(view.names[int(view.leg_venue[k])] for k in legs),
                    victims,
                )


@dataclass(slots=True)
class Score:
    """Of one kind."""

    true: int = 0
    found: int = 0
    detected: int = 0
    right: int = 0
    # What is wrong, for the message.
    missed: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    invented: list[Detected] = field(default_factory=list[Detected])
    # Relative errors of profits and losses of what was found: on constant-product pools, elsewhere,
    # and where the transactions leave open what the pool would have given; then of the losses of
    # single victims by how detection says that it found them.
    amounts: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))

    @property
    def precision(self) -> float:
        return self.right / self.detected if self.detected else 1.0

    @property
    def recall(self) -> float:
        return self.found / self.true if self.true else 1.0


@dataclass(slots=True)
class Report:
    """Scores by kind, missed variants, look-alikes by kind: how many there are, how many of them
    were labelled."""

    scores: dict[str, Score]
    variants: dict[str, Score]
    look_alikes: Counter[str]
    labelled: Counter[str]

    def text(self) -> str:
        lines = [f"{'kind':28}{'true':>7}{'found':>7}{'told':>7}{'precision':>11}{'recall':>9}"]
        for name, s in [*self.scores.items(), *sorted(self.variants.items())]:
            told = f"{s.detected:7}{s.precision:11.3f}" if name in self.scores else " " * 18
            lines.append(f"{name:28}{s.true:7}{s.found:7}{told}{s.recall:9.3f}")
            for what, errors in sorted(s.amounts.items()):
                exact, close = sum(e == 0 for e in errors), sum(e <= CLOSE for e in errors)
                lines.append(
                    f"  {what}: {len(errors)}, {exact} exact, {close} within 0.1 %, "
                    f"worst {max(errors):.2e}"
                )
        lines.append(f"{'look-alike':28}{'true':>7}{'labelled':>16}")
        for name, n in sorted(self.look_alikes.items()):
            lines.append(f"{name:28}{n:7}{self.labelled[name]:16}")
        return "\n".join(lines)


def own_signatures(record: dict[str, Any]) -> frozenset[str]:
    """The actor's transactions with legs."""
    pairs = zip(record["roles"], record["signatures"], strict=True)
    return frozenset(s for role, s in pairs if role not in OTHERS)


def judge(records: Iterable[dict[str, Any]], detected: Iterable[Detected]) -> Report:
    """Compares truth records with detections."""
    records = list(records)
    truths = [r for r in records if r["record"] == "opportunity"]
    alikes = [r for r in records if r["record"] == "look_alike"]
    report = Report({k: Score() for k in KINDS}, defaultdict(Score), Counter(), Counter())
    told = list(detected)
    by_own: dict[tuple[str, frozenset[str]], list[Detected]] = defaultdict(list)
    for one in told:
        for kind in _counted_as(one.kind):
            by_own[kind, one.own].append(one)
    known: dict[str, set[frozenset[str]]] = {kind: set() for kind in KINDS}
    for record in truths:
        own = own_signatures(record)
        for kind in _counted_as(record["kind"]):
            known[kind].add(own)
            if record["optional"]:
                continue
            found = by_own.get((kind, own), [])
            if kind == "backrun":
                targets = _of_role(record, "target")
                found = [one for one in found if targets <= one.others]
            for score in (report.scores[kind], report.variants[f"  {kind} {record['variant']}"]):
                score.true += 1
                if found:
                    score.found += 1
                else:
                    score.missed.append(record)
            if found and kind == record["kind"]:
                _compare(report.scores[kind], record, found[0])
    for one in told:
        for kind in _counted_as(one.kind):
            score = report.scores[kind]
            score.detected += 1
            if one.own in known[kind]:
                score.right += 1
            else:
                score.invented.append(one)
    traps = {s: r["kind"] for r in alikes for s in r["signatures"]}
    report.look_alikes.update(r["kind"] for r in alikes)
    for one in told:
        for name in {traps[s] for s in one.own if s in traps}:
            report.labelled[name] += 1
    return report


def _counted_as(kind: str) -> tuple[str, ...]:
    return CYCLES if kind == "backrun" else (kind,)


def _of_role(record: dict[str, Any], role: str) -> frozenset[str]:
    pairs = zip(record["roles"], record["signatures"], strict=True)
    return frozenset(s for r, s in pairs if r == role)


def _compare(score: Score, record: dict[str, Any], one: Detected) -> None:
    where = "constant product" if one.venues <= set(CONSTANT_PRODUCT) else "elsewhere"
    if record["profit"] is not None:
        same = one.mint == record["profit_mint"]
        error = abs(one.profit - record["profit"]) / max(abs(record["profit"]), 1)
        score.amounts[f"profit, {where}"].append(error if same else 1.0)
    if record["victims"]:
        where = where if all(v["told"] for v in record["victims"]) else "not told"
        error = abs(one.loss - record["victim_loss"]) / max(record["victim_loss"], 1)
        score.amounts[f"victims' loss, {where}"].append(error)
    for victim in record["victims"]:
        if found := one.victims.get(victim["signature"]):
            error = abs(found[0] - victim["expected"]) / max(victim["loss"], 1)
            score.amounts[f"loss called {found[1].name}"].append(error)
