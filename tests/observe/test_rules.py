"""Alert rules: about metrics that exist, under labels that they have, each with its runbook."""

import re
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from mevstream.topologies.observe.metrics import DEFINITIONS

ROOT = Path(__file__).parents[2]
FILE = ROOT / "infra" / "prometheus" / "rules.yaml"
(GROUP,) = YAML(typ="safe").load(FILE)["groups"]
RULES: dict[str, dict[str, Any]] = {rule["alert"]: rule for rule in GROUP["rules"]}

_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
LABELS = {
    definition.name + suffix: {*definition.labels, *(["le"] if suffix == "_bucket" else [])}
    for definition in DEFINITIONS
    for suffix in _SUFFIXES[definition.kind]
} | {"up": {"job", "instance"}}


@pytest.mark.parametrize("name", RULES)
def test_a_rule_is_about_what_the_exposition_has(name: str) -> None:
    expression = RULES[name]["expr"]
    metrics = re.findall(r"\b(mevstream_\w+|up)\b", expression)
    assert metrics
    assert not set(metrics) - LABELS.keys()
    # Of every metric the labels that it is summed by.
    for labels, inner in re.findall(r"by \(([\w, ]+)\) \(((?:[^()]|\([^()]*\))*)\)", expression):
        (metric,) = re.findall(r"\bmevstream_\w+", inner)
        assert set(labels.split(", ")) <= LABELS[metric]
    assert expression.count("by (") == len(re.findall(r"by \([\w, ]+\) \(", expression))
    shown = " ".join(RULES[name]["annotations"].values())
    told = set(re.findall(r"\$labels\.(\w+)", shown))
    assert told <= set.union(*(LABELS[metric] for metric in metrics))


@pytest.mark.parametrize("name", RULES)
def test_a_rule_says_how_bad_it_is_and_what_to_do(name: str) -> None:
    rule = RULES[name]
    assert rule["labels"]["severity"] in ("critical", "warning")
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    headings = re.findall(r"^## (\w+)$", (ROOT / page).read_text(), re.M)
    assert anchor in {heading.lower() for heading in headings}
    assert name in headings


def test_what_has_to_be_noticed_has_a_rule() -> None:
    assert RULES.keys() >= {
        "MevstreamLag",
        "MevstreamStoreDown",
        "MevstreamDeadLetters",
        "MevstreamGaps",
        "MevstreamStalled",
    }


def test_the_stack_of_containers_loads_them() -> None:
    compose = YAML(typ="safe").load(ROOT / "infra" / "compose.yaml")
    (mounted,) = (
        volume.split(":")
        for volume in compose["services"]["prometheus"]["volumes"]
        if volume.startswith("./prometheus/rules")
    )
    assert ROOT / "infra" / mounted[0] == FILE
    config = YAML(typ="safe").load(compose["configs"]["prometheus"]["content"])
    assert config["rule_files"] == [mounted[1]]
