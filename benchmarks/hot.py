"""The hot store on this machine: what a reader waits, and how many pools a second are written.

A Valkey server of its own on the loopback address; pools of a simulated chain.
"""

import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks.harness import Report, Row
from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.features import FeatureView
from mevstream.infra.stack.service import ServiceProcess, port_is_free
from mevstream.infra.stack.valkey import valkey_service
from mevstream.topologies.features.stage import FeatureStage
from mevstream.topologies.raw.simulator import Simulator, SimulatorConfig
from mevstream.topologies.raw.sources import open_sources
from mevstream.topologies.sinks.hot import HotSink, RedisServer, connect, pool_states

SLOTS = 100
READS = 20_000
SINGLE, BOTH = "one pool (HGETALL)", "pools of a market, their states"


def run() -> Report:
    with tempfile.TemporaryDirectory() as folder:
        port = next(port for port in range(26_379, 26_479) if port_is_free(port))
        service = valkey_service(folder=Path(folder), log=Path(folder) / "log", port=port)
        process = _elsewhere(lambda: ServiceProcess(service))
        try:
            process.wait_ready()
            return _run(Path(folder), RedisServer(f"redis://127.0.0.1:{port}/0"))
        finally:
            process.stop()


def _elsewhere(start: Callable[[], ServiceProcess]) -> ServiceProcess:
    """Starts the server where the system likes it: benchmarks stay on one core, it shall not."""
    if not hasattr(os, "sched_setaffinity"):
        return start()
    here = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    try:
        return start()
    finally:
        os.sched_setaffinity(0, here)


def _run(folder: Path, server: RedisServer) -> Report:
    features = _features(folder)
    started = time.perf_counter()
    items = [pool_states(FeatureView(message)) for message in features]
    read_seconds = time.perf_counter() - started
    sink = HotSink(server)
    written = sum(len(item.pools) for item in items)
    started = time.perf_counter()
    for item in items:
        sink.store([item])
    store_seconds = time.perf_counter() - started
    sink.close()

    client = connect(server)
    pools = list(client.scan_iter("mev:pool:*"))
    markets = list(client.scan_iter("mev:market:*"))
    one = _times(READS, lambda i: client.hgetall(pools[i % len(pools)].decode()))
    market = _times(READS // 10, lambda i: _market(client, markets[i % len(markets)].decode()))
    client.close()
    return Report(
        "The hot store",
        [Row(SINGLE, one[49], min(one)), Row(BOTH, market[49], min(market))],
        baseline=SINGLE,
        facts={
            "p99 of one pool, µs": round(one[98] * 1e6),
            "p99 of a market, µs": round(market[98] * 1e6),
            "records": len(items),
            "pool states": written,
            "states read from records/s": round(written / read_seconds),
            "states written/s": round(written / store_seconds),
            "ms a record written": round(store_seconds / len(items) * 1e3, 2),
        },
    )


def _features(folder: Path) -> list[bytes]:
    chain = folder / "chain"
    chain.mkdir()
    for block in Simulator(SimulatorConfig(seed=7)).blocks(SLOTS):
        (chain / f"{block.slot}.pb").write_bytes(block.data)
    decoder, stage = BatchDecoder(), FeatureStage()
    return [stage(decoder.decode(raw))[0].value for raw in open_sources([str(chain)])]


def _market(client: Any, key: str) -> object:
    """The ten pools of a market that were traded last."""
    chain = key.split(":")[2]
    pipeline = client.pipeline(transaction=False)
    for pool in client.zrevrange(key, 0, 9):
        pipeline.hgetall(f"mev:pool:{chain}:{pool.decode()}")
    return pipeline.execute()


def _times(n: int, call: Callable[[int], object]) -> list[float]:
    """Percentiles 1 to 99 of the seconds that call(i) takes."""
    samples: list[float] = []
    clock = time.perf_counter
    for i in range(n):
        started = clock()
        call(i)
        samples.append(clock() - started)
    return quantiles(samples, n=100)
