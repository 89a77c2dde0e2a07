"""A real Kafka for the tests: one broker a session, on free ports of the loopback address.

A broker that cannot be started is a failure of the tests that want it, never a reason to skip.
"""

from collections.abc import Iterator

import pytest

from kafka.broker import Kafka


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A running broker, warm: the first idempotent record of a producer costs it a second and the
    first consumer group three, which no test has to pay and no timeout to allow for."""
    broker = Kafka(tmp_path_factory.mktemp("kafka"))
    try:
        topic = broker.topic()
        producer = broker.producer()
        producer.produce(topic, b"warm")
        assert producer.flush(30) == 0
        for protocol in ("consumer", "classic"):
            broker.read(topic, 1, protocol=protocol)
        yield broker
    finally:
        broker.process.stop()
