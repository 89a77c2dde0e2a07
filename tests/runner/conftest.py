import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from kafka.broker import Kafka

from runner.scene import Scene


@pytest.fixture
def scene(kafka: Kafka, tmp_path: Path) -> Iterator[Scene]:
    with Scene(kafka, tmp_path) as made:
        yield made


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port
