"""MEV that could be taken: what a transaction leaves, and what a swap stood to lose."""
