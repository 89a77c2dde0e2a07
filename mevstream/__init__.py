"""mevstream: stream processing for Solana MEV."""

__version__ = "0.1.0"
