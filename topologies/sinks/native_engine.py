"""A ClickHouse server over its native protocol, by clickhouse-driver.

Written for clickhouse-driver 0.2.11 (0.2.9 has the same pieces): the driver connects, speaks the
handshake, sends queries and reads answers; the blocks of an INSERT are written here, by
native_columns.py.
"""

# The driver has no types, and the stubs of pyarrow leave parameters open.
# pyright: reportUnknownArgumentType=false
# pyright: reportUnknownMemberType=false, reportMissingTypeStubs=false, reportUnknownVariableType=false

import logging
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa

from mevstream.errors import MevstreamError
from mevstream.settings import Settings
from mevstream.topologies.sinks.engine import EngineError, engine_error
from mevstream.topologies.sinks.native_columns import write_column

_PORT, _SECURE_PORT = 9000, 9440
_CUSTOM_SERIALIZATION = 54454
"""From this revision of the protocol on, a byte before each column tells how it is written."""

_NULLABLE = re.compile(r"Nullable\((?P<of>.+)\)|LowCardinality\(Nullable\((?P<of_few>.+)\)\)")

_BLOCK_ROWS = 1 << 13
_COPIED = 1 << 16
"""Columns of fewer bytes are gathered in the driver's buffer, others go straight to the socket."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where a ClickHouse server is, and as whom to speak to it. Times in seconds."""

    host: str = "127.0.0.1"
    port: int = _PORT
    user: str = "default"
    password: str = field(default="", repr=False)
    database: str = "default"
    secure: bool = False
    ca_certs: Path | None = None
    connect_timeout: float = 10
    answer_timeout: float = 300

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def configured_server(settings: Settings) -> Server:
    """The server that the settings name; without one, that of the local stack. Raises
    MevstreamError for an address or a password file that is none."""
    host, port = "127.0.0.1", settings.clickhouse_port
    if settings.clickhouse:
        host, port = _parse(settings.clickhouse, settings.clickhouse_secure)
    password = settings.clickhouse_password.get_secret_value()
    if file := settings.clickhouse_password_file:
        try:
            password = file.read_text().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            told = error.strerror if isinstance(error, OSError) else "not UTF-8"
            raise MevstreamError(f"setting clickhouse_password_file: {file}: {told}") from None
    return Server(
        host=host,
        port=port,
        user=settings.clickhouse_user,
        password=password,
        database=settings.clickhouse_database,
        secure=settings.clickhouse_secure,
        ca_certs=settings.clickhouse_ca_certs,
        answer_timeout=settings.clickhouse_timeout,
    )


class NativeEngine:
    """One connection to a server; not for several threads at a time.

    It is made by the first statement and made again by the next one after it broke. What was under
    way then raised EngineError and may or may not have been done: repeating it is up to the caller
    (an insert with its token can be repeated at will).
    """

    def __init__(self, server: Server) -> None:
        from clickhouse_driver import Client

        # What the driver warns of, with a traceback, it raises as well.
        logging.getLogger("clickhouse_driver").setLevel(logging.ERROR)
        self.server = server
        self._client: Any = Client(
            server.host,
            server.port,
            user=server.user,
            password=server.password,
            database=server.database,
            secure=server.secure,
            ca_certs=str(server.ca_certs) if server.ca_certs else None,
            client_name="mevstream",
            connect_timeout=server.connect_timeout,
            send_receive_timeout=server.answer_timeout,
            tcp_keepalive=True,
            # Keys are no UTF-8; `rows` decodes what is text.
            settings={"strings_as_bytes": True},
        )

    def execute(self, sql: str) -> None:
        """Runs a statement that returns nothing. Raises EngineError."""
        with self._errors():
            self._client.execute(sql)

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """The result as Python values, a tuple a row; for small ones. Raises EngineError."""
        return self.typed_rows(sql)[2]

    def typed_rows(self, sql: str) -> tuple[list[str], list[str], list[tuple[Any, ...]]]:
        """The names of the columns, their types, and the result as `rows` gives it."""
        with self._errors():
            columns, types = self._client.execute(sql, with_column_types=True, columnar=True)
        converted: list[Any] = []
        for values, (_, kind) in zip(columns, types, strict=False):
            convert = _converter(kind)
            converted.append(values if convert is None else [convert(value) for value in values])
        names, kinds = [name for name, _ in types], [kind for _, kind in types]
        return names, kinds, list(zip(*converted, strict=True))

    def blocks(self, sql: str) -> Generator[list[Any]]:
        """The values of the first column, block by block as the server sends them. Text is bytes.
        Raises EngineError, also in mid-result."""
        with self._errors():
            result = self._client.execute_iter(sql, chunk_size=_BLOCK_ROWS)
            for block in result:
                yield [row[0] for row in block]

    def insert(self, table: str, rows: pa.RecordBatch, token: str) -> None:
        """Appends the rows as one block. A second insert with the same token does nothing.

        Raises EngineError, also for columns that do not fit the table's.
        """
        names = ", ".join(rows.schema.names)
        sql = f"INSERT INTO {table} ({names}) VALUES"
        settings = {
            "async_insert": 0,
            "insert_deduplicate": 1,
            "insert_deduplication_token": token,
            # The server gets the rows as one block and is to store them as one.
            "max_insert_block_size": max(rows.num_rows, 1 << 20),
        }
        # As the driver's own process_insert_query does it, but for the block.
        with self._errors(), self._client.disconnect_on_error(sql, settings):
            connection = self._client.connection
            connection.send_query(sql)
            connection.send_external_tables(None)
            head = self._client.receive_sample_block()
            self._send(rows, head.columns_with_types)
            self._client.receive_end_of_insert_query()

    def close(self) -> None:
        with suppress(OSError):
            self._client.disconnect()

    def _send(self, rows: pa.RecordBatch, columns: list[tuple[str, str]]) -> None:
        from clickhouse_driver.block import BlockInfo, ColumnOrientedBlock
        from clickhouse_driver.protocol import ClientPacketTypes
        from clickhouse_driver.varint import write_varint
        from clickhouse_driver.writer import write_binary_str

        connection = self._client.connection
        out = connection.fout

        def write(data: bytes | memoryview) -> None:
            # The driver's buffer takes bytes only (and garbles anything else without a word).
            if len(data) < _COPIED:
                out.write(bytes(data))
            else:
                out.flush()
                connection.socket.sendall(data)

        marked = connection.server_info.used_revision >= _CUSTOM_SERIALIZATION
        write_varint(ClientPacketTypes.DATA, out)
        write_binary_str("", out)
        BlockInfo().write(out)
        write_varint(len(columns), out)
        write_varint(rows.num_rows, out)
        for name, kind in columns:
            write_binary_str(name, out)
            write_binary_str(kind, out)
            if marked:
                out.write(b"\0")
            write_column(write, kind, rows.column(name))
        out.flush()
        self._client.receive_profile_events()
        connection.send_data(ColumnOrientedBlock())
        self._client.receive_profile_events()

    @contextmanager
    def _errors(self) -> Generator[None]:
        from clickhouse_driver.errors import Error, ServerException

        try:
            yield
        except ServerException as error:
            raise engine_error(error) from None
        except (Error, OSError, EOFError) as error:
            told = error.strerror if isinstance(error, OSError) else getattr(error, "message", "")
            told = " ".join(str(told or "the connection broke").split())
            told = told.removesuffix(f" ({self.server.host}:{self.server.port})")
            raise EngineError(f"ClickHouse at {self.server.address}: {told}") from None


def _converter(kind: str) -> Callable[[Any], Any] | None:
    """From the driver's bytes to what the embedded engine gives: text as str, keys in full."""
    if match := _NULLABLE.fullmatch(kind):
        convert = _converter(match["of"] or match["of_few"])
        return convert and (lambda value: None if value is None else convert(value))
    if kind in ("String", "LowCardinality(String)"):
        return lambda value: value.decode(errors="replace")
    if match := re.fullmatch(r"FixedString\((\d+)\)", kind):
        width = int(match[1])
        # The driver may have cut the zeros off.
        return lambda value: value.ljust(width, b"\0")
    return None


def _parse(address: str, secure: bool) -> tuple[str, int]:
    match = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^:\[\]\s/]+)(?::(\d{1,5}))?", address)
    port = int(match[2]) if match and match[2] else _SECURE_PORT if secure else _PORT
    if not match or not 0 < port < 65536:
        raise MevstreamError(f"ClickHouse address {address!r}: not host or host:port")
    return match[1].strip("[]"), port
