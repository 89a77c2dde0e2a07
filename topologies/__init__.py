"""The chain: one folder a link, named after the topic it produces."""
