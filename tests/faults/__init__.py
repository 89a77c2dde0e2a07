"""The chain under faults, and the oracle that counts what became of every transaction."""
