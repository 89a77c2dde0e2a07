"""Consumers of the chain that write to stores."""
