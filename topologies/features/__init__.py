"""mev.parsed → mev.features: the state of pools after each swap, and candles of closed slots."""
