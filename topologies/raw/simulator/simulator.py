"""The simulated chain: slot after slot as ConfirmedBlock bytes, with its truth beside it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import NDArray
from solders.hash import Hash
from solders.signature import Signature

from mevstream.cext.synth import Synth
from mevstream.cext.synth_agents import Agents
from mevstream.cext.synth_ledger import Ledger
from mevstream.cext.synth_pools import Pools
from mevstream.cext.synth_templates import Templates
from mevstream.topologies.raw.simulator.agents.arbitrage import as_array, find_cycles
from mevstream.topologies.raw.simulator.agents.crew import Crew
from mevstream.topologies.raw.simulator.agents.desk import Desk
from mevstream.topologies.raw.simulator.blob import Blob
from mevstream.topologies.raw.simulator.catalogue import SPARE_TEMPLATES, Catalogue
from mevstream.topologies.raw.simulator.config import SimulatorConfig
from mevstream.topologies.raw.simulator.template import LegTruth
from mevstream.topologies.raw.simulator.wire import sign_block
from mevstream.topologies.raw.simulator.world import N_WHALES, World

QUANTILES = 1024
LEADER_SLOTS = 4
BASE_FEE = 5000
_REWARD_TYPE_FEE = 1


@dataclass(slots=True)
class Block:
    """One slot. data: solana.storage.ConfirmedBlock bytes; ends: int64, where each transaction
    (field 4 with its tag) ends in data, the first beginning at `start`; votes: uint8, 1 for a
    vote; counts: transactions, votes, failed and succeeded (without votes), tips, tip_lamports,
    fee_lamports, signatures; opportunities: what agents did that is complete with this block
    (docs/simulator.md), empty without them."""

    slot: int
    parent_slot: int
    block_time: int
    block_height: int
    blockhash: str
    parent_blockhash: str
    data: bytes
    start: int
    ends: NDArray[np.int64]
    votes: NDArray[np.uint8]
    counts: Mapping[str, int]
    opportunities: list[dict[str, Any]]
    _records: NDArray[Any]
    _truths: Mapping[int, list[LegTruth]]
    _names: World

    @property
    def truth(self) -> list[dict[str, object]]:
        """The swap legs of successful transactions in chain order, as `mevstream inspect`
        prints them."""
        out: list[dict[str, object]] = []
        rows: list[tuple[int, int, int, int, int, int, int]] = self._records.tolist()
        for tx_index, template, leg, trader, amount_in, amount_out, at in rows:
            known = self._truths[template][leg]
            out.append(
                {
                    "record": "swap",
                    "slot": self.slot,
                    "tx_index": tx_index,
                    "signature": str(Signature.from_bytes(self.data[at : at + 64])),
                    "ix_path": known.ix_path,
                    "program": known.program,
                    "venue": known.venue,
                    "router": known.router,
                    "pool": known.pool,
                    "trader": self._names.name(trader),
                    "mint_in": known.mint_in,
                    "mint_out": known.mint_out,
                    "amount_in": amount_in,
                    "amount_out": amount_out,
                }
            )
        return out

    @property
    def n_swaps(self) -> int:
        """How many records `truth` has."""
        return len(self._records)

    def transactions(self) -> Iterator[memoryview]:
        """The ConfirmedTransaction messages, without copies."""
        view = memoryview(self.data)
        begin = self.start
        for end in self.ends.tolist():
            # Tag 4, then the length as a varint.
            at = begin + 1
            while view[at] & 0x80:
                at += 1
            yield view[at + 1 : end]
            begin = end


def _log_normal(median: float, sigma: float) -> list[int]:
    """QUANTILES integer quantiles of a log-normal, the middles of equal shares."""
    normal = NormalDist()
    return [
        max(1, round(median * math.exp(sigma * normal.inv_cdf((i + 0.5) / QUANTILES))))
        for i in range(QUANTILES)
    ]


class Simulator:
    """A chain that goes on for as long as blocks are asked for. Equal configurations give equal
    bytes, however the blocks are asked for."""

    def __init__(self, config: SimulatorConfig | None = None) -> None:
        self.config = config = config or SimulatorConfig()
        self.world = world = World(config)
        self._catalogue = Catalogue(world)
        self._ledger = Ledger(world.arrays(), world.texts)
        self._crew: Crew | None = None
        self._engine = engine = self._open_engine()
        self._set_statistics()
        self._slot = config.first_slot
        self._parent_slot = config.first_slot - 1
        self._height = config.first_slot - 20_000_000 if config.first_slot > 20_000_000 else 1
        self._blockhash = engine.random_bytes(32)
        self._keypairs = {bytes(pair.pubkey()): pair for pair in world.keypairs}

    def _open_engine(self) -> Synth:
        config, world, catalogue = self.config, self.world, self._catalogue
        spare = SPARE_TEMPLATES if config.mev else 0
        arguments = (
            self._ledger,
            Pools(world.pools, self._ledger),
            Templates(catalogue.build, catalogue.n_templates + spare),
            world.users,
            world.validators,
            config.seed,
        )
        named: dict[str, Any] = {
            "user_lists": world.user_lists,
            "choices": catalogue.choices,
            "menus": catalogue.menus,
            "vote_templates": catalogue.vote_templates,
        }
        if config.mev is None:
            return Synth(*arguments, **named)
        cycles = find_cycles(world, config.seed)
        engine = Agents(*arguments, cycles=as_array(cycles), **named)
        self._crew = Crew(Desk(world, catalogue, engine, config.mev), cycles)
        return engine

    def _set_statistics(self) -> None:
        config = self.config
        swaps = 1 - (
            config.transfer_share
            + config.token_transfer_share
            + config.route_share
            + config.arbitrage_share
        )
        shares = (
            config.transfer_share,
            config.token_transfer_share,
            swaps,
            config.route_share,
            config.arbitrage_share,
        )
        # What cycles and token transfers do not fail, swaps and routes have to.
        token_failures = 0.02
        rest = (
            config.failed_share
            - config.arbitrage_share * config.arbitrage_failed_share
            - config.token_transfer_share * token_failures
        )
        swapping = swaps + config.route_share
        failing = min(max(rest / swapping, 0.0), 1.0) if swapping else 0.0
        p95 = NormalDist().inv_cdf(0.95)
        tip_sigma = math.log(config.tip_p95_lamports / config.tip_median_lamports) / p95
        self._engine.set_statistics(
            shares,
            (0.0, token_failures, failing, failing, config.arbitrage_failed_share),
            config.reversion,
            _log_normal(config.trade_median_lamports, config.trade_sigma),
            _log_normal(config.tip_median_lamports, tip_sigma),
            _log_normal(config.priority_median_microlamports, config.priority_sigma),
            N_WHALES,
        )
        self._poisson = [NormalDist().inv_cdf((i + 0.5) / QUANTILES) for i in range(QUANTILES)]

    def _around(self, mean: float) -> int:
        """A count of about Poisson's spread."""
        spread = self._poisson[self._engine.random_below(QUANTILES)]
        return max(0, round(mean + math.sqrt(mean) * spread))

    def _rare(self, mean: float) -> int:
        """A count whose mean is far below one, or not."""
        whole, part = divmod(mean, 1.0)
        return int(whole) + (self._engine.random_below(1 << 20) < part * (1 << 20))

    def blocks(self, n: int | None = None) -> Iterator[Block]:
        """The next n blocks, or blocks without end."""
        made = 0
        while n is None or made < n:
            yield self._block()
            made += 1

    def _block(self) -> Block:
        config, engine, world = self.config, self._engine, self.world
        slot, parent = self._slot, self._parent_slot
        since = (slot - config.first_slot) * config.slot_ms // 1000
        block_time = config.start_time + since
        total = max(1, self._around(config.transactions_per_slot))
        votes = min(total, self._around(total * config.vote_share))
        crew = self._crew
        sandwiches = 0 if crew else self._rare(config.sandwiches_per_slot)
        for account in (world.blockhash, world.bank_hash, world.block_id):
            # Transactions name the parent's blockhash.
            fresh = account != world.blockhash
            self._ledger.set_key(account, engine.random_bytes(32) if fresh else self._blockhash)
        blockhash = engine.random_bytes(32)
        names = str(Hash.from_bytes(self._blockhash)), str(Hash.from_bytes(blockhash))
        header = Blob().field(1, names[0].encode()).field(2, names[1].encode()).number(3, parent)
        start = len(header.data)
        data, ends, is_vote, records, counts = engine.block(
            bytes(header.data),
            total,
            votes,
            sandwiches,
            block_time,
            slot - 32,
            slot & 0xFFFFFFFF,
            crew.agenda(slot, total) if crew else (),
        )
        footer = self._footer(counts, block_time)
        block = Block(
            slot,
            parent,
            block_time,
            self._height,
            names[1],
            names[0],
            data + footer,
            start,
            ends,
            is_vote,
            counts,
            [],
            records,
            self._catalogue.truths,
            world,
        )
        if config.sign:
            block.data = sign_block(
                block.data, block.transactions(), ends.tolist(), start, self._keypairs
            )
        if crew:
            block.opportunities = crew.finish(block.data)
        self._blockhash = blockhash
        self._parent_slot, self._slot = slot, slot + 1
        self._height += 1
        return block

    def _footer(self, counts: Mapping[str, int], block_time: int) -> bytes:
        """Rewards, block time, height. The leader gets half of the base fees (the other half is
        burned) and all priority fees."""
        base = BASE_FEE * counts["signatures"]
        reward = counts["fee_lamports"] - base + base // 2
        turn = (self._slot // LEADER_SLOTS) % len(self.world.validators)
        leader = int(self.world.validators[turn, 0])
        balance = self._ledger.credit(leader, reward)
        entry = (
            Blob()
            .field(1, self.world.name(leader).encode())
            .number(2, reward)
            .number(3, balance)
            .number(4, _REWARD_TYPE_FEE)
        )
        footer = Blob().field(5, entry).field(6, Blob().number(1, block_time))
        return bytes(footer.field(7, Blob().number(1, self._height)).data)

    def supply(self) -> int:
        """Lamports of all accounts."""
        return self._ledger.supply()

    def balance(self, account: int) -> tuple[int, int, int]:
        """(lamports, token amount, withheld transfer fees) of an account of the world."""
        return self._ledger.balance(account)
