"""A TCP proxy on loopback that misbehaves when it is told to: stalls, cuts, is slow, refuses."""

import asyncio
import contextlib
import gc
import threading
import warnings
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

HOST = "127.0.0.1"
_CHUNK = 64 << 10


class Proxy:
    """Passes connections on `port` to `target`. Its methods may be called from any thread and
    return when what they say holds."""

    def __init__(self, target: int, port: int) -> None:
        self.target = target
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._open = asyncio.Event()
        self._open.set()
        self._rate: float | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._do(self._listen())

    def stall(self) -> None:
        """Connections stay and new ones come about, but no byte passes any more."""
        self._call(self._open.clear)

    def cut(self) -> None:
        """Resets every connection; new ones are served."""
        self._call(self._abort)

    def refuse(self) -> None:
        """Resets every connection and refuses new ones."""
        self._do(self._close())

    def slow(self, bytes_per_second: float) -> None:
        """Holds each direction of each connection to a rate."""
        self._rate = bytes_per_second

    def heal(self) -> None:
        """Passes everything on again; what was held back comes through first."""
        self._rate = None
        self._call(self._open.set)
        self._do(self._listen())

    def close(self) -> None:
        """Ends it and its connections."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        # Of a connection that was cut while it came about a transport may be left; asyncio would
        # complain about it in the middle of some other test.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def _call(self, function: Callable[[], None]) -> None:
        async def call() -> None:
            function()

        self._do(call())

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, HOST, self.port)

    async def _close(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
        self._abort()
        # A turn for the handlers to see it.
        await asyncio.sleep(0.01)

    async def _end(self) -> None:
        await self._close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        self._abort()
        # A turn for the transports to close their sockets.
        await asyncio.sleep(0.05)

    def _abort(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # At once: a task that is cancelled before it began would leave the connection open.
        self._writers.add(writer)
        task = self._loop.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there: asyncio.StreamWriter | None = None
        try:
            await self._open.wait()
            answers, there = await asyncio.open_connection(HOST, self.target)
            self._writers.add(there)
            await asyncio.gather(self._pump(reader, there), self._pump(answers, writer))
        except OSError:
            pass
        finally:
            for one in filter(None, (writer, there)):
                self._writers.discard(one)
                one.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK if self._rate is None else 4096):
            await self._open.wait()
            if (rate := self._rate) is not None:
                await asyncio.sleep(len(data) / rate)
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError, RuntimeError):
            writer.write_eof()
