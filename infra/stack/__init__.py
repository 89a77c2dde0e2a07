"""A local Kafka and the stores on loopback: what `mevstream stack` starts and supervises."""
