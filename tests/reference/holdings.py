"""What a transaction left with its signers, by the balances of one ConfirmedTransaction alone."""

from collections import Counter
from dataclasses import dataclass

from mevstream.schemas import confirmed_block_pb2 as cb
from reference.transaction import base58


@dataclass(frozen=True)
class Holdings:
    """Change of the lamports of the signers and their token accounts, of their tokens by mint."""

    lamports: int
    tokens: Counter[str]


def holdings(message: cb.ConfirmedTransaction) -> Holdings | None:
    """None where a token balance names no owner."""
    body, meta = message.transaction.message, message.meta
    signers = body.account_keys[: body.header.num_required_signatures]
    wallets = {base58(key) for key in signers}
    own, tokens = set(range(len(signers))), Counter[str]()
    for balances, sign in ((meta.pre_token_balances, -1), (meta.post_token_balances, 1)):
        for balance in balances:
            if not balance.owner:
                return None
            if balance.owner in wallets:
                own.add(balance.account_index)
                tokens[balance.mint] += sign * int(balance.ui_token_amount.amount or 0)
    return Holdings(sum(meta.post_balances[i] - meta.pre_balances[i] for i in own), tokens)
