"""Known figures of real blocks and transactions, and every amount against the program's own event.

The reference decoder is what is tested here; the compiled decoder is held against it, leg by leg,
in test_reference.py. A figure that is wrong in both would have to be wrong in the events too.
"""

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from reference import load
from reference.decoder import Leg
from reference.events import raw_events, router_events, swap_events
from reference.load import Decoded
from reference.transaction import WSOL, Tx

from mevstream.cext import base58
from mevstream.errors import InputError

VENUES = (
    "raydium_amm_v4",
    "raydium_clmm",
    "raydium_cpmm",
    "orca_whirlpool",
    "meteora_dlmm",
    "pump_fun",
    "pump_swap",
    "phoenix",
    "meteora_damm_v1",
    "lifinity_v2",
)
SWAPS = {
    285000037: (114, 4, 0, 4, 3, 12, 0, 3, 0, 0),
    316719544: (92, 5, 1, 7, 5, 35, 0, 0, 0, 1),
    332254908: (40, 40, 0, 6, 8, 16, 35, 0, 2, 7),
}
OTHER_SWAPS = {
    285000037: {},
    316719544: {"zerofi": 2, "solfi": 3, "openbook_v2": 1},
    332254908: {
        "zerofi": 6,
        "solfi": 3,
        "obric_v2": 1,
        "fluxbeam": 1,
        "orca_v2": 1,
        "stabble_stable": 2,
        "saber": 1,
    },
}
# transactions, votes, failed, transactions with a Jito tip, lamports tipped
COUNTS = {
    285000037: (557, 62, 99, 49, 73_424_641),
    316719544: (2021, 1644, 37, 135, 523_449_098),
    332254908: (1862, 1380, 231, 82, 68_947_871),
}
# Programs that tell of every swap, in every transaction of the data folder.
TELLING = {
    "raydium_amm_v4": "ray_log",
    "raydium_clmm": "clmm",
    "pancake_swap": "clmm",
    "byreal": "clmm",
    "raydium_cpmm": "cpmm",
    "goosefx_gamma": "gamma",
    "orca_whirlpool": "whirlpool",
    "meteora_dlmm": "dlmm",
    "meteora_damm_v2": "damm_v2",
    "meteora_dbc": "dbc",
    "pump_fun": "pump_fun",
    "pump_swap": "pump_swap",
}
# Whirlpools began to tell between these two blocks; a local validator ran an older program.
WITHOUT_TRADED_EVENT = ("285000037", "316719544", "yugure_")


def of_block(corpus: list[Decoded], slot: int) -> list[Decoded]:
    return [entry for entry in corpus if entry[0].startswith(str(slot))]


@pytest.mark.parametrize("slot", SWAPS)
def test_swaps_per_venue(corpus: list[Decoded], slot: int) -> None:
    venues = Counter(leg.venue for _, _, decoded in of_block(corpus, slot) for leg in decoded.legs)
    expected = dict(zip(VENUES, SWAPS[slot], strict=True)) | OTHER_SWAPS[slot]
    assert dict(venues) == {venue: count for venue, count in expected.items() if count}


@pytest.mark.parametrize("slot", COUNTS)
def test_transaction_counts(corpus: list[Decoded], slot: int) -> None:
    decoded = [decoded for _, _, decoded in of_block(corpus, slot)]
    tipped = [tx.tip_lamports for tx in decoded if tx.tip_lamports]
    votes = sum(tx.is_vote for tx in decoded)
    failed = sum(not tx.success for tx in decoded)
    assert (len(decoded), votes, failed, len(tipped), sum(tipped)) == COUNTS[slot]


def test_every_amount_equals_the_event(corpus: list[Decoded]) -> None:
    compared: Counter[str] = Counter()
    for name, message, decoded in corpus:
        if not decoded.success:
            continue
        events = defaultdict(list)
        for event in swap_events(Tx(message)):
            events[event.ix.path].append(event)
        for leg in decoded.legs:
            kind = TELLING.get(leg.venue)
            if kind is None or (kind == "whirlpool" and name.startswith(WITHOUT_TRADED_EVENT)):
                continue
            assert events[leg.path], f"{name} {leg}: no event"
            event = events[leg.path].pop(0)
            assert event.kind == kind
            assert (leg.amount_in, leg.amount_out) == (event.amount_in, event.amount_out), name
            assert event.pool in (None, leg.pool), name
            assert event.trader in (None, leg.trader), name
            compared[leg.venue] += 1
        left = [event for left in events.values() for event in left]
        assert not [e for e in left if e.kind in TELLING.values()], f"{name}: an event without leg"
    assert compared == {
        "raydium_amm_v4": 258,
        "pump_fun": 77,
        "raydium_clmm": 59,
        "pump_swap": 43,
        "meteora_dlmm": 22,
        "orca_whirlpool": 16,
        "raydium_cpmm": 3,
        "goosefx_gamma": 1,
        "pancake_swap": 1,
        "byreal": 1,
        "meteora_damm_v2": 1,
        "meteora_dbc": 1,
    }


# Venues that may take less than a router offers them: whole lots, a price limit in tokens out,
# fees rounded in the trader's favour. Routers tell what they offered.
TAKES_LESS = {"phoenix", "openbook_v2", "pump_fun", "pump_swap", "orca_v1", "orca_v2"}


def test_routers_tell_what_the_trader_paid_and_got(corpus: list[Decoded]) -> None:
    compared: Counter[str] = Counter()
    for name, message, decoded in corpus:
        tx = Tx(message)
        by_path = {ix.path: ix for ix in tx.instructions}
        hops = defaultdict(list)
        for event in router_events(tx) if decoded.success else []:
            hops[event.ix.path].append(event)
        for leg in decoded.legs:
            above = by_path[leg.path].parent
            while above is not None and above.path not in hops:
                above = above.parent
            if above is None:
                continue
            event = hops[above.path].pop(0)
            assert event.program in (None, leg.program), name
            assert (event.mint_in, event.mint_out) == (leg.mint_in, leg.mint_out), name
            offered, taken = event.amount_in, leg.trader_in or 0
            assert offered == taken or (leg.venue in TAKES_LESS and offered > taken), name
            if leg.venue != "pump_fun":  # its early sales do not tell their fee
                assert event.amount_out == leg.trader_out, name
            compared["equal" if offered == taken else "less"] += 1
        # Helium's treasury burns for a payment; Jupiter calls that a hop, but nobody traded.
        left = {event.program for events in hops.values() for event in events}
        assert left <= {"treaf4wWBBty3fHdyBpo35Mz84M8k3heKXmjmi9vFt5"}, name
    assert compared == {"equal": 135, "less": 10}


def test_dynamic_vaults_round_what_the_damm_v1_event_tells(corpus: list[Decoded]) -> None:
    """The event tells amounts before the vaults' shares are rounded: at most one unit less leaves,
    and the part of the input that reaches the pool is told slightly too low."""
    compared = 0
    for name, message, decoded in corpus:
        events = {event.ix.path: event for event in swap_events(Tx(message))}
        for leg in decoded.legs:
            if leg.venue == "meteora_damm_v1":
                event = events[leg.path]
                assert event.amount_out - leg.amount_out in (0, 1), name
                assert 0 <= leg.amount_in - event.amount_in <= 4 + leg.amount_in / 10**7, name
                compared += 1
    assert compared == 5


def test_vault_balances_follow_the_pump_swap_events(corpus: list[Decoded]) -> None:
    compared = 0
    for name, message, decoded in corpus:
        before: dict[str, tuple[int, int]] = {}
        for raw in raw_events(Tx(message)):
            if raw.transport == "cpi" and raw.data[:4].hex() in ("67f4521f", "3e2f370a"):
                base, quote = (int.from_bytes(raw.data[at : at + 8], "little") for at in (48, 56))
                before[raw.ix.path] = base, quote
        for leg in decoded.legs:
            if leg.venue != "pump_swap":
                continue
            base, quote = before[leg.path]
            sold = (base + leg.amount_in, quote - leg.amount_out)
            bought = (quote + leg.amount_in, base - leg.amount_out)
            assert (leg.reserve_in, leg.reserve_out) in (sold, bought), name
            compared += 1
    assert compared == 43


def test_curve_reserves_are_the_vaults_less_what_waits_for_migration(
    corpus: list[Decoded],
) -> None:
    """206.9 million of the tokens in a Pump.fun vault are not for sale on the curve; anyone can
    send it more."""
    compared = 0
    for name, message, decoded in corpus:
        tx = Tx(message)
        by_path = {ix.path: ix for ix in tx.instructions}
        for leg in decoded.legs:
            if leg.venue == "pump_fun":
                sold = leg.mint_out == WSOL
                vault, reserve = (
                    (leg.vault_in, leg.reserve_in) if sold else (leg.vault_out, leg.reserve_out)
                )
                held = tx.balance_after(by_path[leg.path], vault or "")
                assert held is not None, name
                assert 0 <= held - (reserve or 0) - 206_900_000_000_000 <= 1, name
                compared += 1
    assert compared == 77


def test_transactions_decode_as_expected(shared_data: Path, corpus: list[Decoded]) -> None:
    expected = json.loads((shared_data / "transactions" / "expected.json").read_text())
    assert len(expected) == 79
    by_file: dict[str, list[Decoded]] = defaultdict(list)
    for entry in corpus:
        by_file[entry[0].split("[")[0]].append(entry)
    swaps = 0
    for path, wanted in expected.items():
        entries = by_file[Path(path).name]
        if wanted["failed"] is None:
            continue
        ((_, _, decoded),) = entries
        assert decoded.success is not wanted["failed"], path
        assert decoded.signature == base58.decode(wanted["signature"]).hex(), path
        if wanted["arbitrage"]:
            assert decoded.fee == wanted["arbitrage"]["fee"], path
            assert decoded.fee_payer == wanted["arbitrage"]["payer"], path
            assert decoded.tip_lamports == wanted["arbitrage"]["jito_tip"], path
        legs = {leg.path: leg for leg in decoded.legs}
        for swap in wanted["swaps"] or []:
            assert told(legs[swap["ix_path"]], swap) == swap, path
            swaps += 1
        common = {swap["ix_path"] for swap in wanted["swaps"] or []}
        covered = set(VENUES[:7]) | {"meteora_damm_v2"}
        assert {path for path, leg in legs.items() if leg.venue in covered} == common, path
    assert swaps == 37


def told(leg: Leg, swap: dict[str, Any]) -> dict[str, Any]:
    """`leg` in the shape of expected.json; a pool that is not told there is not compared."""
    return {
        "ix_path": leg.path,
        "venue": leg.venue,
        "pool": leg.pool if swap["pool"] else None,
        "mint_in": leg.mint_in,
        "mint_out": leg.mint_out,
        "amount_in": leg.amount_in,
        "amount_out": leg.amount_out,
        "error": None,
    }


# Legs of the transactions whose venues expected.json does not list: found by reading them.
RARE = {
    "jowency_swap_fusion_via_pumpswap_1": {"1.0": ("fusion_amm", 633817476, 241459898511)},
    "jowency_swap_manifest_1": {
        "4.1": ("bisonfi", 24500000000, 2069647083),
        "4.5": ("bisonfi", 25500000000, 2153954480),
        "4.9": ("manifest", 41392941, 41392001),
        "4.13": ("alphaq", 2028254142, 2028226657),
        "5.1": ("bisonfi", 4223573138, 50000597721),
    },
    "jowency_swap_mercurial_1": {
        "3.1": ("mercurial", 39000000, 28374965),
        "4.5": ("one_dex", 3262614, 39013569),
    },
    "jowency_swap_nina_2": {
        "4.1": ("goonfi_v2", 349794064, 15292682),
        "4.5": ("bisonfi", 15292682, 349810712),
    },
    "jowency_swap_orca_v1_1": {"2.1": ("orca_v1", 69546217, 7650067)},
    "jowency_swap_saber_1": {
        "1.1": ("meteora_damm_v1", 2466649, 210160),
        "1.9": ("saber", 210160, 210113),
    },
    "jowency_swap_saros_1": {
        "3.3": ("saros", 1315700316238, 7414233044),
        "3.10": ("humidifi", 3536105, 42260790),
    },
    "jowency_jupiter_route_7": {"2.10": ("bisonfi", 1768188916, 154413981)},
    "jowency_jupiter_route_8": {
        "0.1": ("scorch", 140520348, 1609710000),
        "0.6": ("pancake_swap", 1609710000, 140592819),
    },
    "jowency_jupiter_route_unrecognized_1": {"2.0": ("manifest", 84115879, 84139267)},
    "jowency_multi_swap_titan_alphaq_1": {"4.2": ("alphaq", 630075067, 629755419)},
    "jowency_swap_1dex_1": {"5.2": ("one_dex", 113355, 9479)},
    "jowency_swap_burn_raydium_cpmm_1": {"0.1": ("unknown", 10000000, 90498805254)},
    "jowency_swap_byreal_via_jupiter_2": {"4.1": ("byreal", 10000000, 38036476)},
    "jowency_swap_exa6gyh_via_meteora_1": {"2.0": ("alphaq", 1000000, 1000191)},
    "jowency_swap_exa6gyh_via_pumpswap_1": {"4.7": ("unknown", 221223460, 19336212)},
    "jowency_swap_exa6gyh_via_pumpswap_3": {"4.7": ("unknown", 246839778, 21583785)},
    "jowency_swap_fluxbeam_2": {"4": ("fluxbeam", 329802283, 164905867173019)},
    "jowency_swap_frlmh_2": {"1.0": ("humidifi", 399998258, 40227645850)},
    "jowency_swap_goosefx_gamma_1": {
        "2.10": ("goosefx_gamma", 195483, 82249),
        "2.15": ("tessera", 82249, 16341),
    },
    "jowency_swap_jupiterorderengine_2": {"3": ("jupiter_order_engine", 20000000000, 46707774954)},
    "jowency_swap_meteora_damm_1": {"2": ("meteora_damm_v1", 61094391141, 23958328)},
    "jowency_swap_mintech_1": {"3.0": ("meteora_dbc", 2431999, 2)},
    "jowency_swap_orca_v2_1": {
        "3.3": ("orca_v2", 70057147, 4530372),
        "3.7": ("alphaq", 923475600, 1177228399),
    },
    "jowency_swap_raydium_amm_1": {"4.1": ("raydium_stable", 16772752, 16723744)},
    "jowency_swap_solfiv2_1": {"3.1": ("solfi_v2", 129292779, 129301140)},
    "jowency_swap_stabble_1": {
        "6.2": ("stabble_stable", 2846, 2846),
        "6.7": ("meteora_damm_v1", 2846, 34123),
    },
    "jowency_swap_tesserav_via_pumpswap_1": {"3.1": ("goonfi_v2", 2276284449, 199001479)},
    "metamask_swap_sol_to_obric_0": {"3.0": ("obric_v2", 991250, 5903984)},
    "yugure_swapV2_Supplemental": {"0": ("orca_whirlpool", 139920, 99000)},
    "yugure_swapV2_TransferHook": {"0": ("orca_whirlpool", 100000, 2374148)},
}


def test_rare_venues(shared_data: Path, corpus: list[Decoded]) -> None:
    expected = json.loads((shared_data / "transactions" / "expected.json").read_text())
    listed = {
        (Path(path).name.removesuffix(".json.gz"), swap["ix_path"])
        for path, wanted in expected.items()
        for swap in wanted["swaps"] or []
    }
    found: dict[str, dict[str, tuple[str, int, int]]] = defaultdict(dict)
    for entry, _, decoded in corpus:
        name = entry.split(".json")[0]
        for leg in decoded.legs:
            if entry.endswith(".json.gz[0]") and (name, leg.path) not in listed:
                found[name][leg.path] = leg.venue, leg.amount_in, leg.amount_out
    found = {name: legs for name, legs in found.items() if not name.isdigit()}
    two_hops = found.pop("yugure_twoHopSwapV2_TransferFee")
    assert found == RARE
    assert two_hops == {"1": ("orca_whirlpool", 24163, 565652)}


def test_token_2022_fee_two_hop(corpus: list[Decoded]) -> None:
    """The first pool gives what the second takes; the mint's fee is the trader's loss."""
    (decoded,) = [d for n, _, d in corpus if n.startswith("yugure_twoHop") and d.legs]
    first, second = decoded.legs
    assert (first.leg, second.leg) == (0, 1)
    assert first.mint_out == second.mint_in
    assert (first.amount_in, first.amount_out) == (1000, 24163)
    assert (second.amount_in, second.amount_out) == (24163, 565652)


GOLDEN = {
    "OKXDEX_commissionSolSwap2": [("7.0", "raydium_amm_v4", 63629071, 5238716646)],
    "OKXDEX_commissionSplProxySwap": [
        ("3.1", "phoenix", 249243111, 1154100000),
        ("3.5", "raydium_amm_v4", 1154100000, 6373264828),
    ],
    "OKXDEX_swap_0": [
        ("3.0", "raydium_cpmm", 358800, 15742),
        ("3.3", "raydium_clmm", 15742, 74619),
    ],
    "OKXDEX_swap_1": [("7.0", "meteora_dlmm", 10000000000, 998528432013)],
    "OKXDEX_swap_2": [("4.0", "raydium_amm_v4", 58882325154, 1173873)],
    "jupiterAggregatorV6_Route_1": [("5.0", "raydium_amm_v4", 400000000, 3861519639304)],
    "jupiterAggregatorV6_Route_2": [("3.0", "raydium_clmm", 100000000, 12309272)],
    "jupiterAggregatorV6_sharedAccountsRoute_1": [
        ("3.1", "invariant", 20000000, 188382438),
        ("3.5", "meteora_dlmm", 80000000, 126665141),
        ("3.10", "phoenix", 126660000, 580838181),
        ("3.15", "meteora_dlmm", 580838181, 756562732),
    ],
    "jupiterAggregatorV6_sharedAccountsRoute_2": [
        ("2.1", "raydium_amm_v4", 634862142081, 197485565),
        ("2.5", "meteora_dlmm", 197485565, 94110904815),
        ("2.10", "solfi", 94110904815, 47747735),
    ],
    "photon_pumpfun_buy_0": [("2.0", "pump_fun", 392079207, 5609742876530)],
    "photon_pumpfun_buy_1": [("3.0", "pump_fun", 98019801, 294233863538)],
    "photon_pumpfun_sell": [("2.0", "pump_fun", 50287397622085, 1667803326)],
    "pumpfun_buy_0": [("2", "pump_fun", 3000000000, 56716561396327)],
    "pumpfun_buy_1": [("4", "pump_fun", 1000000000, 34612901212710)],
    "pumpfun_buy_bundle": [
        ("1", "pump_fun", 386100226, 12373970345963),
        ("3", "pump_fun", 386820768, 12100159018198),
        ("5", "pump_fun", 393794276, 12023935360031),
        ("7", "pump_fun", 404234089, 12044860698416),
    ],
    "pumpfun_create_0": [("5", "pump_fun", 1000000000, 34612903225806)],
    "pumpfun_sell_0": [("3", "pump_fun", 592443959000000, 37437283903)],
    "raydiumLiquidityPoolV4_swap_0": [("4", "raydium_amm_v4", 836112233953, 352936256)],
    "raydiumLiquidityPoolV4_swap_1": [("4", "raydium_amm_v4", 100000000, 43045438075)],
    "raydiumLiquidityPoolV4_swap_2": [("3", "raydium_amm_v4", 22254340082, 2615124)],
}
# No trade: orders opened and closed, plain transfers.
GOLDEN_WITHOUT_SWAP = {
    "jupiterDca_CloseDca_0",
    "jupiterDca_endAndClose_0",
    "jupiterDca_endAndClose_1",
    "jupiterDca_openDcaV2_0",
    "jupiterDca_openDcaV2_1",
    "token_transfer_0",
    "transferChecked_0",
}


def test_golden_transactions(shared_data: Path, corpus: list[Decoded]) -> None:
    golden = {path.stem for path in (shared_data / "golden" / "transactions").glob("*.json")}
    broken = {name for name in golden if name.startswith("broken")}
    assert golden - broken == GOLDEN.keys() | GOLDEN_WITHOUT_SWAP
    found = {
        name.split(".json")[0]: [
            (leg.path, leg.venue, leg.amount_in, leg.amount_out) for leg in decoded.legs
        ]
        for name, _, decoded in corpus
        if name.split(".json")[0] in golden
    }
    assert found == GOLDEN | {name: [] for name in GOLDEN_WITHOUT_SWAP}


@pytest.mark.parametrize("name", ["broken_data_0", "broken_data_1"])
def test_broken_golden_files_are_refused(shared_data: Path, name: str) -> None:
    with pytest.raises(InputError, match=name):
        load.file(shared_data / "golden" / "transactions" / f"{name}.json")
