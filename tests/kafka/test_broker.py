"""Records on a real broker: whole after the way through it, and kept when it is killed."""

import threading
import time
from typing import Any, cast

import numpy as np
import pytest
from confluent_kafka import KafkaError, Message

from kafka.broker import Kafka
from mevstream.codecs.headers import Header, RecordHeaders, pack_record, unpack_record
from mevstream.codecs.parsed import ParsedView, encode_parsed
from mevstream.codecs.raw import RawView, encode_raw


def send(kafka: Kafka, topic: str, message: bytes, headers: RecordHeaders) -> None:
    value, packed = pack_record(message, headers)
    producer = kafka.producer()
    producer.produce(topic, value, headers=cast(Any, packed))
    assert producer.flush(30) == 0


def unpack(record: Message, schema: str) -> tuple[bytes, RecordHeaders]:
    # The client always gives a list of pairs; its stubs tell more.
    headers = cast(list[Header], record.headers())
    return unpack_record(record.value() or b"", headers, schema=schema)


@pytest.mark.parametrize("protocol", ["classic", "consumer"])
def test_a_raw_batch_comes_out_as_it_went_in(kafka: Kafka, protocol: str) -> None:
    rng = np.random.default_rng(1)
    transactions = [rng.bytes(int(size)) for size in rng.integers(200, 1232, 256)]
    batch = encode_raw({"slot": 7, "seq": 3, "last": True, "source": "test"}, transactions)
    headers = RecordHeaders(
        schema="mevstream.v1.RawBatch",
        slot=7,
        seq=3,
        last=True,
        first_seen_ns=1_700_000_000_123_456_789,
        traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    )
    topic = kafka.topic()
    send(kafka, topic, batch, headers)

    (record,) = kafka.read(topic, 1, protocol=protocol)
    message, read = unpack(record, "mevstream.v1.RawBatch")
    assert message == batch
    assert read == headers
    assert RawView(message).transactions == transactions


def test_a_parsed_batch_comes_out_as_it_went_in(kafka: Kafka) -> None:
    n = 256
    rng = np.random.default_rng(2)
    signatures = np.frombuffer(rng.bytes(64 * n), np.uint8).reshape(n, 64)
    fees = rng.integers(0, 2**63, n, np.uint64)
    batch = encode_parsed(
        {"slot": 8, "seq": 0, "source": "test"},
        {"tx_index": np.arange(n, dtype=np.uint32), "tx_signature": signatures, "tx_fee": fees},
    )
    headers = RecordHeaders(schema="mevstream.v1.ParsedBatch", slot=8, seq=0, last=False)
    topic = kafka.topic()
    send(kafka, topic, batch, headers)

    (record,) = kafka.read(topic, 1)
    message, read = unpack(record, "mevstream.v1.ParsedBatch")
    assert read == headers
    view = ParsedView(message)
    assert (view.tx_signature == signatures).all()
    assert (view.tx_fee == fees).all()


def test_acked_records_survive_a_killed_broker(kafka: Kafka) -> None:
    """Killed while records flow: every acked one is there once, in order, and the producer goes
    on by itself."""
    topic = kafka.topic()
    acked: list[int] = []

    def delivered(error: KafkaError | None, message: Message) -> None:
        assert error is None, error
        acked.append(int(message.value() or b""))

    producer = kafka.producer(**{"delivery.timeout.ms": 60_000, "linger.ms": 1})
    killer = threading.Thread(target=kafka.restart)
    deadline = time.monotonic() + 60
    sent = 0
    while sent < 1000 or killer.is_alive() or not killer.ident:
        producer.produce(topic, b"%d" % sent, on_delivery=delivered)
        sent += 1
        producer.poll(0.001)
        if not killer.ident and len(acked) >= 500:
            killer.start()
        assert time.monotonic() < deadline
    killer.join()
    assert producer.flush(60) == 0

    values = [int(record.value() or b"") for record in kafka.read(topic, sent)]
    assert values == list(range(sent))
    assert sorted(acked) == values
