"""The chain on Kafka: a consumer group a link (or a run of links), agents made from the chain."""
