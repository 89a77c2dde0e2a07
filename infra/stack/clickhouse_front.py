"""A ClickHouse server for one machine: the native protocol in front of the embedded engine.

Run as `python -m mevstream.infra.stack.clickhouse_front FOLDER PORT`. It speaks as much of the
protocol (https://clickhouse.com/docs/native-protocol) as clickhouse-driver needs for statements,
queries and inserts, without compression; the engine is ClickHouse itself. Loopback only, no
passwords, no cancelling.
"""

import os
import re
import signal
import socket
import socketserver
import sys
import tempfile
import threading
from collections.abc import Mapping
from types import FrameType
from typing import IO, Any, cast

import chdb
import orjson

from mevstream.infra.stack.native_blocks import NativeReader
from mevstream.infra.stack.service import HOST

# Old enough for a plain handshake, new enough for settings as text.
_REVISION = 54440
_CLIENT_HELLO, _CLIENT_QUERY, _CLIENT_DATA, _CLIENT_CANCEL, _CLIENT_PING = range(5)
_HELLO, _DATA, _EXCEPTION, _PONG, _END = 0, 1, 2, 4, 5
_UNKNOWN_EXCEPTION = 1002
_INSERT = re.compile(
    r"\s*(insert\s+into\s+(?:table\s+)?([\w.`\"]+)\s*(\([^)]*\))?)"
    r"\s*(?:values|format\s+\w+)?\s*;?\s*",
    re.IGNORECASE,
)


def varint(value: int) -> bytes:
    data = bytearray()
    while value > 0x7F:
        data.append(value & 0x7F | 0x80)
        value >>= 7
    data.append(value)
    return bytes(data)


def text(value: str) -> bytes:
    data = value.encode()
    return varint(len(data)) + data


# is_overflows, bucket_num and the end of the list.
_BLOCK_INFO = varint(1) + b"\0" + varint(2) + (-1).to_bytes(4, "little", signed=True) + varint(0)


def _connect(folder: str) -> Any:
    # The engine has no types.
    return cast(Any, chdb).connect(folder)


class Front(socketserver.ThreadingTCPServer):
    """Serves one engine folder."""

    allow_reuse_address = True
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, folder: str, port: int) -> None:
        self.folder = folder
        # Keeps the engine while no client is there.
        self._engine = _connect(folder)
        super().__init__((HOST, port), _Session)

    def server_close(self) -> None:
        super().server_close()
        self._engine.close()


class _Session(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader = NativeReader(self.request.recv)
        self._engine = _connect(cast(Front, self.server).folder)
        try:
            while not self._reader.at_end():
                self._reader.mark()
                self._packet(self._reader.varint())
        except (EOFError, ConnectionError):
            pass
        except (ValueError, RuntimeError) as error:
            # What follows can't be read any more: tell why, and hang up.
            self._fail(str(error))
        finally:
            self._engine.close()

    def _packet(self, kind: int) -> None:
        if kind == _CLIENT_HELLO:
            self._hello()
        elif kind == _CLIENT_QUERY:
            self._query()
        elif kind == _CLIENT_PING:
            self.request.sendall(varint(_PONG))
        elif kind != _CLIENT_CANCEL:
            raise ValueError(f"unexpected packet {kind}")

    def _hello(self) -> None:
        reader = self._reader
        reader.text()
        for _ in range(3):
            reader.varint()
        database = reader.text()
        for _ in range(2):
            reader.text()
        if database not in ("", "default"):
            self._engine.query(f"USE `{database}`")
        major, minor, patch, *_ = (int(part) for part in chdb.engine_version.split("."))
        self.request.sendall(
            varint(_HELLO)
            + text("ClickHouse")
            + varint(major)
            + varint(minor)
            + varint(_REVISION)
            + text("UTC")
            + text("mevstream")
            + varint(patch)
        )

    def _query(self) -> None:
        reader = self._reader
        # Query id; kind, user, query id and address of the client; interface; user, host, name,
        # version, revision, quota key and patch of the client.
        reader.text()
        reader.skip(1)
        for _ in range(3):
            reader.text()
        reader.skip(1)
        for _ in range(3):
            reader.text()
        for _ in range(3):
            reader.varint()
        reader.text()
        reader.varint()
        settings: dict[str, str] = {}
        while name := reader.text():
            reader.skip(1)
            settings[name] = reader.text()
        reader.varint()
        compression = reader.varint()
        sql = reader.text()
        self._data_packet()
        if compression:
            raise ValueError("compression is not supported")
        try:
            if insert := _INSERT.fullmatch(sql):
                self._insert(insert, settings)
            else:
                self._run(sql, settings)
        except RuntimeError as error:
            self._fail(str(error))
        else:
            self.request.sendall(varint(_END))

    def _data_packet(self) -> int:
        """Reads one block from the client, which then is what is marked; its columns."""
        reader = self._reader
        kind = reader.varint()
        if kind != _CLIENT_DATA:
            raise ValueError(f"packet {kind} where data should come")
        reader.text()
        while field := reader.varint():
            reader.skip(1 if field == 1 else 4)
        reader.mark()
        return len(reader.block()[0])

    def _run(self, sql: str, settings: Mapping[str, str]) -> None:
        # In CREATE the clause would set the table's settings.
        if settings and not re.match(r"\s*create\b", sql, re.IGNORECASE):
            sql = f"{sql.rstrip().removesuffix(';')}{_clause(settings)}"
        result: bytes = self._engine.query(sql, "Native").bytes() or b""
        pieces = iter([result])
        blocks = NativeReader(lambda _: next(pieces, b""))
        first = True
        while not blocks.at_end():
            blocks.mark()
            columns, _ = blocks.block()
            if first:
                self._send_head(columns)
                first = False
            self._send_block(blocks.marked())

    def _insert(self, insert: re.Match[str], settings: Mapping[str, str]) -> None:
        target, table, listed = insert.groups()
        describe = f"DESCRIBE TABLE {table} SETTINGS print_pretty_type_names=0"
        told: bytes = self._engine.query(describe, "JSONCompactEachRow").bytes()
        types: dict[str, str] = dict(orjson.loads(line)[:2] for line in told.splitlines())
        names = [name.strip(' `"') for name in listed[1:-1].split(",")] if listed else list(types)
        if unknown := [name for name in names if name not in types]:
            raise RuntimeError(f"Code: 16. DB::Exception: No such column {unknown[0]} in {table}")
        self._send_head([(name, types[name]) for name in names])
        # Not through the engine's streaming insert: that one calls rows stored which it refused.
        # An unnamed file in memory carries the blocks: half an insert never gets to the engine.
        with _memory_file() as file:
            while self._data_packet():
                self._reader.write_marked(file)
            file.flush()
            if file.tell():
                source = f"FROM INFILE '/dev/fd/{file.fileno()}'"
                self._engine.query(f"{target} {source}{_clause(settings)} FORMAT Native")

    def _send_head(self, columns: list[tuple[str, str]]) -> None:
        names = b"".join(text(name) + text(kind) for name, kind in columns)
        self._send_block(varint(len(columns)) + varint(0) + names)

    def _send_block(self, block: bytes) -> None:
        self.request.sendall(varint(_DATA) + text("") + _BLOCK_INFO + block)

    def _fail(self, message: str) -> None:
        found = re.match(r"Code: (\d+)\. (?:DB::Exception: )?", message)
        code = int(found[1]) if found else _UNKNOWN_EXCEPTION
        message = message[found.end() :] if found else message
        self.request.sendall(
            varint(_EXCEPTION)
            + code.to_bytes(4, "little")
            + text("DB::Exception")
            + text(message)
            + text("")
            + b"\0"
        )


def _memory_file() -> IO[bytes]:
    if hasattr(os, "memfd_create"):
        return open(os.memfd_create("insert"), "w+b", buffering=0)
    return tempfile.TemporaryFile(buffering=0)


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _clause(settings: Mapping[str, str]) -> str:
    pairs = [f"{name}={_quoted(value)}" for name, value in settings.items()]
    return f" SETTINGS {', '.join(pairs)}" if pairs else ""


def main(folder: str, port: int) -> None:
    with Front(folder, port) as front:

        def stop(number: int, frame: FrameType | None) -> None:
            # shutdown() waits for the loop that this handler interrupts.
            threading.Thread(target=front.shutdown, daemon=True).start()

        signal.signal(signal.SIGTERM, stop)
        front.serve_forever(poll_interval=0.1)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
