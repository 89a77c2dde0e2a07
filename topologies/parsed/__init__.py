"""mev.parsed: raw batches decoded into columns."""
