"""The catalogue of faults. Each one is injected, held for a while, and healed.

What a fault needs to know between the two it keeps in itself: one object is one injection.
"""

import random
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from faults.clock import WallClock
from faults.cluster import Cluster
from faults.disk import SmallDisk
from faults.load import Load
from faults.processes import Fleet, Instance
from faults.proxy import Proxy

WORKER = "worker"
NAMES = {"clickhouse": "ClickHouse", "s3": "S3", "valkey": "Redis"}
HOUR = 3600
# Longer than the session timeouts of the groups (6 s): the broker gives the member up.
_LONG = (7.0, 9.0)
_SHORT = (0.3, 3.0)
_SOME = (2.0, 7.0)


@dataclass(frozen=True, slots=True)
class Scene:
    """What faults may touch."""

    cluster: Cluster
    fleet: Fleet
    load: Load
    clock: WallClock
    disk: SmallDisk
    random: random.Random


class Fault(ABC):
    """One fault. `hold` bounds the seconds between injection and healing."""

    hold: ClassVar[tuple[float, float]] = _SOME

    def __init__(self, role: str) -> None:
        """`role`: whose pause tells how bad it was; what is hit, where that is a process."""
        self.role = role

    @abstractmethod
    def inject(self, scene: Scene) -> None: ...

    def heal(self, scene: Scene) -> None:  # noqa: B027 (there may be nothing to do)
        """Puts everything back that does not come back by itself."""


# -- processes ------------------------------------------------------------------------------------


class _OneProcess(Fault):
    instance: Instance

    def pick(self, scene: Scene) -> Instance:
        self.instance = scene.random.choice(scene.fleet.running(self.role))
        return self.instance


class Kill(_OneProcess):
    """kill -9 of one process, which is started again after a while."""

    hold = _SHORT

    def inject(self, scene: Scene) -> None:
        instance = self.pick(scene)
        scene.fleet.forget(instance)
        instance.kill()

    def heal(self, scene: Scene) -> None:
        scene.fleet.start(self.role)


class Terminate(Kill):
    """SIGTERM of one process, as in a roll-out; another one is started after a while."""

    def inject(self, scene: Scene) -> None:
        instance = self.pick(scene)
        scene.fleet.forget(instance)
        instance.terminate()


class KillAll(Fault):
    """kill -9 of all processes of a role at once."""

    hold = _SHORT

    def inject(self, scene: Scene) -> None:
        victims = scene.fleet.running(self.role)
        self.count = len(victims)
        for instance in victims:
            scene.fleet.forget(instance)
            instance.kill()

    def heal(self, scene: Scene) -> None:
        scene.fleet.start(self.role, self.count)


class Join(Fault):
    """One more process for a while; then the oldest one leaves in good order."""

    def inject(self, scene: Scene) -> None:
        scene.fleet.start(self.role)

    def heal(self, scene: Scene) -> None:
        oldest = scene.fleet.running(self.role)[0]
        scene.fleet.forget(oldest)
        oldest.terminate()


class Roll(Fault):
    """A rolling restart: each process ends by SIGTERM after its successor was started."""

    hold = (0.0, 0.0)

    def inject(self, scene: Scene) -> None:
        for instance in scene.fleet.running(self.role):
            scene.fleet.start(self.role)
            time.sleep(3)
            scene.fleet.forget(instance)
            instance.terminate()


class Freeze(_OneProcess):
    """SIGSTOP for longer than the group waits: to the process, all clocks jump ahead, and when it
    goes on its partitions belong to somebody else."""

    hold = _LONG

    def inject(self, scene: Scene) -> None:
        self.pick(scene).freeze()

    def heal(self, scene: Scene) -> None:
        self.instance.thaw()


class Hiccup(Freeze):
    """SIGSTOP for a moment that nobody notices."""

    hold = _SHORT


# -- servers --------------------------------------------------------------------------------------


class _OneServer(Fault):
    def __init__(self, role: str, server: str) -> None:
        super().__init__(role)
        self.server = server


class KillServer(_OneServer):
    """kill -9 of a server, which is started again on the same data."""

    def inject(self, scene: Scene) -> None:
        scene.cluster.servers[self.server].kill()

    def heal(self, scene: Scene) -> None:
        scene.cluster.servers[self.server].start()


class TerminateServer(KillServer):
    """SIGTERM of a server, which is started again on the same data."""

    def inject(self, scene: Scene) -> None:
        scene.cluster.servers[self.server].terminate()


class ServerDiskFull(_OneServer):
    """No file of the server may grow: its disk is full."""

    def inject(self, scene: Scene) -> None:
        scene.cluster.servers[self.server].limit_files(0)

    def heal(self, scene: Scene) -> None:
        scene.cluster.servers[self.server].limit_files(None)


# -- network --------------------------------------------------------------------------------------


class _Network(Fault):
    def __init__(self, role: str, proxy: Callable[[Cluster], Proxy]) -> None:
        super().__init__(role)
        self.proxy = proxy

    def heal(self, scene: Scene) -> None:
        self.proxy(scene.cluster).heal()


class Stall(_Network):
    """The connection stands and nothing passes."""

    hold = (3.0, 10.0)

    def inject(self, scene: Scene) -> None:
        self.proxy(scene.cluster).stall()


class Cut(_Network):
    """Every connection is reset; new ones are served at once."""

    hold = (0.0, 0.0)

    def inject(self, scene: Scene) -> None:
        self.proxy(scene.cluster).cut()


class Refuse(_Network):
    """Connections are reset and new ones refused."""

    def inject(self, scene: Scene) -> None:
        self.proxy(scene.cluster).refuse()


class Slow(_Network):
    """100 kB a second in each direction of each connection."""

    hold = (4.0, 8.0)

    def inject(self, scene: Scene) -> None:
        self.proxy(scene.cluster).slow(100_000)


# -- data, clocks, disks --------------------------------------------------------------------------


class Poison(Fault):
    """Records that nothing can read."""

    hold = (0.0, 0.5)

    def inject(self, scene: Scene) -> None:
        scene.load.poison()


class Repeat(Fault):
    """A source that sends its last batches again."""

    hold = (0.0, 0.5)

    def inject(self, scene: Scene) -> None:
        scene.load.repeat(scene.random.randint(1, 40))


class Shuffle(Fault):
    """A source whose batches come in another order."""

    hold = (0.0, 0.5)

    def inject(self, scene: Scene) -> None:
        scene.load.shuffle(scene.random.randint(2, 30))


class ClockJump(Fault):
    """The wall clock of every worker and sink jumps, and back again."""

    def __init__(self, role: str, seconds: int) -> None:
        super().__init__(role)
        self.seconds = seconds

    def inject(self, scene: Scene) -> None:
        scene.clock.set(self.seconds)

    def heal(self, scene: Scene) -> None:
        scene.clock.set(0)


class EmbeddedDiskFull(Fault):
    """The disk of an embedded store fills up; given room, the same run again ends well."""

    hold = (0.0, 0.0)

    def inject(self, scene: Scene) -> None:
        scene.disk.fill_up(scene.random.randrange(1 << 30))


Make = Callable[[], Fault]


def catalogue(sinks: Mapping[str, str]) -> dict[str, Make]:
    """Every fault by the name that the table shows. `sinks`: those that run, with the server of
    the store behind each."""
    found: dict[str, Make] = {}
    for role in (WORKER, *sinks):
        who = role if role == WORKER else f"sink {role}"
        found |= {
            f"{who}: kill -9": partial(Kill, role),
            f"{who}: SIGTERM": partial(Terminate, role),
            f"{who}: joins and leaves": partial(Join, role),
            f"{who}: SIGSTOP 7–9 s": partial(Freeze, role),
            f"{who}: broker stalled": partial(Stall, role, broker_proxy(role)),
            f"{who}: broker connections cut": partial(Cut, role, broker_proxy(role)),
        }
    found |= {
        "worker: kill -9 of all": partial(KillAll, WORKER),
        "worker: rolling restart": partial(Roll, WORKER),
        "worker: SIGSTOP under 3 s": partial(Hiccup, WORKER),
        "worker: broker refuses": partial(Refuse, WORKER, broker_proxy(WORKER)),
        "worker: broker slow": partial(Slow, WORKER, broker_proxy(WORKER)),
        "broker: kill -9": partial(KillServer, WORKER, "kafka"),
        "broker: SIGTERM": partial(TerminateServer, WORKER, "kafka"),
    }
    for role, store in sinks.items():
        found |= {
            f"{NAMES[store]}: kill -9": partial(KillServer, role, store),
            f"{NAMES[store]}: SIGTERM": partial(TerminateServer, role, store),
            f"{NAMES[store]}: stalled": partial(Stall, role, store_proxy(store)),
            f"{NAMES[store]}: slow": partial(Slow, role, store_proxy(store)),
            f"{NAMES[store]}: refuses": partial(Refuse, role, store_proxy(store)),
            f"{NAMES[store]}: connections cut": partial(Cut, role, store_proxy(store)),
        }
    if "clickhouse" in sinks.values():
        found["ClickHouse: disk full"] = partial(ServerDiskFull, "clickhouse", "clickhouse")
    return found | {
        "poison records": partial(Poison, WORKER),
        "batches repeated": partial(Repeat, WORKER),
        "batches out of order": partial(Shuffle, WORKER),
        "clock: an hour ahead": partial(ClockJump, WORKER, HOUR),
        "clock: an hour back": partial(ClockJump, WORKER, -HOUR),
        "embedded store: disk full": partial(EmbeddedDiskFull, WORKER),
    }


def broker_proxy(role: str) -> Callable[[Cluster], Proxy]:
    return lambda cluster: cluster.broker_proxy(role)


def store_proxy(name: str) -> Callable[[Cluster], Proxy]:
    return lambda cluster: cluster.store_proxy(name)
