"""Predicted cycles and exposures as the tests compare them: whole rows, without row numbers."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from mevstream.codecs.columns import NONE
from mevstream.codecs.opportunities import KEY_COLUMNS, Kind, OpportunityView, Origin, Role

Row = dict[str, Any]


def row(view: OpportunityView, table: str, number: int) -> Row:
    """A row of a table by its columns' names, keys and venues as what they are."""
    result: Row = {}
    for column in view.__dict__:
        if not column.startswith(f"{table}_"):
            continue
        value = getattr(view, column)[number]
        name = column.removeprefix(f"{table}_")
        if column in KEY_COLUMNS:
            result[name] = None if value == NONE else view.keys[value].tobytes()
        elif name in ("venue", "router"):
            result[name] = None if value == NONE else view.names[value]
        elif isinstance(value, np.ndarray):
            result[name] = value.tobytes()
        else:
            result[name] = value.item()
    return result


def foreseen(views: Iterable[OpportunityView]) -> list[Row]:
    """What is predicted; `at` is the place of the transaction that it hangs on."""
    found: list[Row] = []
    for view in views:
        for number in np.flatnonzero(view.opp_origin == Origin.predicted).tolist():
            one = row(view, "opp", number)
            tx = one.pop("first_tx")
            assert one.pop("last_tx") == tx
            one["at"] = (int(view.tx_slot[tx]), int(view.tx_index[tx]))
            for table, column in (("leg", view.leg_opp), ("victim", view.victim_opp)):
                rows = np.flatnonzero(column == number).tolist()
                one[table] = [row(view, table, n) for n in rows]
                for each in one[table]:
                    del each["opp"]
                    each.pop("leg" if table == "victim" else "tx")
            found.append(one)
    return found


def cycles(views: Iterable[OpportunityView]) -> list[Row]:
    """Predicted cycles, `hops` being the legs behind the target."""
    found = [one for one in foreseen(views) if one["kind"] != Kind.exposure]
    for one in found:
        assert [leg["role"] for leg in one["leg"]] == [
            Role.target,
            *[Role.hop] * (len(one["leg"]) - 1),
        ]
    return [{**one, "target": one["leg"][0], "hops": one["leg"][1:]} for one in found]


def exposures(views: Iterable[OpportunityView]) -> list[Row]:
    return [one for one in foreseen(views) if one["kind"] == Kind.exposure]


def alike(rows: Iterable[Row]) -> list[str]:
    """For comparing what came in another order."""
    return sorted(repr(sorted(one.items())) for one in rows)
