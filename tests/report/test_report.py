"""mevstream report: its numbers are those of the views, its page needs nothing else."""

import math
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from sinks.conftest import Front

from mevstream.picture.charts import Bar, Series, bars, columns
from mevstream.picture.facts import Leg, Picture, take
from mevstream.picture.page import page, write_page
from mevstream.topologies.embedded import EmbeddedRuntime
from mevstream.topologies.raw.simulator import Simulator
from mevstream.topologies.raw.simulator.agents.rates import MevConfig
from mevstream.topologies.raw.simulator.config import SimulatorConfig
from mevstream.topologies.raw.sources import open_sources
from mevstream.topologies.replay import ServerEngine
from mevstream.topologies.sinks.chdb_engine import ChdbEngine
from mevstream.topologies.sinks.clickhouse import ClickHouseSink

FIRST, SLOTS = 1000, 40
KINDS = ["arbitrage", "backrun", "jit_liquidity", "liquidation", "sandwich"]


def report(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mevstream", "report", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Blocks with every kind of opportunity."""
    folder = tmp_path_factory.mktemp("chain")
    mev = MevConfig(look_alikes_per_slot=0.5, jit_per_slot=0.5, liquidations_per_slot=0.5)
    config = SimulatorConfig(
        seed=3, first_slot=FIRST, transactions_per_slot=300, sandwiches_per_slot=0.5, mev=mev
    )
    for block in Simulator(config).blocks(SLOTS):
        (folder / f"{block.slot}.pb").write_bytes(block.data)
    return folder


@pytest.fixture(scope="module")
def store(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    with ClickHouseSink(ChdbEngine(folder)) as sink:
        EmbeddedRuntime(sink).run(open_sources([str(chain)]))
    return folder


@pytest.fixture
def engine(store: Path) -> Iterator[ChdbEngine]:
    with closing(ChdbEngine(store, read_only=True)) as engine:
        yield engine


class Page(HTMLParser):
    """What a page says: the rows of its tables by name, a cell as its text and its exact value."""

    VOID = frozenset({"meta", "br", "rect", "line"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[tuple[str, float | None]]]] = {}
        self.tiles: dict[str, float | None] = {}
        self.charts: list[str] = []
        self.names: set[str] = set()
        self._open: list[str] = []
        self._rows: list[list[list[tuple[str, float | None]]]] = []
        self._text = ""
        self._value: float | None = None
        self._tile = ""
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.names.add(tag)
        if tag not in self.VOID:
            self._open.append(tag)
        if tag == "table":
            self._rows.append(self.tables.setdefault(values["aria-label"] or "", []))
        elif tag == "tr":
            self._rows[-1].append([])
        elif tag == "svg" and values.get("role") == "img":
            assert values["aria-label"]
            self.charts.append(values["aria-label"] or "")
        if tag in ("td", "th", "dt", "dd"):
            self._text, self._value = "", None
        if tag == "data":
            self._value = float(values["value"] or "")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag
        if tag in ("td", "th") and self._rows:
            self._rows[-1][-1].append((self._text, self._value))
        elif tag == "table":
            self._rows.pop()
        elif tag == "dt":
            self._tile = self._text
        elif tag == "dd":
            self.tiles.setdefault(self._tile, self._value)

    def handle_data(self, data: str) -> None:
        self._text += data

    def rows(self, table: str) -> list[list[tuple[str, float | None]]]:
        """Without the head and the rows that legs are in."""
        return [row for row in self.tables[table][1:] if len(row) > 1]

    def values(self, table: str) -> dict[str, list[float | None]]:
        """First cell → values of the others, None for a dash."""
        return {row[0][0]: [value for _, value in row[1:]] for row in self.rows(table)}


def same(found: Any, wanted: Any) -> None:
    """Equal, sums of fractions to the order in which they were added."""
    if isinstance(wanted, dict | list | tuple):
        keys: Any = wanted if isinstance(wanted, dict) else range(len(wanted))
        assert len(found) == len(wanted), (found, wanted)
        for key in keys:
            same(found[key], wanted[key])
    elif isinstance(wanted, float):
        assert found == pytest.approx(wanted, rel=1e-12, abs=1e-12)
    else:
        assert found == wanted


@pytest.fixture(scope="module")
def shown(chain: Path, tmp_path_factory: pytest.TempPathFactory) -> Page:
    file = tmp_path_factory.mktemp("page") / "picture.html"
    done = report(chain, "--html", file)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"{file}: {SLOTS} slots\n"
    return Page(file.read_text())


def test_sums_are_those_of_the_views(shown: Page, engine: ChdbEngine) -> None:
    [slots] = engine.rows(
        "SELECT count(), sum(transactions), sum(failed), sum(swaps), sum(tip_sol) FROM v_slots"
    )
    [found] = engine.rows("SELECT count() FROM v_opportunities")
    [net] = engine.rows("SELECT sum(net_sol) FROM v_searchers")
    [loss] = engine.rows("SELECT sum(loss_sol) FROM v_victims")
    names = ["Slots", "Transactions", "Failed", "Swaps", "Tips, SOL"]
    names += ["Opportunities", "Net profit, SOL", "Victims' loss, SOL"]
    wanted = [*slots, *found, *net, *loss]
    same([shown.tiles[name] for name in names], [float(value) for value in wanted])
    assert loss[0] > 0


def test_venues_are_those_of_the_swaps(shown: Page, engine: ChdbEngine) -> None:
    wanted = engine.rows(
        "SELECT venue, count(), countIf(router IS NOT NULL) / count(), uniqExact(pool), "
        "uniqExact(trader) FROM v_swaps GROUP BY venue"
    )
    found = shown.values("Swaps by venue")
    same({name: values[:4] for name, values in found.items()}, {v: [*n] for v, *n in wanted})
    # In SOL as the pool had it, swap by swap.
    sol = dict(
        engine.rows(
            "SELECT venue, sum(if(symbol_in = 'SOL', amount_in_raw, amount_out_raw)) / 1e9 "
            "FROM v_swaps WHERE symbol_in = 'SOL' OR symbol_out = 'SOL' GROUP BY venue"
        )
    )
    rates = sorted(
        price if bought else 1 / price
        for bought, price in engine.rows(
            "SELECT symbol_in = 'SOL', price FROM v_swaps "
            "WHERE (symbol_in, symbol_out) IN (('SOL', 'USDC'), ('USDC', 'SOL'))"
        )
    )
    rate = rates[len(rates) // 2]
    for venue, dollars in engine.rows(
        "SELECT venue, sum(if(symbol_in = 'USDC', amount_in, amount_out)) FROM v_swaps "
        "WHERE (symbol_in = 'USDC' OR symbol_out = 'USDC') "
        "AND ifNull(symbol_in, '') != 'SOL' AND ifNull(symbol_out, '') != 'SOL' GROUP BY venue"
    ):
        sol[venue] = sol.get(venue, 0.0) + dollars / rate
    for venue, values in found.items():
        assert values[4] == pytest.approx(sol[venue], rel=1e-9), venue


def test_tips_are_those_of_the_view(shown: Page, engine: ChdbEngine) -> None:
    [wanted] = engine.rows(
        "SELECT tips, sum_sol, p25_sol, p50_sol, p75_sol, p95_sol, p99_sol, max_sol FROM v_tips"
    )
    [row] = shown.rows("Tips, SOL")
    same([value for _, value in row], [*wanted])


def test_kinds_are_those_of_the_view(shown: Page, engine: ChdbEngine) -> None:
    found = shown.values("Opportunities by kind")
    whole = found.pop("all")
    names = {"Arbitrage", "Backrun", "JIT liquidity", "Liquidation", "Sandwich"}
    assert found.keys() == names
    for kind, n, actors, told, profit, net in engine.rows(
        "SELECT kind, count(), uniqExact(actor), count(net_sol), sumIf(profit, net_sol != 0), "
        "sum(net_sol) FROM v_opportunities GROUP BY kind"
    ):
        [name] = [name for name in names if name.replace(" ", "_").lower() == kind]
        found_here = found[name]
        same([*found_here[:4], found_here[6]], [n, actors, told, profit, net])
    assert whole[0] == sum(values[0] or 0 for values in found.values())
    victims = engine.rows("SELECT count(), sum(loss_sol) FROM v_victims WHERE kind = 'sandwich'")
    same(found["Sandwich"][7:], [*victims[0]])


def test_searchers_are_those_of_the_view(shown: Page, engine: ChdbEngine) -> None:
    wanted = engine.rows(
        "SELECT actor, opportunities, arbitrages, backruns, sandwiches, liquidations, "
        "jit_liquidity, profit_sol, fees_sol, tips_sol, net_sol FROM v_searchers "
        "ORDER BY net_sol DESC NULLS LAST, opportunities DESC, actor LIMIT 12"
    )
    assert len(wanted) == 12
    same(shown.values("Searchers"), {actor: [*values] for actor, *values in wanted})


def test_every_kind_is_listed_with_its_legs(shown: Page, engine: ChdbEngine) -> None:
    for kind, name in zip(KINDS, ["Arbitrage", "Backrun", "JIT liquidity"], strict=False):
        wanted = engine.rows(
            f"SELECT slot, tx_index, profit, net_sol FROM v_opportunities WHERE kind = '{kind}' "
            "ORDER BY net_sol DESC NULLS LAST, slot, tx_index, id LIMIT 50"
        )
        rows = shown.rows(name)
        assert [(row[0][0], row[1][0]) for row in rows] == [(str(s), str(i)) for s, i, *_ in wanted]
        same([[row[3][1], row[6][1]] for row in rows], [[p, n] for *_, p, n in wanted])
    for one, legs in engine.rows(
        "SELECT id, count() FROM v_opportunity_legs WHERE id IN "
        "(SELECT id FROM v_opportunities WHERE kind IN ('sandwich', 'liquidation')) GROUP BY id"
    ):
        assert len(shown.rows(f"Legs of {one}")) == legs


def test_nothing_comes_from_elsewhere(chain: Path, shown: Page, tmp_path: Path) -> None:
    file = tmp_path / "picture.html"
    assert report(chain, "--html", file, "--quiet").stdout == ""
    text = file.read_text()
    assert not shown.names & {"script", "link", "img", "iframe", "object", "image", "use"}
    assert not re.search(r"https?:|src=|href=|url\(|@import|\bon\w+=", text)
    assert "prefers-color-scheme: dark" in text
    assert len(shown.charts) >= 6
    assert oct(file.stat().st_mode & 0o444) == "0o444"


def test_of_a_store_as_of_its_blocks(
    chain: Path, store: Path, shown: Page, tmp_path: Path, engine: ChdbEngine
) -> None:
    engine.close()
    file = tmp_path / "picture.html"
    assert report("--data", store, "--html", file).returncode == 0
    again = Page(file.read_text())
    same(again.tables, shown.tables)
    same(again.tiles, shown.tiles)
    part = tmp_path / "part.html"
    span = ["--from", FIRST + 5, "--to", FIRST + 9]
    assert report(*map(str, span), "--data", store, "--html", part).returncode == 0
    assert Page(part.read_text()).tiles["Slots"] == 5
    assert report(chain, *map(str, span)).stdout == report(*map(str, span), "--data", store).stdout


def test_on_a_terminal(chain: Path) -> None:
    done = report(chain)
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("Swaps by venue", "Jito tips", "Sandwich", "Searchers", "Victims", "→", "█"):
        assert word in done.stdout


def test_of_a_server(store: Path, chain: Path, tmp_path: Path) -> None:
    front = Front(tmp_path / "front")
    try:
        with ClickHouseSink(ServerEngine(front.server())) as sink:
            EmbeddedRuntime(sink).run(open_sources([str(chain)]))
        told = report("--server", front.server().address, "--from", str(FIRST))
    finally:
        front.process.stop()
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == report("--data", store).stdout


def test_real_blocks(shared_data: Path, tmp_path: Path) -> None:
    file = tmp_path / "real.html"
    assert report(shared_data / "blocks", "--html", file).returncode == 0
    found = Page(file.read_text())
    assert (found.tiles["Slots"], found.tiles["Transactions"]) == (3, 4440)
    assert found.tiles["Tips, SOL"] == pytest.approx((73424641 + 523449098 + 68947871) / 1e9)
    assert found.tiles["Opportunities"] == 13
    gains = {(row[0][0], row[1][0]): row[3][1] for row in found.rows("Arbitrage")}
    assert gains["316719544", "1937"] == 0.095786639
    assert gains["332254908", "1538"] == 0.000081824
    assert "Sandwich" not in found.tables
    assert sum(name.startswith("Legs of") for name in found.tables) == 13


def test_bad_input_is_one_line(chain: Path, store: Path, tmp_path: Path) -> None:
    broken = tmp_path / "1000.json"
    broken.write_text('{"jsonrpc":"2.0","error":{"code":-32009,"message":"skipped"}}')
    page_file = tmp_path / "page.html"
    page_file.write_text("before")
    for arguments in (
        [],
        [broken],
        [tmp_path / "absent"],
        [chain, broken],
        [chain, "--data", store],
        ["--data", store, "--lake"],
        ["--data", tmp_path / "no store"],
        ["--data", store, "--from", "5", "--to", "4"],
        ["--data", store, "--from", "5", "--to", "6"],
        [chain, "--html", tmp_path / "no" / "page.html"],
        [chain, "--html", tmp_path],
    ):
        extra = [] if "--html" in arguments else ["--html", page_file]
        done = report(*arguments, *extra)
        assert (done.returncode, done.stdout) == (1, ""), arguments
        assert re.fullmatch(r"error: [^\n]+\n", done.stderr), done.stderr
    assert page_file.read_text() == "before"
    assert {path.name for path in tmp_path.iterdir()} == {"1000.json", "page.html"}


def test_text_is_escaped(engine: ChdbEngine) -> None:
    picture = take(engine)
    evil = '<script>alert("1")</script>&amp;'
    leg = next(iter(picture.legs.values()))[0]
    legs: dict[str, list[Leg]] = {
        one: [part._replace(venue=evil, role=evil, pool=evil) for part in parts]
        for one, parts in picture.legs.items()
    }
    changed = replace(
        picture,
        venues=[venue._replace(venue=evil) for venue in picture.venues],
        symbols=dict.fromkeys([leg.mint_in, *picture.symbols], evil),
        legs=legs,
        kinds=[kind._replace(kind=evil) for kind in picture.kinds],
    )
    text = page(changed)
    assert "<script" not in text
    assert "script" not in Page(text).names
    assert "&lt;script&gt;" in text


def test_a_page_is_there_as_a_whole(tmp_path: Path, engine: ChdbEngine) -> None:
    file = tmp_path / "page.html"
    write_page(file, page(take(engine)))
    before = file.read_text()
    with pytest.raises(UnicodeEncodeError):
        write_page(file, before[:100] + "\ud800")
    assert file.read_text() == before
    assert list(tmp_path.iterdir()) == [file]


def test_empty_slots_have_a_picture(engine: ChdbEngine) -> None:
    picture = take(engine)
    bare: Picture = replace(
        picture, venues=[], tips=None, kinds=[], gains=[], searchers=[], victims=[], profits=[]
    )
    bare = replace(bare, opportunities=[], legs={}, rate=None)
    assert "None were found." in page(bare)


def test_charts_have_the_values_they_tell() -> None:
    drawn = bars("net", [Bar("a", 4.0, "4"), Bar("b", -2.0, "-2"), Bar("c", 0.0, "0")])
    widths = [float(w) for w in re.findall(r'<rect [^>]*width="([\d.]+)"', drawn)]
    assert widths[0] == pytest.approx(2 * widths[1], rel=0.01)
    assert widths[2] == 0
    assert drawn.count('class="loss"') == 1
    parts = [Series("up", [1.0, 3.0]), Series("down", [-1.0, 0.0])]
    stacked = columns("net", ["1", "2"], parts, unit=" SOL")
    heights = [float(h) for h in re.findall(r'height="([\d.]+)" class="c\d part"', stacked)]
    assert heights[0] == pytest.approx(heights[1])
    assert heights[2] == pytest.approx(3 * heights[0], rel=0.01)
    assert "In all: up 4; down -1 SOL" in stacked
    for values in ([0.0], [1e-9], [1e12], [-5.0], [math.pi, -math.e]):
        assert Page(columns("x", ["1"] * len(values), [Series("a", values)])).charts
