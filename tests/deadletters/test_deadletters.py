"""Dead letters on a real broker: listed as they are, and sent back to where they came from."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, cast

import pytest
from confluent_kafka import Message, Producer
from kafka.broker import Kafka

from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.headers import Header, RecordHeaders, pack_record, unpack_record
from mevstream.codecs.raw import RawView, encode_raw
from mevstream.errors import MevstreamError
from mevstream.infra.reader import Reader, headers_of
from mevstream.infra.topics import Cluster, topic_specs
from mevstream.schemas.dead_letter_pb2 import DeadLetter
from mevstream.topologies.chain import DEAD_LETTER, MESSAGES, PARSED, RAW
from mevstream.topologies.deadletters import (
    REPLAYED_FROM,
    Filter,
    Place,
    Resend,
    group_letters,
    plan_replay,
    read_letters,
    replay,
)
from mevstream.topologies.parsed.stage import parse
from mevstream.topologies.raw.simulator import Simulator, SimulatorConfig
from mevstream.topologies.raw.sources import open_sources

SPECS = {s.name: s for s in topic_specs(raw_partitions=2, market_partitions=2, retention_hours=1)}


@pytest.fixture(autouse=True)
def topics(kafka: Kafka) -> None:
    """Empty topics of the chain for every test."""
    kafka.delete(SPECS)
    Cluster(kafka.servers).ensure(list(SPECS.values()))


@pytest.fixture(scope="module")
def transactions(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """Transactions that the decoder takes."""
    folder = tmp_path_factory.mktemp("chain")
    config = SimulatorConfig(seed=3, transactions_per_slot=12)
    from mevstream.topologies.raw.simulator import output

    write = output.file_writer(folder, "pb")
    for block in Simulator(config).blocks(1):
        write(block)
    (batch,) = open_sources([str(folder)])
    return [bytes(transaction) for transaction in RawView(batch).transactions]


@cache
def producer_of(kafka: Kafka) -> Producer:
    """Not idempotent: of a topic made anew the broker may take the first records for repeats of
    those of the old one, and then acknowledges them (without an offset) and drops them."""
    settings = {"enable.idempotence": False, "max.in.flight": 1, "log_level": 0}
    return kafka.producer(**settings)


def send(
    kafka: Kafka, topic: str, partition: int, value: bytes, headers: list[Header], key: bytes | None
) -> int:
    """The offset of the record."""
    offsets: list[int] = []

    def delivered(error: object, message: Message) -> None:
        assert error is None, error
        offset = message.offset()
        assert offset is not None
        offsets.append(offset)

    producer = producer_of(kafka)
    producer.produce(topic, value, key, partition, delivered, headers=cast(Any, headers))
    assert producer.flush(30) == 0
    return offsets[0]


def send_raw(kafka: Kafka, slot: int, transactions: list[bytes], seq: int = 0) -> DeadLetter:
    """Puts a batch on mev.raw; what a letter about it says of where it lies."""
    batch = encode_raw({"slot": slot, "seq": seq, "last": True}, transactions)
    headers = RecordHeaders(schema=MESSAGES[RAW], slot=slot, seq=seq, last=True)
    value, packed = pack_record(batch, headers)
    offset = send(kafka, RAW, 1, value, packed, b"key")
    about = DeadLetter(topic=RAW, partition=1, offset=offset, key=b"key", stage="parsed")
    about.headers.update({name: value or b"" for name, value in packed})
    return about


def send_letter(kafka: Kafka, about: DeadLetter, **fields: Any) -> Place:
    letter = DeadLetter(**{"error": "broken", "seen_ns": time.time_ns(), **fields})
    letter.MergeFrom(about)
    value, headers = pack_record(
        letter.SerializeToString(), RecordHeaders(schema=MESSAGES[DEAD_LETTER])
    )
    return Place(about.partition, send(kafka, DEAD_LETTER, about.partition, value, headers, None))


@pytest.fixture
def reader(kafka: Kafka) -> Iterator[Reader]:
    with Reader(kafka.servers) as reader:
        yield reader


def everything(reader: Reader, topic: str) -> list[Message]:
    return list(reader.scan(topic))


def run(kafka: Kafka, plan: Any) -> list[Resend]:
    done: list[Resend] = []
    replay(kafka.servers, plan, sent=done.append)
    return done


def test_no_letters_is_a_list_of_none(reader: Reader) -> None:
    assert list(read_letters(reader, Filter())) == []
    assert list(read_letters(reader, Filter(since_ms=0))) == []
    assert plan_replay(reader, Filter()).resends == []


def test_letters_are_found_by_what_they_tell(kafka: Kafka, reader: Reader) -> None:
    old = DeadLetter(topic=RAW, partition=0, offset=5, stage="parsed", slot=10)
    new = DeadLetter(topic=PARSED, partition=1, offset=6, stage="clickhouse")
    # Of a whole record only its headers tell the slot.
    new.headers["mev.slot"] = b"20"
    first = send_letter(kafka, old)
    second = send_letter(kafka, old, error="other")
    time.sleep(0.05)
    between = int(time.time() * 1000)
    third = send_letter(kafka, new, payload=b"abc")

    def found(**wanted: Any) -> set[Place]:
        return {letter.place for letter in read_letters(reader, Filter(**wanted))}

    assert found() == {first, second, third}
    assert found(topic=RAW) == {first, second}
    assert found(stage="clickhouse") == {third}
    assert found(first_slot=11) == {third}
    assert found(last_slot=19) == {first, second}
    assert found(first_slot=10, last_slot=10) == {first, second}
    assert found(since_ms=between) == {third}
    assert found(since_ms=between + 3_600_000) == set()
    assert found(places=[second]) == {second}
    groups = {(g.stage, g.error): g for g in group_letters(read_letters(reader, Filter()))}
    assert {key: group.letters for key, group in groups.items()} == {
        ("parsed", "broken"): 1,
        ("parsed", "other"): 1,
        ("clickhouse", "broken"): 1,
    }
    assert groups["clickhouse", "broken"].last_slot == 20


def test_a_record_goes_back_as_it_lies_there(
    kafka: Kafka, reader: Reader, transactions: list[bytes]
) -> None:
    about = send_raw(kafka, 7, transactions)
    (original,) = everything(reader, RAW)
    # A stage sees its input uncompressed.
    payload, _ = unpack_record(original.value() or b"", headers_of(original), schema=MESSAGES[RAW])
    place = send_letter(kafka, about, payload=payload)
    again = send_letter(kafka, about, payload=payload)

    (done,) = run(kafka, plan_replay(reader, Filter()))
    assert done.letters == [place, again]
    before, after = everything(reader, RAW)
    assert (after.partition(), after.key(), after.value()) == (1, b"key", before.value())
    told = (REPLAYED_FROM, f"{place},{again}".encode())
    assert headers_of(after) == [*headers_of(before), told]


@pytest.mark.parametrize("compressed", [True, False])
def test_a_record_that_is_not_kept_goes_back_from_its_letter(
    kafka: Kafka, reader: Reader, transactions: list[bytes], compressed: bool
) -> None:
    about = send_raw(kafka, 7, transactions)
    (original,) = everything(reader, RAW)
    payload, _ = unpack_record(original.value() or b"", headers_of(original), schema=MESSAGES[RAW])
    kafka.delete([RAW])
    Cluster(kafka.servers).ensure(list(SPECS.values()))
    # Something else has its offset now.
    send_raw(kafka, 8, transactions[:1])
    send_letter(kafka, about, payload=original.value() if compressed else payload)

    assert len(run(kafka, plan_replay(reader, Filter()))) == 1
    after = everything(reader, RAW)[-1]
    message, headers = unpack_record(after.value() or b"", headers_of(after), schema=MESSAGES[RAW])
    assert (message, after.key(), after.partition()) == (payload, b"key", 1)
    assert (headers.slot, headers.seq) == (7, 0)


def test_bytes_that_are_no_record_go_back_untouched(kafka: Kafka, reader: Reader) -> None:
    offset = send(kafka, PARSED, 0, b"\xff\x00junk", [("x", b"y")], None)
    about = DeadLetter(topic=PARSED, partition=0, offset=offset, stage="features")
    about.headers["x"] = b"y"
    place = send_letter(kafka, about, payload=b"\xff\x00junk")
    assert len(run(kafka, plan_replay(reader, Filter()))) == 1
    after = everything(reader, PARSED)[-1]
    assert (after.value(), after.key()) == (b"\xff\x00junk", None)
    assert headers_of(after) == [("x", b"y"), (REPLAYED_FROM, str(place).encode())]


def test_transactions_that_decode_now_bring_their_whole_batch(
    kafka: Kafka, reader: Reader, transactions: list[bytes]
) -> None:
    batch = [*transactions[:5], b"\xff no transaction", *transactions[5:]]
    about = send_raw(kafka, 7, batch)
    good = [send_letter(kafka, about, slot=7, seq=0, position=i, payload=batch[i]) for i in (2, 4)]
    bad = send_letter(kafka, about, slot=7, seq=0, position=5, payload=batch[5])

    plan = plan_replay(reader, Filter())
    assert [place for place, _ in plan.refused] == [bad]
    assert plan.refused[0][1].startswith("still not decoded")
    (done,) = run(kafka, plan)
    assert done.letters == good
    before, after = everything(reader, RAW)
    assert (after.value(), after.partition()) == (before.value(), before.partition())
    assert headers_of(after)[:-1] == headers_of(before)


def test_what_a_stage_gives_up_is_not_replayed_before_it_can_be_decoded(
    kafka: Kafka, reader: Reader, transactions: list[bytes]
) -> None:
    batch = [transactions[0], b"\xff"]
    about = send_raw(kafka, 7, batch)
    decode: Callable[[bytes], bytes] = BatchDecoder().decode
    *_, record = parse(encode_raw({"slot": 7}, batch), decode)
    letter = DeadLetter.FromString(record.value)
    letter.partition, letter.offset = about.partition, about.offset
    send_letter(kafka, letter)
    plan = plan_replay(reader, Filter())
    assert (plan.resends, len(plan.refused)) == ([], 1)

    def lenient(raw: bytes) -> bytes:
        """A decoder of a later version."""
        return decode(encode_raw({"slot": 7}, []))

    assert len(plan_replay(reader, Filter(), lenient).resends) == 1


def test_a_batch_that_is_not_kept_cannot_go_back(
    kafka: Kafka, reader: Reader, transactions: list[bytes]
) -> None:
    about = send_raw(kafka, 7, transactions)
    gone = DeadLetter()
    gone.CopyFrom(about)
    gone.offset = 1000
    other = send_raw(kafka, 8, transactions[3:])
    fields = {"slot": 7, "seq": 0, "position": 1, "payload": transactions[1]}
    lost = send_letter(kafka, gone, **fields)
    wrong = send_letter(kafka, other, **fields)
    plan = plan_replay(reader, Filter())
    assert [(place, "not kept" in reason) for place, reason in plan.refused] == [(lost, True)]
    # That its place has another batch shows when it is read.
    assert run(kafka, plan) == []
    assert [place for place, _ in plan.refused] == [lost, wrong]
    assert "another batch" in plan.refused[-1][1]
    assert len(everything(reader, RAW)) == 2


def test_letters_that_came_back_are_stood_for_by_their_later_ones(
    kafka: Kafka, reader: Reader
) -> None:
    about = DeadLetter(topic=PARSED, partition=0, offset=3, stage="clickhouse")
    first = send_letter(kafka, about, payload=b"x")
    for _ in range(3):
        plan = plan_replay(reader, Filter())
        assert len(plan.resends) == 1
        run(kafka, plan)
        # It fails again.
        *_, last = everything(reader, PARSED)
        failed = DeadLetter(topic=PARSED, partition=0, offset=last.offset() or 0)
        failed.headers.update({name: value or b"" for name, value in headers_of(last)})
        send_letter(kafka, failed, payload=b"x")
    plan = plan_replay(reader, Filter())
    assert plan.superseded == 3
    ((resend,),) = [plan.resends]
    assert resend.letters != [first]


def test_what_is_no_letter_is_told_and_does_not_stop_the_others(
    kafka: Kafka, reader: Reader
) -> None:
    junk = Place(0, send(kafka, DEAD_LETTER, 0, b"junk", [], None))
    nowhere = send_letter(kafka, DeadLetter(topic="mev.nothing", partition=0, offset=0))
    unplaced = send_letter(kafka, DeadLetter(topic=RAW, partition=1, offset=-1))
    good = send_letter(kafka, DeadLetter(topic=PARSED, partition=0, offset=0), payload=b"x")
    plan = plan_replay(reader, Filter())
    assert {place for place, _ in plan.refused} == {junk, nowhere, unplaced}
    assert [resend.letters for resend in plan.resends] == [[good]]


def test_a_cluster_that_is_away_is_one_clear_error() -> None:
    with (
        Reader("127.0.0.1:1") as reader,
        pytest.raises(MevstreamError, match=r"127\.0\.0\.1:1 does not answer "),
    ):
        list(read_letters(reader, Filter()))


def test_the_commands(
    kafka: Kafka, reader: Reader, transactions: list[bytes], tmp_path: Path
) -> None:
    def dlq(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "mevstream", "dlq", *arguments, "--kafka", kafka.servers]
        return subprocess.run(command, capture_output=True, text=True, input=stdin, timeout=60)

    assert dlq("ls").stdout == "no dead letters\n"
    assert json.loads(dlq("ls", "--format", "json").stdout) == []
    assert dlq("replay").stdout == "no letters to replay\n"

    about = send_raw(kafka, 7, transactions)
    place = send_letter(kafka, about, payload=b"\x00\xffpayload [bold]", error="bad [thing]")
    (group,) = json.loads(dlq("ls", "--format", "json").stdout)
    assert (group["topic"], group["stage"], group["letters"]) == (RAW, "parsed", 1)
    table = dlq("ls", "--records", "--slot", "7:9", "--since", "1h").stdout
    assert f"{place} " in table
    assert "bad [thing]" in table
    assert dlq("ls", "--slot", "8").stdout == "no dead letters\n"

    shown = dlq("show", str(place)).stdout
    assert "00 ff 70 61" in shown
    assert "..payload [bold]" in shown
    assert "mev.slot: 7" in shown
    file = tmp_path / "payload"
    dlq("show", str(place), "--payload", str(file))
    assert file.read_bytes() == b"\x00\xffpayload [bold]"

    assert f"({place})" in dlq("replay", "--dry-run").stdout
    assert dlq("replay", stdin="n\n").returncode == 1
    assert len(everything(reader, RAW)) == 1
    done = dlq("replay", "--yes", str(place))
    assert (done.returncode, done.stdout) == (0, "sent 1 records for 1 letters\n")
    assert len(everything(reader, RAW)) == 2

    for wrong in (
        ["show", "5"],
        ["show", "0/99"],
        ["ls", "--since", "soon"],
        ["ls", "--slot", "x"],
    ):
        failed = dlq(*wrong)
        assert (failed.returncode, failed.stderr.count("\n")) == (1, 1)
        assert failed.stderr.startswith("error: ")
