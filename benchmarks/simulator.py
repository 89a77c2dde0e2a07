"""How fast the simulator makes load: whole slots as bytes, their truth, and as a stream."""

from collections.abc import Callable

from benchmarks.harness import Report, interleaved
from mevstream.topologies.raw.simulator import Block, MevConfig, Simulator, SimulatorConfig
from mevstream.topologies.raw.simulator.output import yellowstone_update

SLOTS = 40
# Slots after which nearly all templates are built.
WARM_UP = 400


def run() -> Report:
    """Each row is SLOTS slots of the default mix, in steady state."""
    simulator, with_agents = Simulator(), Simulator(SimulatorConfig(mev=MevConfig()))
    for one in (simulator, with_agents):
        for _ in one.blocks(WARM_UP):
            pass
    done = {"transactions": 0, "bytes": 0}

    def each(
        use: Callable[[Block], object], source: Simulator = simulator
    ) -> Callable[[], None]:  # fmt: skip
        def slots() -> None:
            for block in source.blocks(SLOTS):
                use(block)
                done["transactions"] += block.counts["transactions"]
                done["bytes"] += len(block.data)

        return slots

    rows = interleaved(
        {
            "blocks": each(lambda block: block.data),
            "blocks and truth": each(lambda block: block.truth),
            "blocks as Yellowstone updates": each(yellowstone_update),
            "blocks with agents": each(lambda block: block.opportunities, with_agents),
        },
        rounds=15,
    )
    calls = 4 * (15 + 3)
    per_row = done["transactions"] / calls
    facts: dict[str, str | int | float] = {
        "transactions a row": round(per_row),
        "bytes a transaction": round(done["bytes"] / done["transactions"]),
        **{f"{row.name}, transactions/s": round(per_row / row.median) for row in rows},
    }
    return Report("Simulator", rows, "blocks", facts)
