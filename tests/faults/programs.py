"""The chain's own programs, as an operator runs them: by the command line and settings."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from faults.clock import WallClock
from faults.cluster import Cluster
from faults.faults import WORKER
from faults.processes import Program
from mevstream.infra.stack.s3 import BUCKET
from mevstream.infra.stack.service import HOST

SINKS = {"clickhouse": "clickhouse", "lake": "s3", "hot": "valkey"}
"""Sink → the server of its store."""

REPOSITORY = Path(__file__).resolve().parents[2]
LAKE = f"s3://{BUCKET}/main"


PREFIX = "mevstream"
# The lake waits a minute by default, for large files; here it has to be seen to move.
_LAKE_SECONDS = 3
_SINK_STOP_SECONDS = 75.0


def sink_group(sink: str, prefix: str = PREFIX) -> str:
    """The consumer group whose commits tell how far a sink has come."""
    return f"{prefix}-{sink}"


def settings(cluster: Cluster, role: str, *, direct: bool = False) -> dict[str, str]:
    """What brings a program of this role to the servers: through their proxies, or directly."""
    found = {
        **cluster.environment(role, direct=direct),
        "PYTHONPATH": os.pathsep.join((str(REPOSITORY), os.environ.get("PYTHONPATH", ""))),
        "MEVSTREAM_CLICKHOUSE_TIMEOUT": "20",
    }
    if "s3" in cluster.servers:
        found["MEVSTREAM_LAKE"] = LAKE
        found["MEVSTREAM_LAKE_ENDPOINT"] = f"http://{HOST}:{cluster.port('s3', direct=direct)}"
    return found


def programs(
    cluster: Cluster,
    clock: WallClock | None = None,
    *,
    links: Sequence[str],
    sinks: Sequence[str],
    delivery: str = "at-least-once",
    prefix: str = PREFIX,
) -> list[Program]:
    """A worker with these links, and the sinks. With a clock of their own they go through the
    proxies, else directly to the servers. `prefix`: what the names of their groups begin with."""
    mevstream = (sys.executable, "-m", "mevstream")
    worker = [*mevstream, "worker", *links]
    if delivery != "at-least-once":
        worker += ["--delivery", delivery]
    own_clock = clock.environment if clock else {}
    commands = {WORKER: worker}
    for sink in sinks:
        commands[sink] = [*mevstream, "sink", sink, "--group", sink_group(sink, prefix)]
        if sink == "lake":
            commands[sink] += ["--seconds", str(_LAKE_SECONDS)]
    return [
        Program(
            role,
            command,
            {
                **settings(cluster, role, direct=not clock),
                "MEVSTREAM_GROUP_PREFIX": prefix,
                **own_clock,
            },
            stop_seconds=30 if role == WORKER else _SINK_STOP_SECONDS,
        )
        for role, command in commands.items()
    ]
