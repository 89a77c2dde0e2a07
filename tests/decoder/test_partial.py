"""Transactions of which something is of no use: decoded as far as they go, and marked."""

from mevstream.cext.decoder import BatchDecoder
from mevstream.codecs.parsed import ParsedView
from mevstream.schemas.confirmed_block_pb2 import ConfirmedTransaction
from mevstream.schemas.raw_pb2 import RawBatch

SUCCESS, PARTIAL = 1, 4
KEYS = [bytes([number]) * 32 for number in range(1, 5)]


def transaction() -> ConfirmedTransaction:
    message = ConfirmedTransaction()
    message.transaction.signatures.append(bytes(64))
    message.transaction.message.account_keys.extend(KEYS)
    message.transaction.message.instructions.add(program_id_index=3, accounts=bytes([0, 1]))
    message.meta.fee = 5_000
    return message


def decoded(message: ConfirmedTransaction) -> ParsedView:
    batch = RawBatch(slot=1, transactions=[message.SerializeToString()])
    return ParsedView(BatchDecoder().decode(batch.SerializeToString()))


def test_a_whole_transaction_is_not_partial() -> None:
    assert decoded(transaction()).tx_flags.tolist() == [SUCCESS]


def test_a_key_of_another_length_keeps_its_place() -> None:
    for place in range(4):
        message = transaction()
        message.transaction.message.account_keys[place] = b"short"
        view = decoded(message)
        assert view.tx_flags.tolist() == [SUCCESS | PARTIAL]
        assert view.tx_accounts.tolist() == [4]
        payer = view.keys[view.tx_payer[0]].tobytes()
        assert payer == (bytes([255]) * 32 if place == 0 else KEYS[0])


def test_a_program_outside_the_key_table() -> None:
    message = transaction()
    message.transaction.message.instructions.add(program_id_index=4)
    assert decoded(message).tx_flags.tolist() == [SUCCESS | PARTIAL]


def test_a_transaction_without_metadata_is_not_called_a_success() -> None:
    message = transaction()
    message.ClearField("meta")
    assert decoded(message).tx_flags.tolist() == [PARTIAL]


def test_inner_instructions_of_no_instruction() -> None:
    message = transaction()
    message.meta.inner_instructions.add(index=1).instructions.add(program_id_index=1)
    view = decoded(message)
    assert view.tx_flags.tolist() == [SUCCESS | PARTIAL]
    assert view.tx_inner_instructions.tolist() == [0]


def test_more_instructions_than_any_real_transaction_has() -> None:
    message = transaction()
    group = message.meta.inner_instructions.add(index=0)
    for _ in range(1_000):
        group.instructions.add(program_id_index=1, stack_height=2)
    view = decoded(message)
    assert view.tx_flags.tolist() == [SUCCESS | PARTIAL]
    assert view.tx_inner_instructions.tolist() == [1_000]
    assert view.n_swaps == 0
