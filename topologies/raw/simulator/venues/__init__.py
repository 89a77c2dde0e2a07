"""One swap instruction per venue: its accounts, its data, what it calls, logs and emits.

`swap(tx, leg)` runs the instruction in the open frame (or at top level); `accounts(tx, leg)` alone
is what a router lists for the hop. A venue is one module with an `Instructions` and a row below.
"""

from mevstream.topologies.raw.simulator import programs
from mevstream.topologies.raw.simulator.builder import TemplateBuilder
from mevstream.topologies.raw.simulator.programs import Venue
from mevstream.topologies.raw.simulator.template import Meta
from mevstream.topologies.raw.simulator.venues import dlmm, pump, raydium, whirlpool
from mevstream.topologies.raw.simulator.venues.base import Leg, Swap

INSTRUCTIONS = {
    Venue.RAYDIUM_V4: raydium.AMM_V4,
    Venue.RAYDIUM_CPMM: raydium.CPMM,
    Venue.RAYDIUM_CLMM: raydium.CLMM,
    Venue.WHIRLPOOL: whirlpool.WHIRLPOOL,
    Venue.DLMM: dlmm.DLMM,
    Venue.PUMP_SWAP: pump.PUMP_SWAP,
    Venue.PUMP_FUN: pump.PUMP_FUN,
}


def accounts(tx: TemplateBuilder, leg: Leg) -> list[Meta]:
    """The account list of the leg's instruction, for a router's own list."""
    return INSTRUCTIONS[tx.world.pools[leg.pool].venue].accounts(Swap(tx, leg, len(tx.legs)))


def swap(tx: TemplateBuilder, leg: Leg) -> None:
    """Runs the leg's instruction."""
    part = Swap(tx, leg, len(tx.legs))
    venue = part.pool.venue
    instruction = INSTRUCTIONS[venue]
    program = part.fixed[programs.VENUE_PROGRAMS[venue]]
    with tx.call(program, instruction.accounts(part), instruction.data(part), units=3000):
        part.declare()
        instruction.run(part)
