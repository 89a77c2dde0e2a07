"""A sink that stores the synthetic chain in runs of five records, from the beginning, to be killed:
feed.py FOLDER. Tells each run on standard output."""

import sys
from pathlib import Path

from lake.chain import everything, synthetic_log
from mevstream.topologies.sinks.lake.sink import LakeSink
from mevstream.topologies.sinks.lake.storage import Folder


def main(folder: str) -> None:
    sink = LakeSink(Folder(Path(folder)))
    sink.open()
    deliveries = everything(synthetic_log())
    for i in range(0, len(deliveries), 5):
        sink.store([sink.read(delivery) for delivery in deliveries[i : i + 5]])
        print(i, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
