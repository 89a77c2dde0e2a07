"""Files, streams and the command."""

import gzip
import itertools
import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
import zstandard
from solders.pubkey import Pubkey
from solders.signature import Signature

from mevstream.errors import InputError
from mevstream.schemas.geyser_pb2 import SubscribeUpdate
from mevstream.schemas.raw_pb2 import RawBatch
from mevstream.topologies.raw.simulator import (
    Block,
    MevConfig,
    Simulator,
    SimulatorConfig,
    output,
)
from mevstream.topologies.raw.simulator.wire import message_bytes
from mevstream.topologies.raw.sources import open_sources

from . import replay
from .test_chain import SMALL


@pytest.fixture(scope="module")
def blocks() -> list[Block]:
    return list(Simulator(SimulatorConfig(seed=9, **SMALL)).blocks(3))


def run(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "mevstream", "simulate", *arguments],
        cwd=cwd,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)},
        check=False,
    )


def read(*paths: Path) -> tuple[list[bytes], set[tuple[object, ...]]]:
    """Transactions and slot headers, as the pipeline reads them."""
    transactions, headers = [], set()
    for message in open_sources([str(path) for path in paths]):
        batch = RawBatch.FromString(message)
        transactions += batch.transactions
        headers.add(
            (
                batch.slot,
                batch.parent_slot,
                batch.block_time,
                batch.blockhash,
                batch.parent_blockhash,
            )
        )
    return transactions, headers


@pytest.mark.parametrize("form", ["pb", "pb.zst", "pb.gz", "json", "base64.json"])
def test_every_form_reads_back_as_the_same_transactions(
    blocks: list[Block], form: output.Format, tmp_path: Path
):
    write = output.file_writer(tmp_path, form)
    for block in blocks:
        write(block)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"{b.slot}.{form}" for b in blocks]
    transactions, headers = read(tmp_path)
    assert transactions == [bytes(t) for b in blocks for t in b.transactions()]
    assert headers == {
        (b.slot, b.parent_slot, b.block_time, raw_hash(b.blockhash), raw_hash(b.parent_blockhash))
        for b in blocks
    }


def raw_hash(text: str) -> bytes:
    return bytes(Pubkey.from_string(text))


def test_compressed_files_hold_the_block(blocks: list[Block]):
    block = blocks[0]
    packed = output.encode(block, "pb.zst")
    assert zstandard.ZstdDecompressor().decompress(packed) == block.data
    assert gzip.decompress(output.encode(block, "pb.gz")) == block.data
    assert output.encode(block, "pb.gz") == output.encode(block, "pb.gz")


def test_stream_is_a_yellowstone_recording(blocks: list[Block], tmp_path: Path):
    path = tmp_path / "stream.bin"
    with path.open("wb") as file:
        write = output.stream_writer(file)
        for block in blocks:
            write(block)
    update = SubscribeUpdate.FromString(output.yellowstone_update(blocks[1]))
    assert update.WhichOneof("update_oneof") == "block"
    assert update.block.slot == blocks[1].slot
    assert [t.index for t in update.block.transactions] == list(range(len(blocks[1].ends)))
    assert [t.is_vote for t in update.block.transactions] == blocks[1].votes.tolist()
    for info in update.block.transactions:
        assert info.signature == info.transaction.signatures[0]
    transactions, headers = read(path)
    assert transactions == [bytes(t) for b in blocks for t in b.transactions()]
    assert {header[0] for header in headers} == {b.slot for b in blocks}


def test_signatures_can_be_real():
    config = SimulatorConfig(seed=9, sign=True, **SMALL)
    plain = SimulatorConfig(seed=9, **SMALL)
    (signed,), (random,) = (list(Simulator(c).blocks(1)) for c in (config, plain))
    assert signed.data != random.data
    versions = set()
    for one, two in zip(replay.parse(signed.data)[1], replay.parse(random.data)[1], strict=True):
        transaction = one.message.transaction
        message = transaction.message
        assert message == two.message.transaction.message
        assert one.message.meta == two.message.meta
        assert len(transaction.signatures) == message.header.num_required_signatures
        for signature, key in zip(transaction.signatures, message.account_keys, strict=False):
            verified = Signature.from_bytes(signature).verify(
                Pubkey.from_bytes(key), message_bytes(message)
            )
            assert verified
        versions.add((message.versioned, message.HasField("config")))
    assert len(versions) >= 2
    found = [record["signature"] for record in signed.truth]
    assert found
    assert found != [record["signature"] for record in random.truth]


def test_pace(blocks: list[Block]):
    slept: list[float] = []
    rate = 1000.0
    now = time.monotonic()
    for _ in output.paced(blocks[:2], rate):
        slept.append(time.monotonic() - now)
    passed = itertools.accumulate(b.counts["transactions"] for b in blocks[:2])
    assert all(late >= n / rate for late, n in zip(slept, passed, strict=True))


def test_command_writes_files_and_truth(tmp_path: Path):
    done = run("out", "--slots", "3", "--seed", "4", "--transactions", "200",
               "--truth", "truth.jsonl", cwd=tmp_path)  # fmt: skip
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    names = sorted(p.name for p in (tmp_path / "out").iterdir())
    assert names == [f"{400_000_000 + i}.pb.zst" for i in range(3)]
    lines = [json.loads(line) for line in (tmp_path / "truth.jsonl").read_text().splitlines()]
    config = SimulatorConfig(seed=4, transactions_per_slot=200, mev=MevConfig())
    assert lines == [
        record
        for block in Simulator(config).blocks(3)
        for record in (
            *block.truth,
            *block.opportunities,
            {"record": "slot", "slot": block.slot, **block.counts},
        )
    ]
    assert not list(tmp_path.rglob("*.partial"))


def test_command_leaves_a_full_folder_alone_unless_forced(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "precious").write_text("x")
    done = run("mine", "--slots", "1", cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == b"error: mine: the folder is not empty; --force writes into it anyway\n"
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["precious"]
    forced = run("mine", "--slots", "1", "--transactions", "50", "--force", cwd=tmp_path)
    assert forced.returncode == 0, forced.stderr
    assert (tmp_path / "mine" / "precious").read_text() == "x"
    assert len(list((tmp_path / "mine").iterdir())) == 2


def test_command_streams_to_stdout(tmp_path: Path):
    done = run("-", "--slots", "2", "--transactions", "100", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, b"")
    sizes = []
    rest = done.stdout
    while rest:
        size = int.from_bytes(rest[:4], "big")
        update = SubscribeUpdate.FromString(rest[4 : 4 + size])
        sizes.append(len(update.block.transactions))
        rest = rest[4 + size :]
    assert len(sizes) == 2
    assert all(sizes)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["out"], b"--slots"),
        (["out", "--slots", "1", "--rate", "0"], b"--rate"),
        (["out", "--slots", "1", "--seed", "-3"], b"seed"),
        (["out", "--slots", "1", "--first-slot", "5"], b"first_slot"),
        (["out", "--slots", "1", "--first-slot", str(2**64)], b"first_slot"),
        (["file", "--slots", "1"], b"file"),
        (["out", "--slots", "1", "--truth", "no/such/folder/t.jsonl"], b"no/such/folder"),
    ],
)
def test_command_names_what_is_wrong(arguments: list[str], word: bytes, tmp_path: Path):
    (tmp_path / "file").write_text("a file, no folder")
    done = run(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: ")
    assert done.stderr.count(b"\n") == 1
    assert word in done.stderr


def test_truth_file_is_whole_or_absent(blocks: list[Block], tmp_path: Path):
    path = tmp_path / "truth.jsonl"
    add_and_raise(path, blocks[0], InputError("the disk is full"))
    assert not list(tmp_path.iterdir())
    add_and_raise(path, blocks[0], KeyboardInterrupt())
    assert [p.name for p in tmp_path.iterdir()] == ["truth.jsonl"]
    assert len(path.read_bytes().splitlines()) == blocks[0].n_swaps + 1


def add_and_raise(path: Path, block: Block, error: BaseException) -> None:
    with suppress(type(error)), output.TruthFile(path) as truth:
        truth.add(block)
        raise error


def test_truth_through_a_pipe_or_a_link(blocks: list[Block], tmp_path: Path):
    """Neither is replaced by a file."""
    plain, link, pipe = (tmp_path / name for name in ("plain", "link", "pipe"))
    link.symlink_to(tmp_path / "target")
    os.mkfifo(pipe)
    # Open for reading and writing, so that neither end waits for the other.
    reader = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
    for path in (plain, link, pipe):
        with output.TruthFile(path) as truth:
            truth.add(blocks[0])
    assert link.is_symlink()
    assert pipe.is_fifo()
    assert link.read_bytes() == plain.read_bytes() == os.read(reader, 1 << 20)
    os.close(reader)
