"""zstd frames: what goes in comes out, and nothing else gets through."""

import random
import threading
import tracemalloc
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from mevstream.codecs.frames import compress, decompress
from mevstream.errors import InputError

UNSIZED = zstandard.ZstdCompressor(write_content_size=False)
CHECKED = zstandard.ZstdCompressor(write_checksum=True)
CONTENT = random.Random(5).randbytes(4_000) + bytes(96_000)


def every_kind(content: bytes) -> dict[str, bytes]:
    stream = zstandard.ZstdCompressor().compressobj()
    return {
        "sized": compress(content),
        "unsized": UNSIZED.compress(content),
        "checksum": CHECKED.compress(content),
        "streamed": stream.compress(content[:9]) + stream.compress(content[9:]) + stream.flush(),
    }


@given(st.binary(max_size=2_000), st.integers(1, 40))
def test_round_trip(part: bytes, times: int) -> None:
    content = part * times
    frame = compress(content)
    assert zstandard.get_frame_parameters(frame).content_size == len(content)
    for kind in every_kind(content).values():
        assert decompress(kind) == content
        assert decompress(bytearray(kind)) == content
        assert decompress(memoryview(kind), max_size=len(content)) == content


@pytest.mark.parametrize("kind", every_kind(CONTENT))
@pytest.mark.parametrize("content", [CONTENT, b""], ids=["content", "empty"])
def test_cut_off_or_followed_by_anything(kind: str, content: bytes) -> None:
    frame = every_kind(content)[kind]
    cuts = range(len(frame)) if not content else random.Random(1).sample(range(len(frame)), 60)
    for size in cuts:
        with pytest.raises(InputError, match=r"^zstd: "):
            decompress(frame[:size])
    for tail in (b"\0", b"garbage", frame, zstandard.compress(b""), b"\x50\x2a\x4d\x18\0\0\0\0"):
        with pytest.raises(InputError, match=r"^zstd: .*(unused|follow)"):
            decompress(frame + tail)


@pytest.mark.parametrize("kind", every_kind(CONTENT))
def test_output_is_bounded(kind: str) -> None:
    frame = every_kind(CONTENT)[kind]
    with pytest.raises(InputError, match=f"above the limit of {len(CONTENT) - 1}"):
        decompress(frame, max_size=len(CONTENT) - 1)
    assert decompress(frame, max_size=len(CONTENT)) == CONTENT


def bombs() -> dict[str, bytes]:
    """Kilobytes that stand for gigabytes."""
    block = (128 * 1024 << 3 | 1 << 1).to_bytes(3, "little") + b"\0"  # 128 KiB of one byte
    last = (128 * 1024 << 3 | 1 << 1 | 1).to_bytes(3, "little") + b"\0"
    body = block * 32_767 + last  # 4 GiB
    head, window = b"\x28\xb5\x2f\xfd", b"\x38"
    return {
        "unsized": head + b"\x00" + window + body,
        "told": head + b"\xc0" + window + (4 << 30).to_bytes(8, "little") + body,
        "told as empty": head + b"\x20\x00" + body,
        "told as little": head + b"\x80" + window + (1000).to_bytes(4, "little") + body,
        "told as more than there is": head + b"\xc0" + window + (1 << 60).to_bytes(8, "little"),
        "window of 2 TiB": head + b"\x00" + b"\xff" + body,
    }


@pytest.mark.parametrize("bomb", bombs())
def test_bombs(bomb: str) -> None:
    frame = bombs()[bomb]
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"^zstd: ") as raised:
            decompress(frame, max_size=8 << 20)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert "\n" not in str(raised.value)
    assert peak < 32 << 20  # the limit and one piece more


@pytest.mark.parametrize(
    "data",
    [b"", b"\x28", b"\x28\xb5\x2f\xfd", b"hello, world", b"\x1f\x8b\x08\0\0\0\0\0\0\0",
     b"\x50\x2a\x4d\x18\x02\0\0\0ab", bytes(100)],
)  # fmt: skip
def test_other_formats(data: bytes) -> None:
    with pytest.raises(InputError, match=r"^zstd: "):
        decompress(data)


def test_damage_never_crashes() -> None:
    """Without a checksum damage may go unseen, but the size told must be the size given."""
    rng = random.Random(9)
    refused = 0
    for kind, frame in every_kind(CONTENT).items():
        for _ in range(500):
            damaged = bytearray(frame)
            for _ in range(rng.choice((1, 1, 3))):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            try:
                content = decompress(damaged, max_size=1 << 20)
            except InputError:
                refused += 1
            else:
                assert len(content) <= 1 << 20
                assert kind != "checksum" or content == CONTENT
    assert 0 < refused < 2_000


def test_a_dictionary_that_is_not_there() -> None:
    samples: list[Any] = [f"swap {i} of pool {i % 7}".encode() * 9 for i in range(2_000)]
    dictionary = zstandard.train_dictionary(4_096, samples)
    frame = zstandard.ZstdCompressor(dict_data=dictionary).compress(samples[0])
    with pytest.raises(InputError, match=r"^zstd: "):
        decompress(frame)


def test_threads_have_their_own_contexts() -> None:
    failures: list[Exception] = []

    def work(seed: int) -> None:
        rng = random.Random(seed)
        try:
            for _ in range(200):
                content = rng.randbytes(rng.randrange(500)) * 20
                assert decompress(compress(content)) == content
        except Exception as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
