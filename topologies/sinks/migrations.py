"""The numbered migrations of the warm store, for the embedded engine and a server alike."""

import hashlib
import re
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Protocol

from mevstream.errors import MevstreamError

_NAME = re.compile(r"(\d{4})_\w+\.sql")

_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations
(
    number UInt32,
    name String,
    checksum String,
    applied_at DateTime('UTC') DEFAULT now()
)
ENGINE = ReplacingMergeTree(applied_at)
ORDER BY number
"""


class Engine(Protocol):
    """What migrations need of a store."""

    def execute(self, sql: str) -> None: ...

    def rows(self, sql: str) -> list[tuple[Any, ...]]: ...


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @property
    def statements(self) -> list[str]:
        """The file's statements; each ends with a semicolon at the end of a line."""
        bare = re.sub(r"^\s*--.*$", "", self.sql, flags=re.MULTILINE)
        return [
            text for part in re.split(r";\s*$", bare, flags=re.MULTILINE) if (text := part.strip())
        ]


def load() -> list[Migration]:
    """The package's migrations in order."""
    folder = files("mevstream.schemas") / "migrations"
    found = [
        Migration(int(match[1]), entry.name, entry.read_text(encoding="utf-8"))
        for entry in folder.iterdir()
        if (match := _NAME.fullmatch(entry.name))
    ]
    return sorted(found, key=lambda migration: migration.number)


def applied(engine: Engine) -> dict[int, tuple[str, str]]:
    """Number → (name, checksum) of what the store has."""
    if not engine.rows(
        "SELECT 1 FROM system.tables WHERE name = 'schema_migrations' "
        "AND database = currentDatabase()"
    ):
        return {}
    rows = engine.rows("SELECT number, name, checksum FROM schema_migrations FINAL ORDER BY number")
    return {number: (_text(name), _text(checksum)) for number, name, checksum in rows}


def migrate(engine: Engine, migrations: list[Migration] | None = None) -> list[Migration]:
    """Applies what is missing, in order, and returns it.

    Raises MevstreamError if history differs: a migration that was applied has changed since or
    is not known to this version. Every statement may be repeated (IF NOT EXISTS), so a run that
    was killed between a statement and its record is simply done again.
    """
    known = load() if migrations is None else migrations
    done = applied(engine)
    check(known, done)
    if not done:
        engine.execute(_TABLE)
    missing = [migration for migration in known if migration.number not in done]
    for migration in missing:
        for statement in migration.statements:
            engine.execute(statement)
        engine.execute(
            "INSERT INTO schema_migrations (number, name, checksum) "
            f"SELECT {migration.number}, '{migration.name}', '{migration.checksum}'"
        )
    return missing


def kept_days(engine: Engine) -> dict[str, int]:
    """Table → days that its rows are kept after they were written."""
    rows = engine.rows(
        r"SELECT name, extract(create_table_query, 'TTL ingested_at \\+ toIntervalDay\\((\\d+)\\)')"
        " AS days FROM system.tables WHERE database = currentDatabase() AND days != ''"
        " ORDER BY name"
    )
    return {_text(table): int(days) for table, days in rows}


def keep(engine: Engine, days: int) -> list[str]:
    """Sets how long rows are kept, those too that are there, and returns the tables where that
    was a change. Returns when the server has worked out anew when each part of them is due."""
    changed = [table for table, before in kept_days(engine).items() if before != days]
    for table in changed:
        engine.execute(
            f"ALTER TABLE {table} MODIFY TTL ingested_at + INTERVAL {days} DAY "
            "SETTINGS mutations_sync = 2"
        )
    return changed


def check(known: list[Migration], done: dict[int, tuple[str, str]]) -> None:
    """Raises MevstreamError if what was applied is not a beginning of what is known."""
    by_number = {migration.number: migration for migration in known}
    for number, (name, checksum) in done.items():
        migration = by_number.get(number)
        if migration is None:
            raise MevstreamError(
                f"the store has migration {name}, which this version does not know: "
                "it was written by a newer version"
            )
        if migration.checksum != checksum:
            raise MevstreamError(f"migration {name} has changed since it was applied")
    newest = max(done, default=0)
    for migration in known:
        if migration.number not in done and migration.number < newest:
            raise MevstreamError(
                f"migration {migration.name} is missing in the store, which has later ones"
            )


def _text(value: str | bytes) -> str:
    return value.decode() if isinstance(value, bytes) else value
