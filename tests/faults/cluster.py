"""The servers of the chain for one run, on free ports, each of them also behind proxies.

A client reaches a server through the proxy of its own role, so that a fault can part, say, the
Parquet sink alone from its broker. The harness itself goes to the servers directly.
"""

import logging
import resource
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

from clickhouse_driver import Client  # pyright: ignore[reportMissingTypeStubs]
from stack.ports import free_s3_port, quiet_ports

from faults.proxy import Proxy
from mevstream.infra.stack.clickhouse import clickhouse_service
from mevstream.infra.stack.jars import ensure_jars
from mevstream.infra.stack.java import find_java
from mevstream.infra.stack.kafka import Listener, kafka_service
from mevstream.infra.stack.s3 import s3_service
from mevstream.infra.stack.service import HOST, Service, ServiceProcess
from mevstream.infra.stack.valkey import valkey_service
from mevstream.infra.topics import Cluster as Topics
from mevstream.infra.topics import topic_specs
from mevstream.settings import load_settings

# It logs every connection that a fault refuses; what matters is raised.
logging.getLogger("clickhouse_driver").setLevel(logging.CRITICAL)

STORES = ("clickhouse", "s3", "valkey")


class Server:
    """One server, which can be ended in every way and started again on the same data."""

    def __init__(self, service: Service, proxies: dict[str, Proxy]) -> None:
        self.service = service
        self.proxies = proxies
        self.process = ServiceProcess(service)

    @property
    def port(self) -> int:
        return self.service.ports[0]

    def start(self) -> None:
        """Returns when it answers."""
        self.process = ServiceProcess(self.service)
        self.process.wait_ready(90)

    def kill(self) -> None:
        self.process.kill()

    def terminate(self) -> None:
        self.process.stop()

    def limit_files(self, size: int | None) -> None:
        """Lets no file of the running server grow beyond `size` bytes (None: as far as it may):
        to it the disk is full, for the writes fail. No restart is needed to heal it."""
        most = resource.RLIM_INFINITY if size is None else size
        limits = (most, resource.RLIM_INFINITY)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, limits)


class Cluster:
    """Kafka and the stores in `folder`. A context manager: leaving it ends all of them."""

    def __init__(
        self,
        folder: Path,
        *,
        roles: Iterable[str],
        stores: Iterable[str] = STORES,
        raw_partitions: int = 4,
        market_partitions: int = 4,
        report: Callable[[str], None] = print,
    ) -> None:
        """`roles` are the kinds of clients, each of which gets a broker port of its own. Returns
        when every server answers and the topics are there."""
        self.folder = folder
        self.roles = tuple(roles)
        self.raw_partitions = raw_partitions
        self.market_partitions = market_partitions
        self.logs = folder / "logs"
        self.servers: dict[str, Server] = {}
        self._proxies: list[Proxy] = []
        self._report = report
        try:
            self._open(tuple(stores))
        except BaseException:
            self.close()
            raise

    def _open(self, stores: tuple[str, ...]) -> None:
        jars = ensure_jars(load_settings().cache, report=self._report)
        port, controller_port, *pairs = quiet_ports(2 + 2 * len(self.roles))
        doors = {
            role: Listener(f"ROLE{i}", inner, outer)
            for i, (role, inner, outer) in enumerate(
                zip(self.roles, pairs[::2], pairs[1::2], strict=True)
            )
        }
        kafka = kafka_service(
            jars=jars,
            java=find_java(),
            folder=self.folder / "kafka",
            log=self.logs / "kafka.log",
            port=port,
            controller_port=controller_port,
            heap_mb=256,
            listeners=tuple(doors.values()),
        )
        proxies = {role: self._proxy(one.port, one.advertised_port) for role, one in doors.items()}
        self.servers["kafka"] = Server(kafka, proxies)
        for name in stores:
            service = self._store(name)
            self.servers[name] = Server(service, {name: self._proxy(service.ports[0])})
        for server in self.servers.values():
            server.process.wait_ready(120)
        Topics(self.kafka).ensure(
            topic_specs(
                raw_partitions=self.raw_partitions,
                market_partitions=self.market_partitions,
                retention_hours=24,
            )
        )

    def _store(self, name: str) -> Service:
        folder, log = self.folder / name, self.logs / f"{name}.log"
        if name == "clickhouse":
            return clickhouse_service(folder=folder, log=log, port=quiet_ports(1)[0])
        if name == "valkey":
            return valkey_service(folder=folder, log=log, port=quiet_ports(1)[0])
        return s3_service(folder=folder, log=log, port=free_s3_port(), credentials=self.credentials)

    def _proxy(self, target: int, port: int | None = None) -> Proxy:
        proxy = Proxy(target, port or quiet_ports(1)[0])
        self._proxies.append(proxy)
        return proxy

    @property
    def kafka(self) -> str:
        """The broker's own address."""
        return self.servers["kafka"].service.address

    @property
    def credentials(self) -> Path:
        return self.folder / "s3-credentials"

    def broker_proxy(self, role: str) -> Proxy:
        return self.servers["kafka"].proxies[role]

    def store_proxy(self, name: str) -> Proxy:
        return self.servers[name].proxies[name]

    def port(self, name: str, *, direct: bool = False) -> int:
        """Where programs reach a store: its proxy, or, directly, the server itself."""
        return self.servers[name].port if direct else self.store_proxy(name).port

    def environment(self, role: str, *, direct: bool = False) -> dict[str, str]:
        """The settings that bring a program of this role to the servers."""
        kafka = self.kafka if direct else f"{HOST}:{self.broker_proxy(role).port}"
        found = {
            "MEVSTREAM_KAFKA": kafka,
            "MEVSTREAM_RAW_PARTITIONS": str(self.raw_partitions),
            "MEVSTREAM_MARKET_PARTITIONS": str(self.market_partitions),
            "MEVSTREAM_STACK_FOLDER": str(self.folder),
        }
        for name in STORES:
            if name in self.servers:
                found[f"MEVSTREAM_{name.upper()}_PORT"] = str(self.port(name, direct=direct))
        if "s3" in self.servers:
            found["AWS_SHARED_CREDENTIALS_FILE"] = str(self.credentials)
        return found

    def clickhouse(self, sql: str, seconds: float = 30) -> list[tuple[Any, ...]]:
        """The rows of a query, past the proxy. Raises what the driver raises, and OSError."""
        port = self.servers["clickhouse"].port
        client: Any = Client(HOST, port, connect_timeout=2, send_receive_timeout=seconds)
        try:
            return client.execute(sql)
        finally:
            client.disconnect()

    def close(self) -> None:
        """Ends the servers, the hard way where they are slow, and the proxies."""
        for proxy in self._proxies:
            proxy.close()
        self._proxies = []
        for server in self.servers.values():
            if server.process.exit_code() is None:
                server.process.terminate()
        end = time.monotonic() + 15
        for server in self.servers.values():
            server.process.wait(max(end - time.monotonic(), 0.1))
        self.servers = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
