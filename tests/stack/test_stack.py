"""`mevstream stack` as a user has it: up, status, crash, down, and what is told when it fails."""

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from clickhouse_driver import Client  # pyright: ignore[reportMissingTypeStubs]
from confluent_kafka import Consumer, Producer, TopicPartition
from pyarrow import fs

from mevstream.infra.stack.s3 import BUCKET
from stack.ports import free_ports, free_s3_port


class Stack:
    """A stack in a folder of its own, on free ports, by its commands."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        kafka, controller, clickhouse, valkey = free_ports(4)
        self.ports = {
            "kafka": kafka,
            "clickhouse": clickhouse,
            "valkey": valkey,
            "s3": free_s3_port(),
        }
        self.environment = {
            **os.environ,
            "MEVSTREAM_STACK_FOLDER": str(folder),
            "MEVSTREAM_KAFKA_PORT": str(kafka),
            "MEVSTREAM_KAFKA_CONTROLLER_PORT": str(controller),
            "MEVSTREAM_CLICKHOUSE_PORT": str(clickhouse),
            "MEVSTREAM_VALKEY_PORT": str(valkey),
            "MEVSTREAM_S3_PORT": str(self.ports["s3"]),
        }

    def __call__(self, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "mevstream", "stack", *arguments],
            env={**self.environment, **variables},
            capture_output=True,
            text=True,
            timeout=120,
        )

    def status(self) -> dict[str, dict[str, Any]]:
        return {row["name"]: row for row in json.loads(self("status", "--json").stdout)}

    def wait_healthy(self) -> dict[str, dict[str, Any]]:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            rows = self.status()
            if all(row["problem"] is None for row in rows.values()):
                return rows
        pytest.fail(str(self.status()))

    def supervisor(self) -> int:
        return json.loads((self.folder / "state.json").read_text())["supervisor"]["pid"]

    def key_pair(self) -> tuple[str, str]:
        text = (self.folder / "s3-credentials").read_text()
        key, secret = re.findall(r"^aws_\w+ = (\S+)$", text, re.M)
        return key, secret

    def s3(self, *, forged: bool = False) -> fs.S3FileSystem:
        key, secret = self.key_pair()
        return fs.S3FileSystem(
            access_key=key,
            secret_key=secret[::-1] if forged else secret,
            endpoint_override=f"127.0.0.1:{self.ports['s3']}",
            scheme="http",
            region="us-east-1",
        )

    def valkey(self, command: str) -> bytes:
        with socket.create_connection(("127.0.0.1", self.ports["valkey"]), 5) as connection:
            connection.sendall(command.encode() + b"\r\n")
            return connection.recv(1000)

    def clickhouse(self, sql: str) -> Any:
        client: Any = Client("127.0.0.1", self.ports["clickhouse"], send_receive_timeout=30)
        try:
            return client.execute(sql)
        finally:
            client.disconnect()

    def end_offset(self, topic: str) -> int:
        consumer = Consumer(
            {"bootstrap.servers": f"127.0.0.1:{self.ports['kafka']}", "group.id": "x"}
        )
        try:
            return consumer.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)[1]
        finally:
            consumer.close()


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    stack = Stack(tmp_path / "stack")
    yield stack
    stack("down")


def test_a_stack_lives_through_crashes_and_ends_in_good_order(stack: Stack) -> None:
    up = stack("up")
    assert up.returncode == 0, up.stderr
    assert "topic mev.raw created" in up.stdout
    rows = stack.wait_healthy()
    assert {name: row["address"] for name, row in rows.items()} == {
        name: f"127.0.0.1:{port}" for name, port in stack.ports.items()
    }
    assert all(row["state"] == "running" and row["memory_bytes"] > 0 for row in rows.values())

    # What each of them is there for.
    producer = Producer({"bootstrap.servers": rows["kafka"]["address"], "acks": "all"})
    producer.produce("mev.slots", b"value", key=b"key")
    assert producer.flush(30) == 0
    with stack.s3().open_output_stream(f"{BUCKET}/some/object") as file:
        file.write(b"lake")
    with pytest.raises(OSError, match="ACCESS_DENIED"):
        stack.s3(forged=True).get_file_info(f"{BUCKET}/some/object")
    assert stack.valkey("SET pool 1") == b"+OK\r\n"
    stack.clickhouse("CREATE TABLE slots ENGINE = MergeTree ORDER BY slot AS SELECT 7 AS slot")

    # Starting it once more changes nothing.
    again = stack("up")
    assert again.returncode == 0, again.stderr
    assert "was up already" in again.stdout
    assert {n: row["pid"] for n, row in stack.status().items()} == {
        n: row["pid"] for n, row in rows.items()
    }
    other = stack("up", MEVSTREAM_VALKEY_PORT="1")
    assert (other.returncode, other.stderr) == (
        1,
        f"error: the stack in {stack.folder} runs with other settings: "
        "end it first (mevstream stack down)\n",
    )

    # Keys are for their owner alone, and nowhere but in their file.
    credentials = stack.folder / "s3-credentials"
    assert stat.S_IMODE(credentials.stat().st_mode) == 0o600
    told = "".join(run.stdout + run.stderr for run in (up, again, stack("status"), stack("logs")))
    for text in stack.key_pair():
        assert text not in told
        holders = subprocess.run(["grep", "-rlaF", text, stack.folder], capture_output=True)
        assert holders.stdout.decode().split() == [str(credentials)]

    # A crash of the broker: the supervisor starts it again, the record is there.
    os.kill(rows["kafka"]["pid"], signal.SIGKILL)
    end = time.monotonic() + 30
    while stack.status()["kafka"]["pid"] in (None, rows["kafka"]["pid"]):
        assert time.monotonic() < end
    after = stack.wait_healthy()
    assert after["kafka"]["restarts"] == 1
    assert after["kafka"]["last_end"] == "kafka was ended by SIGKILL"
    assert after["valkey"]["pid"] == rows["valkey"]["pid"]
    assert stack.end_offset("mev.slots") == 1
    assert "kafka was ended by SIGKILL" in stack("logs", "supervisor").stdout

    # A crash of the supervisor: the services go on, and the next `up` takes over in order.
    os.kill(stack.supervisor(), signal.SIGKILL)
    assert "no supervisor runs" in stack("status").stdout
    taken = stack("up")
    assert taken.returncode == 0, taken.stderr
    assert "the stack is up" in taken.stdout
    assert not [row["pid"] for row in after.values() if psutil.pid_exists(row["pid"])]
    assert stack.end_offset("mev.slots") == 1
    with stack.s3().open_input_stream(f"{BUCKET}/some/object") as file:
        assert file.read() == b"lake"
    assert stack.clickhouse("SELECT slot FROM slots") == [(7,)]
    assert stack.valkey("GET pool") == b"$1\r\n1\r\n"

    pids = [*(row["pid"] for row in stack.wait_healthy().values()), stack.supervisor()]
    down = stack("down")
    assert (down.returncode, down.stdout) == (0, "the stack is down\n")
    assert not [pid for pid in pids if psutil.pid_exists(pid)]
    again = stack("down")
    assert (again.returncode, again.stdout) == (0, "the stack was down already\n")
    status = stack("status")
    assert status.returncode == 1
    assert "is not running" in " ".join(status.stdout.split())


def test_a_port_that_is_taken_is_told_before_anything_starts(stack: Stack) -> None:
    with socket.create_server(("127.0.0.1", stack.ports["valkey"])):
        up = stack("up")
    port = stack.ports["valkey"]
    assert up.returncode == 1
    assert up.stderr.splitlines()[-1] == (
        f"error: valkey: port {port} is taken by {psutil.Process().name()} (pid {os.getpid()}) "
        "(MEVSTREAM_VALKEY_PORT chooses another)"
    )
    assert not (stack.folder / "state.json").exists()


def test_a_service_that_cannot_start_is_one_line_and_leaves_nothing_running(stack: Stack) -> None:
    """A broker whose data folder is another cluster's."""
    data = stack.folder / "kafka" / "data"
    data.mkdir(parents=True)
    (data / "meta.properties").write_text("version=1\ncluster.id=someone-elses\nnode.id=77\n")
    up = stack("up")
    assert up.returncode == 1
    (line,) = (line for line in up.stderr.splitlines() if line.startswith("error: "))
    assert line.startswith("error: kafka ended with exit code 1: ")
    assert "77" in line
    assert not [row for row in stack.status().values() if row["pid"]]


def test_what_was_never_started(stack: Stack) -> None:
    assert stack("down").stdout == "the stack was down already\n"
    for command in ("status", "logs"):
        run = stack(command)
        assert run.returncode == 1
        assert run.stderr == (
            f"error: {stack.folder}: no stack was started here (mevstream stack up)\n"
        )


@pytest.mark.parametrize("variable", ["MEVSTREAM_STACK_FOLDER", "MEVSTREAM_CACHE"])
def test_a_folder_that_cannot_be_made_is_one_line(stack: Stack, variable: str) -> None:
    up = stack("up", **{variable: "/proc/nothing"})
    assert up.returncode == 1
    assert re.fullmatch(r"error: .*/proc/nothing.*No such file or directory.*\n", up.stderr)


def test_followed_logs_go_on(stack: Stack) -> None:
    logs = stack.folder / "logs"
    logs.mkdir(parents=True)
    (logs / "supervisor.log").write_text("one\ntwo\nthr")
    config = {"folder": str(stack.folder), "services": []}
    ports = ("kafka_port", "kafka_controller_port", "kafka_heap_mb", "valkey_port", "s3_port")
    ports = (*ports, "clickhouse_port")
    config |= {"jars": "/", "java": "/", **dict.fromkeys(ports, 1)}
    (stack.folder / "stack.json").write_text(json.dumps(config))
    command = [sys.executable, "-m", "mevstream", "stack", "logs", "supervisor", "-n", "1", "-f"]
    with subprocess.Popen(
        command, env={**stack.environment, "PYTHONUNBUFFERED": "1"}, stdout=subprocess.PIPE
    ) as follower:
        assert follower.stdout is not None
        assert follower.stdout.readline() == b"two\n"
        with (logs / "supervisor.log").open("a") as file:
            file.write("ee\nfour\n")
        assert [follower.stdout.readline() for _ in range(2)] == [b"three\n", b"four\n"]
        (logs / "supervisor.log").write_text("new\n")
        assert follower.stdout.readline() == b"new\n"
        follower.terminate()
