"""A door to a broker that is not the leader yet: the first batch of a partition is refused there.

A broker does so for a moment after a topic was made. The client has sent the next batch by then,
and that one is taken.
"""

import asyncio
import struct
import threading
from types import TracebackType
from typing import Self

from mevstream.infra.stack.service import HOST

_PRODUCE = 0
_NOT_LEADER = 6


class RefusingDoor:
    """Passes connections on `port` to `target`. Of the first batch for each partition the broker
    learns nothing: its sender is told, when it has sent the next one, that this is not the leader.
    Every client must speak version 9 or later of Produce requests, one partition in each."""

    def __init__(self, target: int, port: int) -> None:
        self._target, self._port = target, port
        self._seen: dict[bytes, int] = {}
        self.refused = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._serve, HOST, self._port)

    async def _end(self) -> None:
        self._server.close()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        broker_reader, broker = await asyncio.open_connection(HOST, self._target)
        # Answers come in the order of the requests: behind a refusal that is not told yet all wait.
        told = asyncio.Event()
        told.set()

        async def answers() -> None:
            while True:
                frame = await _frame(broker_reader)
                await told.wait()
                writer.write(frame)
                await writer.drain()

        passing = asyncio.create_task(answers())
        refusals: list[bytes] = []
        try:
            while True:
                frame = await _frame(reader)
                place = _place(frame)
                if place is not None:
                    self._seen[place] = self._seen.get(place, 0) + 1
                    if self._seen[place] == 1:
                        refusals.append(_refusal(frame, place))
                        self.refused += 1
                        told.clear()
                        continue
                    if refusals:
                        writer.write(b"".join(refusals))
                        refusals.clear()
                        told.set()
                broker.write(frame)
                await broker.drain()
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # one side is gone, or the door is closed: asyncio would complain
        finally:
            passing.cancel()
            await asyncio.gather(passing, return_exceptions=True)
            broker.close()
            writer.close()


async def _frame(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(4)
    return head + await reader.readexactly(struct.unpack(">i", head)[0])


def _place(frame: bytes) -> bytes | None:
    """Topic (as a compact string) and partition of a Produce request, None for another."""
    api, version, _, client = struct.unpack_from(">hhih", frame, 4)
    if api != _PRODUCE:
        return None
    assert version in (9, 10, 11, 12), f"Produce version {version}"
    at = 4 + 10 + max(client, 0) + 1  # no tagged fields
    at += max(frame[at] - 1, 0) + 1  # transactional id, short
    at += 2 + 4  # acks, timeout
    assert frame[at] == 2, "one topic"
    name = frame[at + 1 : at + 1 + frame[at + 1]]
    at += 1 + len(name)
    assert frame[at] == 2, "one partition"
    return name + frame[at + 1 : at + 5]


def _refusal(frame: bytes, place: bytes) -> bytes:
    """The answer of a broker that does not lead the partition."""
    body = b"".join(
        (
            frame[8:12] + b"\0",  # correlation id
            b"\2" + place[:-4] + b"\2" + place[-4:],
            struct.pack(">hqqq", _NOT_LEADER, -1, -1, -1),
            b"\1\0\0\0",  # no record errors, no message, no tagged fields
            struct.pack(">i", 0) + b"\0",
        )
    )
    return struct.pack(">i", len(body)) + body
