"""Settings: the command line over MEVSTREAM_… in the environment over a TOML file over defaults."""

import os
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from mevstream.cext.base58 import decode_sized
from mevstream.errors import MevstreamError

CONFIG_VARIABLE = "MEVSTREAM_CONFIG"


def user_cache() -> Path:
    """Where this user's programs keep what they can get again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mevstream"


HUB_MINTS = (
    "So11111111111111111111111111111111111111112",  # wrapped SOL
    "EPjFWdd5AufqSSqeM2qN1xzybapC8G4wEGGkZwyTDt1v",  # USDC
    "Es9vMFrzaCERmJfrF4H2FYD4KCoNkY11McCe8BenwNYB",  # USDT
    "USD1ttGY1N17NEEHLmELoaybftRBUSErhqYiQzvEmuB",  # USD1
)


class Settings(BaseSettings):
    """What the commands need to know beyond their arguments."""

    model_config = SettingsConfigDict(env_prefix="MEVSTREAM_", extra="forbid", frozen=True)

    # Not `data`: $MEVSTREAM_DATA is where the tests find real blocks.
    store: Path = Field(Path("data/mevstream"), description="folder of the embedded warm store")
    chain: str = Field("solana", min_length=1, description="name in the column `chain`")
    batch_size: int = Field(256, ge=1, le=256, description="transactions a raw batch")
    flush_transactions: int = Field(
        1 << 16, ge=1, description="transactions (votes too) that are written to the store at once"
    )
    flush_bytes: int = Field(48 << 20, ge=1 << 20, description="the same, in bytes of records")
    kafka: str | None = Field(
        None, min_length=1, description="bootstrap servers of Kafka; default: the local stack's"
    )
    raw_partitions: int = Field(4, ge=1, le=10_000, description="partitions of mev.raw")
    market_partitions: int = Field(
        4, ge=1, le=10_000, description="partitions of the topics that are split by market"
    )
    hub_mints: Annotated[tuple[str, ...], NoDecode] = Field(
        HUB_MINTS,
        description="mints that most others are traded against, in base58, with commas between: "
        "such a mint is no market of its own",
    )
    pools: int = Field(
        1 << 16, ge=1, le=1 << 24, description="pools whose state a market partition remembers"
    )
    predicted_net: int = Field(
        0, ge=0, description="lamports that a predicted cycle has to bring above fee and tip"
    )
    exposure_net: int = Field(
        10_000_000,
        ge=0,
        description="lamports that somebody in front of a swap would have had to gain, costs paid, "
        "for it to be told as exposed",
    )
    predicted_slots: int = Field(
        4, ge=1, le=10_000, description="slots after its own that a predicted cycle is told for"
    )
    tip_percentile: float = Field(
        50, gt=0, le=100, description="of late tips: what a predicted cycle is reckoned to pay"
    )
    tip_lamports: int | None = Field(
        None, ge=0, description="what it is reckoned to pay, whatever others do"
    )
    topic_retention_hours: int = Field(
        24, ge=1, description="how long Kafka keeps the records of topics that are not compacted"
    )
    group_prefix: str = Field(
        "mevstream",
        pattern=r"^[A-Za-z0-9._-]+$",
        description="what the names of consumer groups begin with",
    )
    worker_records: int = Field(
        32, ge=1, description="records of its input that a link has in hand at most"
    )
    worker_bytes: int = Field(32 << 20, ge=1 << 20, description="the same, in bytes")
    checkpoint_seconds: float = Field(
        5.0, gt=0, description="from one snapshot of a stateful link's partition to the next"
    )
    order_idle_seconds: float = Field(
        20.0,
        gt=0,
        description="a partition that gets nothing for so long waits no more for batches",
    )
    order_wait_seconds: float = Field(
        60.0, gt=0, description="the longest that a batch waits for those before it"
    )
    order_bytes: int = Field(
        64 << 20, ge=1 << 20, description="bytes that wait at most, a market partition"
    )
    delivery: Literal["at-least-once", "exactly-once"] = Field(
        "at-least-once", description="what workers promise to readers of committed records"
    )
    transaction_ms: int = Field(
        100, ge=1, le=3000, description="the longest that a transaction of such a worker takes in"
    )
    stack_folder: Path = Field(Path("data/stack"), description="data and logs of the local stack")
    cache: Path = Field(
        default_factory=user_cache, description="folder of software that is fetched once"
    )
    kafka_port: int = Field(9092, ge=1, le=65535, description="port of the local broker")
    kafka_controller_port: int = Field(
        9093, ge=1, le=65535, description="port of the local broker's controller"
    )
    kafka_heap_mb: int = Field(256, ge=128, description="heap of the local broker, in MiB")
    clickhouse_port: int = Field(
        9000, ge=1, le=65535, description="port of the local ClickHouse (native protocol)"
    )
    clickhouse: str | None = Field(
        None, min_length=1, description="ClickHouse server, host:port; default: the local stack's"
    )
    clickhouse_user: str = Field("default", min_length=1, description="user of that server")
    clickhouse_password: SecretStr = Field(SecretStr(""), description="that user's password")
    clickhouse_password_file: Path | None = Field(
        None, description="a file that has the password as its only line"
    )
    clickhouse_database: str = Field(
        "default", min_length=1, description="database that holds the warm store's tables"
    )
    clickhouse_secure: bool = Field(False, description="speak TLS to that server")
    clickhouse_ca_certs: Path | None = Field(
        None, description="certificates that the server's is checked by; default: the system's"
    )
    redis: str | None = Field(
        None,
        pattern="^(rediss?|unix)://",
        description="URL of the hot store, without a password; default: the local stack's",
    )
    redis_password: SecretStr = Field(SecretStr(""), description="password of the hot store")
    redis_password_file: Path | None = Field(None, description="file that has it, instead")
    hot_seconds: int = Field(
        3600, ge=1, description="how long the hot store keeps a pool after its last swap"
    )
    clickhouse_timeout: float = Field(
        300, gt=0, description="seconds that a statement may take to answer"
    )
    warm_days: int = Field(
        7, ge=1, le=3650, description="how long the warm store keeps a row (`mevstream migrate`)"
    )
    valkey_port: int = Field(6379, ge=1, le=65535, description="port of the local Valkey")
    s3_port: int = Field(
        8333, ge=1, le=55531, description="port of the local S3 server, which needs the next 9, too"
    )
    metrics_host: str = Field(
        "127.0.0.1", min_length=1, description="address on which metrics and health are served"
    )
    metrics_port: int | None = Field(
        None, ge=0, le=65535, description="its port; 0: any free one, which is logged; none: off"
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="the least that long-running commands log"
    )
    otlp_endpoint: str | None = Field(
        None, pattern="^https?://", description="OpenTelemetry collector that gets the spans"
    )
    trace_ratio: float = Field(
        0.01, ge=0, le=1, description="share of the raw batches of a source whose way is traced"
    )

    lake: str = Field(
        "data/lake", min_length=1, description="the Parquet lake: a folder or s3://bucket/prefix"
    )
    lake_endpoint: str | None = Field(
        None, min_length=1, description="S3 server of the lake, http://host:port; default: Amazon's"
    )
    lake_days: int = Field(90, ge=1, description="how long the lake keeps a file")
    lake_file_mb: int = Field(
        128, ge=1, le=4096, description="size of the files that compaction makes, in MiB"
    )
    lake_grace_seconds: int = Field(
        3600, ge=60, description="how long files that no longer count stay for those who read them"
    )

    @field_validator("hub_mints", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return [part for part in re.split(r"[,\s]+", value) if part]
        return value

    @field_validator("hub_mints")
    @classmethod
    def _mints(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for mint in value:
            decode_sized(mint, 32)
        return value

    @property
    def kafka_servers(self) -> str:
        """Bootstrap servers: those that are set, else the local stack."""
        return self.kafka or f"127.0.0.1:{self.kafka_port}"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        file = os.environ.get(CONFIG_VARIABLE)
        toml = TomlConfigSettingsSource(settings_cls, toml_file=Path(file) if file else None)
        return init_settings, env_settings, toml


def load_settings(**given: Any) -> Settings:
    """The settings, with those of the command line that are not None on top.

    $MEVSTREAM_CONFIG names a TOML file. Raises MevstreamError for a file that is missing or no
    TOML, an unknown name in it, and a value out of range.
    """
    file = os.environ.get(CONFIG_VARIABLE)
    if file and not Path(file).is_file():
        raise MevstreamError(f"{CONFIG_VARIABLE}={file}: no such file")
    try:
        return Settings(**{name: value for name, value in given.items() if value is not None})
    except tomllib.TOMLDecodeError as error:
        raise MevstreamError(f"{file}: {error}") from None
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise MevstreamError(f"setting {name}: {first['msg']}") from None
