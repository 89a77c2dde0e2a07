"""A ClickHouse server for the sinks: the stack's, as a process of its own, to be killed at will."""

from collections.abc import Callable, Iterator
from itertools import count

import pytest
from stack.clickhouse import FrontProcess

from mevstream.topologies.sinks.native_engine import NativeEngine, Server

_databases = count()


class Front(FrontProcess):
    def server(self, database: str = "default") -> Server:
        return Server(port=self.port, database=database, connect_timeout=5, answer_timeout=60)


@pytest.fixture(scope="session")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    front = Front(tmp_path_factory.mktemp("front"))
    yield front
    front.process.stop()


@pytest.fixture
def connect(front: Front) -> Iterator[Callable[[], NativeEngine]]:
    """Makes connections to a database that the test has for itself."""
    database = f"test{next(_databases)}"
    made = [NativeEngine(front.server())]
    made[0].execute(f"CREATE DATABASE {database}")

    def connect() -> NativeEngine:
        made.append(NativeEngine(front.server(database)))
        return made[-1]

    yield connect
    for engine in made:
        engine.close()


@pytest.fixture
def engine(connect: Callable[[], NativeEngine]) -> NativeEngine:
    return connect()
