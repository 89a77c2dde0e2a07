"""One run over a synthetic chain, to be killed: feed.py FOLDER FORK SLOTS [OPERATION].

With OPERATION it kills itself by SIGKILL before that statement or insert of the store; else it
tells each one on standard output and waits to be killed by whoever reads along.
"""

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa

from mevstream.topologies.embedded import EmbeddedRuntime
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from mevstream.topologies.sinks.clickhouse import ClickHouseSink, Limits
from store.synthetic import raw_slot, stand_in


class Counting(ChdbEngine):
    operations = 0
    last: int | None = None

    def _count(self) -> None:
        self.operations += 1
        print(self.operations, flush=True)
        if self.operations == self.last:
            os.kill(os.getpid(), signal.SIGKILL)

    def execute(self, sql: str) -> None:
        self._count()
        super().execute(sql)

    def insert(self, table: str, rows: pa.RecordBatch, token: str) -> None:
        self._count()
        super().insert(table, rows, token)


def chain(slots: int, fork: int) -> Iterator[bytes]:
    """Whole blocks and, every fifth slot, single transactions; batches that are no batches."""
    for slot in range(1000, 1000 + slots):
        yield from raw_slot(slot, 9, fork=fork, known_block=slot % 5 != 0, batch_size=4)
        if slot % 7 == 0:
            yield b"\xff no batch %d" % slot


def main(folder: str, fork: str, slots: str, last: str = "") -> None:
    engine = Counting(Path(folder))
    engine.last = int(last) if last else None
    with ClickHouseSink(engine, limits=Limits(transactions=40)) as sink:
        EmbeddedRuntime(sink, stand_in()).run(chain(int(slots), int(fork)))


if __name__ == "__main__":
    main(*sys.argv[1:])
