"""What is told when Kafka does not do what it was asked, or does not say so."""

import contextlib
from collections.abc import Generator
from typing import Any

from confluent_kafka import KafkaError, KafkaException, Message

from mevstream.errors import MevstreamError

# All of them: nobody was there, or nobody spoke Kafka's protocol. Its own words name no remedy.
_NO_ANSWER = {
    KafkaError._TRANSPORT,  # pyright: ignore[reportPrivateUsage]
    KafkaError._ALL_BROKERS_DOWN,  # pyright: ignore[reportPrivateUsage]
    KafkaError._TIMED_OUT,  # pyright: ignore[reportPrivateUsage]
    KafkaError._RESOLVE,  # pyright: ignore[reportPrivateUsage]
}


def kafka_error(servers: str, error: Any) -> MevstreamError:
    """One line about a KafkaError that the brokers `servers` were the cause of."""
    if error.code() in _NO_ANSWER:
        return MevstreamError(
            f"Kafka at {servers} does not answer (`mevstream stack up` starts one here, "
            "MEVSTREAM_KAFKA names another)"
        )
    return MevstreamError(f"Kafka at {servers}: {error.str()}")


@contextlib.contextmanager
def kafka_errors(servers: str) -> Generator[None]:
    """Raises MevstreamError for what Kafka's client raises within."""
    try:
        yield
    except KafkaException as error:
        raise kafka_error(servers, error.args[0]) from None
    except TimeoutError:
        raise MevstreamError(f"Kafka at {servers} does not answer") from None


def has_place(delivered: Message) -> bool:
    """Whether a delivery report without an error says where the record is. Of one that does not
    the record may be nowhere, and must be sent again.

    An idempotent client gives such a report for the records before a batch that was taken: with
    sequence numbers, that one would have been refused without them. But of a producer that it does
    not know yet a broker takes any number first. So if it refuses a partition's first batch (it is
    not the leader yet, a moment after the topic was made) and takes the second, the records of the
    first are reported as delivered (librdkafka 2.16, Kafka 4.4; within transactions, too).
    """
    offset = delivered.offset()
    return offset is not None and offset >= 0
