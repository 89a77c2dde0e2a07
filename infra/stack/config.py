"""What a stack is made of, and the file in its folder that remembers it."""

from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError

from mevstream.errors import MevstreamError
from mevstream.infra.stack.clickhouse import clickhouse_service
from mevstream.infra.stack.kafka import kafka_service
from mevstream.infra.stack.s3 import s3_service
from mevstream.infra.stack.service import Service
from mevstream.infra.stack.valkey import valkey_service

SERVICES = ("kafka", "clickhouse", "valkey", "s3")


class StackConfig(BaseModel):
    """Where a stack lives and on which ports. `jars` is the folder of the broker's jars, `java`
    the program that runs them."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    folder: Path
    jars: Path
    java: Path
    services: tuple[str, ...]
    kafka_port: int
    kafka_controller_port: int
    kafka_heap_mb: int
    valkey_port: int
    s3_port: int
    clickhouse_port: int

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """The configuration that the stack in the folder was last started with, if any."""
        path = config_file(folder)
        try:
            return cls.model_validate_json(path.read_text())
        except FileNotFoundError:
            return None
        except (OSError, ValidationError) as error:
            raise MevstreamError(f"{path}: {str(error).splitlines()[0]}") from None

    def save(self) -> None:
        write_whole(config_file(self.folder), self.model_dump_json(indent=2))

    def same_servers(self, other: "StackConfig | None") -> bool:
        """Whether both stand for the same servers, whatever Java they run on."""
        return (
            other is not None
            and other.model_copy(update={"java": self.java, "jars": self.jars}) == self
        )

    @property
    def credentials(self) -> Path:
        """The file with the keys of the S3 server, in the form that AWS clients read."""
        return self.folder / "s3-credentials"

    def log(self, name: str) -> Path:
        return log_file(self.folder, name)

    def build(self) -> list[Service]:
        """The services, ready to be started. Raises MevstreamError for what is not installed."""
        return [getattr(self, f"_{name}")() for name in self.services]

    def _kafka(self) -> Service:
        return kafka_service(
            jars=self.jars,
            java=self.java,
            folder=self.folder / "kafka",
            log=self.log("kafka"),
            port=self.kafka_port,
            controller_port=self.kafka_controller_port,
            heap_mb=self.kafka_heap_mb,
        )

    def _clickhouse(self) -> Service:
        return clickhouse_service(
            folder=self.folder / "clickhouse",
            log=self.log("clickhouse"),
            port=self.clickhouse_port,
        )

    def _valkey(self) -> Service:
        return valkey_service(
            folder=self.folder / "valkey", log=self.log("valkey"), port=self.valkey_port
        )

    def _s3(self) -> Service:
        return s3_service(
            folder=self.folder / "s3",
            log=self.log("s3"),
            port=self.s3_port,
            credentials=self.credentials,
        )


def config_file(folder: Path) -> Path:
    return folder / "stack.json"


def log_file(folder: Path, name: str) -> Path:
    return folder / "logs" / f"{name}.log"


def write_whole(path: Path, text: str) -> None:
    """Replaces the file at once: whoever reads it sees the old text or the new one."""
    scratch = path.with_name(path.name + ".new")
    scratch.write_text(text)
    scratch.replace(path)
