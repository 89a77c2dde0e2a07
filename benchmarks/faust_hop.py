"""The rival of the chain's worker: a Faust application that passes records on and does nothing.

`python -m benchmarks.faust_hop SERVERS GROUP INPUT OUTPUT PARTITIONS`. What it saves itself is
everything that a link does: it does not even look at the value. What it has in common with the
worker are the settings that make Faust fast, one idempotent producer, and that an input record is
acknowledged only when its output has its delivery report.
"""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator
from typing import Any

import faust
import uvloop
from confluent_kafka import KafkaError, Message, Producer

_IN_FLIGHT = 32


def application(
    servers: str, group: str, source: str, target: str, partitions: int, folder: str
) -> Any:
    producer = Producer(
        {
            "bootstrap.servers": servers,
            "acks": "all",
            "enable.idempotence": True,
            "linger.ms": 0,
            "message.max.bytes": 4 << 20,
        }
    )
    app: Any = faust.App(
        group,
        broker=f"kafka://{servers}",
        datadir=folder,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        consumer_auto_offset_reset="earliest",
        consumer_max_fetch_size=8 << 20,
        broker_max_poll_records=500,
        broker_session_timeout=6.0,
        broker_heartbeat_interval=0.5,
        broker_commit_interval=0.5,
        stream_wait_empty=False,
        stream_buffer_maxsize=256,
        value_serializer="raw",
        key_serializer="raw",
    )
    topic = app.topic(source, value_type=bytes, value_serializer="raw", partitions=partitions)

    @app.agent(topic)
    async def hop(stream: Any) -> None:
        room = asyncio.Semaphore(_IN_FLIGHT)
        events: AsyncIterator[Any] = stream.noack().events()
        async for event in events:
            await room.acquire()

            def delivered(error: KafkaError | None, _: Message, event: Any = event) -> None:
                room.release()
                if error is not None:
                    raise SystemExit(f"not delivered: {error.str()}")
                event.ack()

            producer.produce(
                target,
                event.value,
                partition=event.message.partition,
                headers=list(event.message.headers or ()),
                on_delivery=delivered,
            )
            producer.poll(0)

    @app.task
    async def serve_delivery_reports() -> None:
        while True:
            producer.poll(0)
            await asyncio.sleep(0.001)

    assert hop is not None
    assert serve_delivery_reports is not None
    return app


if __name__ == "__main__":
    uvloop.install()
    servers, group, source, target, partitions = sys.argv[1:]
    sys.argv = ["faust", "worker", "--loglevel", "warn", "--without-web"]
    with tempfile.TemporaryDirectory() as folder:
        application(servers, group, source, target, int(partitions), folder).main()
