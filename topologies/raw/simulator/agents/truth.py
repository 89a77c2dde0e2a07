"""What agents did, for the truth file: transactions, opportunities, look-alikes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mevstream.topologies.raw.simulator.agents.curves import Fill

T = TypeVar("T")


@dataclass(slots=True)
class Sent:
    """A transaction of an agent. user: its row among the users; wallet: its address; hops: pools
    passed with the side that went in; fills: what each hop did; tip: lamports, of which the fee
    (lamports) has none. signature: known when its block is finished."""

    slot: int
    index: int
    at: int
    user: int
    wallet: str
    fee: int
    tip: int
    hops: tuple[tuple[int, int], ...]
    fills: tuple[Fill, ...]
    signature: str = ""

    @property
    def paid(self) -> int:
        """What the first hop cost."""
        return self.fills[0].paid

    @property
    def received(self) -> int:
        """What the last hop gave."""
        return self.fills[-1].received


@dataclass(frozen=True, slots=True)
class Victim:
    """Who got less than without the front: in base units of `mint`, for what it put in. told:
    whether the transactions of the sandwich say what the pool would have given (told.py)."""

    sent: Sent
    pool: str
    mint: str
    got: int
    expected: int
    told: bool

    @property
    def loss(self) -> int:
        return self.expected - self.got


@dataclass(slots=True)
class Opportunity:
    """MEV as it happened. parts: (role, transaction) in chain order; gain: what the actor has more
    of `mint`, before fees and tips, None where it gave one mint for another; optional: public
    detectors differ on it, so neither label is wrong."""

    kind: str
    variant: str
    parts: Sequence[tuple[str, Sent]]
    pools: Sequence[str]
    mint: str
    gain: int | None
    victims: Sequence[Victim] = ()
    # The mint's base units are lamports.
    native: bool = True
    optional: bool = False
    also: dict[str, object] = field(default_factory=dict[str, object])

    @property
    def end(self) -> tuple[int, int]:
        """Slot and index of the last transaction."""
        return max((sent.slot, sent.index) for _, sent in self.parts)

    def record(self) -> dict[str, Any]:
        """The JSON line."""
        own = [sent for role, sent in self.parts if role not in ("victim", "target", "bystander")]
        fee, tip = sum(sent.fee for sent in own), sum(sent.tip for sent in own)
        payers = [sent.wallet for sent in own if sent.tip]
        return {
            "record": "opportunity",
            "kind": self.kind,
            "variant": self.variant,
            "optional": self.optional,
            **_where(self.parts),
            "wallets": _once(sent.wallet for sent in own),
            "pools": list(self.pools),
            "profit_mint": self.mint,
            "profit": self.gain,
            "fee_lamports": fee,
            "tip_lamports": tip,
            "tip_payer": payers[0] if payers else None,
            "net_lamports": None if self.gain is None or not self.native else self.gain - fee - tip,
            "victims": [
                {
                    "signature": v.sent.signature,
                    "wallet": v.sent.wallet,
                    "pool": v.pool,
                    "mint": v.mint,
                    "got": v.got,
                    "expected": v.expected,
                    "loss": v.loss,
                    "told": v.told,
                }
                for v in self.victims
            ],
            "victim_loss": sum(v.loss for v in self.victims),
            **self.also,
        }


@dataclass(slots=True)
class LookAlike:
    """What has the shape of MEV and is none: nothing may be said of its transactions."""

    kind: str
    sent: Sequence[Sent]
    pools: Sequence[str]

    @property
    def end(self) -> tuple[int, int]:
        """Slot and index of the last transaction."""
        return max((sent.slot, sent.index) for sent in self.sent)

    def record(self) -> dict[str, Any]:
        """The JSON line."""
        parts = [("trader", sent) for sent in self.sent]
        return {
            "record": "look_alike",
            "kind": self.kind,
            **_where(parts),
            "wallets": _once(sent.wallet for sent in self.sent),
            "pools": list(self.pools),
        }


def _where(parts: Sequence[tuple[str, Sent]]) -> dict[str, object]:
    return {
        "slots": _once(sent.slot for _, sent in parts),
        "signatures": [sent.signature for _, sent in parts],
        "roles": [role for role, _ in parts],
        "transactions": [[sent.slot, sent.index] for _, sent in parts],
    }


def _once(values: Iterable[T]) -> list[T]:
    return list(dict.fromkeys(values))
