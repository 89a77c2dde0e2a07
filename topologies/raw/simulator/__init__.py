"""A seeded synthetic chain in the real wire format, with its true swaps beside it."""

from mevstream.topologies.raw.simulator.agents.rates import MevConfig
from mevstream.topologies.raw.simulator.config import SimulatorConfig
from mevstream.topologies.raw.simulator.simulator import Block, Simulator

__all__ = ["Block", "MevConfig", "Simulator", "SimulatorConfig"]
