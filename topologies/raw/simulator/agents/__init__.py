"""Agents of the simulated chain: they make MEV, and what only looks like it, and tell the truth."""
