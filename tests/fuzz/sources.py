"""Target: whole inputs as a user hands them over, and zstd frames. Refused in one line, or read."""

import gzip
import os
import tempfile
from pathlib import Path
from random import Random
from typing import Any

import orjson
import zstandard
from inputs.conversions import block_json, block_protobuf, framed, transaction_update

from fuzz.mutate import flip_bytes, mutate_wire
from fuzz.oracle import Finding
from fuzz.seeds import made_transactions, real_transactions, shared_data
from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.frames import compress, decompress
from mevstream.codecs.raw import RawView
from mevstream.errors import InputError
from mevstream.schemas.confirmed_block_pb2 import ConfirmedBlock
from mevstream.schemas.geyser_pb2 import SubscribeUpdate
from mevstream.schemas.raw_pb2 import RawBatch
from mevstream.topologies.raw.sources import open_sources

HEADER = RawBatch(slot=42, parent_slot=41, block_time=1_700_000_000, block_height=40,
                  blockhash=bytes(range(32)), parent_blockhash=bytes(32))  # fmt: skip
JSON_ENCODINGS = ("json", "base64", "base64+zstd", "base58")
# What a value in JSON is replaced with.
STRANGERS: list[Any] = [
    None, True, 0, -1, 2**31, 2**53, 2**63, 2**64 - 1, 1.5, 1e300, "", "0", "é", "\0", "1" * 100,
    "AAAA====", [], {}, [[]], [None], {"err": None}, "json", "jsonParsed", ["", "base64"],
]  # fmt: skip
MAX_BYTES = 1 << 20


def _mutate_json(value: Any, random: Random) -> Any:
    """A copy with one value, somewhere inside, replaced, left out or doubled."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        key = random.choice(list(value))
        if random.random() < 0.05:
            return {name: item for name, item in value.items() if name != key}
        return {**value, key: _mutate_json(value[key], random)}
    if isinstance(value, list) and value and random.random() < 0.9:
        at = random.randrange(len(value))
        items = [_mutate_json(value[at], random)] * random.choice((0, 1, 1, 1, 1, 2))
        return value[:at] + items + value[at + 1 :]
    if isinstance(value, str) and value and random.random() < 0.5:
        return flip_bytes(value.encode(), random).decode("utf-8", "replace")
    return random.choice(STRANGERS)


class SourcesTarget:
    """Files of every form: JSON, stored blocks, Yellowstone streams; plain, gzip, zstd."""

    name = "sources"
    inputs_a_turn = 1

    def __init__(self, random: Random) -> None:
        self.random = random
        shared = shared_data()
        self.transactions = made_transactions() + (real_transactions(shared) if shared else [])
        self.path = Path(tempfile.mkdtemp(prefix="fuzz-")) / "input"
        self.decoder = BatchDecoder()

    def generate(self) -> bytes:
        random = self.random
        payloads = random.choices(self.transactions, k=random.choice((0, 1, 2, 4)))
        match random.randrange(3):
            case 0:
                block: Any = block_json(payloads, HEADER, random.choice(JSON_ENCODINGS))
                block = random.choice((block, {"jsonrpc": "2.0", "result": block, "id": 1}))
                for _ in range(random.choice((0, 1, 1, 2, 4))):
                    block = _mutate_json(block, random)
                data = orjson.dumps(block, option=orjson.OPT_NON_STR_KEYS)
            case 1:
                data = block_protobuf(payloads, HEADER)
                for _ in range(random.choice((0, 1, 2, 4))):
                    data = mutate_wire(data, ConfirmedBlock.DESCRIPTOR, random)
            case _:
                data = self._stream(payloads)
        if random.random() < 0.3:
            data = flip_bytes(data, random)
        match random.randrange(6):
            case 0:
                data = gzip.compress(data, 1)
            case 1:
                data = zstandard.compress(data, 1)
            case _:
                return data
        return flip_bytes(data, random) if random.random() < 0.5 else data

    def _stream(self, payloads: list[bytes]) -> bytes:
        updates = [transaction_update(42, i, payload) for i, payload in enumerate(payloads)]
        if self.random.random() < 0.5:
            return framed(updates)
        parts = [
            mutate_wire(update.SerializeToString(), SubscribeUpdate.DESCRIPTOR, self.random)
            for update in updates
        ]
        return b"".join(len(part).to_bytes(4, "big") + part for part in parts)

    def check(self, data: bytes) -> int:
        self.path.write_bytes(data)
        try:
            for batch in open_sources([os.fspath(self.path)], slot=42, max_bytes=MAX_BYTES):
                # What a source hands out is a RawBatch, whatever its transactions hold.
                RawView(batch)
                self.decoder.decode(batch)
        except InputError as error:
            if "\n" in str(error) or os.fspath(self.path.name) not in str(error):
                raise Finding(
                    "an error that is not one line with the input", data, str(error)
                ) from None
        return 1


class FramesTarget:
    """zstd frames, damaged ones and bombs among them: never more output than allowed."""

    name = "frames"
    inputs_a_turn = 16
    LIMIT = 1 << 16

    def __init__(self, random: Random) -> None:
        self.random = random

    def generate(self) -> bytes:
        random = self.random
        size = random.choice((0, 1, 1000, self.LIMIT, self.LIMIT + 1, 1 << 22))
        content = random.choice((bytes(size), random.randbytes(min(size, 5000))))
        if random.random() < 0.5:
            frame = compress(content)
        else:
            writer = zstandard.ZstdCompressor(write_content_size=False).compressobj()
            frame = writer.compress(content) + writer.flush()
        return flip_bytes(frame, random) if random.random() < 0.7 else frame

    def check(self, data: bytes) -> int:
        try:
            content = decompress(data, self.LIMIT)
        except InputError as error:
            if "\n" in str(error):
                raise Finding("more than one line of error", data, str(error)) from None
            return 1
        if len(content) > self.LIMIT:
            raise Finding("more output than allowed", data)
        if decompress(compress(content), self.LIMIT) != content:
            raise Finding("compress and decompress disagree", data)
        return 1
