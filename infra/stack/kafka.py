"""Apache Kafka as one node in KRaft combined mode (broker and controller) on loopback."""

import base64
import subprocess
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from mevstream.errors import MevstreamError
from mevstream.infra.stack.service import HOST, Service

MAX_MESSAGE_BYTES = 4 << 20

# Short timeouts, because this node has no network to be patient with: without
# broker.session.timeout.ms a restart after kill -9 takes 12 s and more instead of 4.
_PROPERTIES = """\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@{host}:{controller_port}
listeners={listeners},CONTROLLER://{host}:{controller_port}
advertised.listeners={advertised}
listener.security.protocol.map={protocols},CONTROLLER:PLAINTEXT
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
log.dirs={data}
auto.create.topics.enable=false
message.max.bytes={max_message_bytes}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
transaction.abort.timed.out.transaction.cleanup.interval.ms=1000
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
share.coordinator.state.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
group.consumer.min.session.timeout.ms=1000
group.consumer.session.timeout.ms=6000
group.consumer.min.heartbeat.interval.ms=100
group.consumer.heartbeat.interval.ms=500
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=300
log.segment.bytes=268435456
log.cleaner.dedupe.buffer.size=8388608
"""


class Listener(NamedTuple):
    """A port of the broker, and the one that it tells the clients of this port to come to: where
    something stands between them, that thing's. `name` is of capital letters."""

    name: str
    port: int
    advertised_port: int


def kafka_service(
    *,
    jars: Path,
    java: Path,
    folder: Path,
    log: Path,
    port: int,
    controller_port: int,
    heap_mb: int,
    listeners: Sequence[Listener] = (),
) -> Service:
    """A broker that keeps its data in `folder`, which is formatted at the first start.

    It listens on `port`, and on those of `listeners` besides.
    """
    every = (Listener("PLAINTEXT", port, port), *listeners)
    properties = folder / "server.properties"
    data = folder / "data"
    jvm: tuple[str | Path, ...] = (
        java,
        f"-Xms{heap_mb}m",
        f"-Xmx{heap_mb}m",
        "-Xss512k",
        "-XX:+UseSerialGC",
        "-XX:+ExitOnOutOfMemoryError",
        "-Djava.awt.headless=true",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
        "-Dorg.slf4j.simpleLogger.dateTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSXXX",
        "-cp",
        f"{jars}/*",
    )

    def prepare() -> None:
        properties.write_text(
            _PROPERTIES.format(
                host=HOST,
                listeners=",".join(f"{one.name}://{HOST}:{one.port}" for one in every),
                advertised=",".join(f"{one.name}://{HOST}:{one.advertised_port}" for one in every),
                protocols=",".join(f"{one.name}:PLAINTEXT" for one in every),
                controller_port=controller_port,
                data=data,
                max_message_bytes=MAX_MESSAGE_BYTES,
            )
        )
        if not (data / "meta.properties").exists():
            _format([*jvm, "kafka.tools.StorageTool", "format"], properties)

    return Service(
        name="kafka",
        command=(*jvm, "kafka.Kafka", properties),
        folder=folder,
        log=log,
        ports=(port, controller_port, *(one.port for one in listeners)),
        prepare=prepare,
        probe=lambda: _probe(port),
        stop_seconds=30,
    )


def _format(tool: list[str | Path], properties: Path) -> None:
    # The first character fixed: a cluster id that begins with a hyphen would be read as an option.
    cluster = "M" + base64.urlsafe_b64encode(uuid.uuid4().bytes).decode()[1:22]
    arguments = ["--ignore-formatted", "--cluster-id", cluster, "--config", properties]
    done = subprocess.run([*tool, *arguments], capture_output=True, text=True)
    if done.returncode:
        told = (done.stderr or done.stdout).strip().splitlines() or ["no message"]
        raise MevstreamError(f"kafka: cannot format its data folder: {told[-1]}")


def _probe(port: int) -> None:
    from confluent_kafka.admin import AdminClient

    # Its own complaints about a broker that is not there would go to our stderr.
    client = AdminClient({"bootstrap.servers": f"{HOST}:{port}", "log_level": 0})
    client.list_topics(timeout=2)
