"""infra/compose.yaml: what Compose's schema and our own rules ask of it. Docker is not needed."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from mevstream.infra.stack.jars import kafka_version, locked_jars
from mevstream.infra.stack.s3 import BUCKET

FILE = Path(__file__).resolve().parents[2] / "infra" / "compose.yaml"
COMPOSE: dict[str, Any] = YAML(typ="safe").load(FILE)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]


def check(file: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    return subprocess.run([*command, file], capture_output=True, text=True)


def test_it_is_valid_by_the_schema_of_compose(tmp_path: Path) -> None:
    checked = check(FILE)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    # The same check does find a mistake.
    broken = tmp_path / "compose.yaml"
    broken.write_text(FILE.read_text().replace("healthcheck:", "health_check:", 1))
    assert check(broken).returncode != 0


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_checked_and_on_loopback(name: str) -> None:
    service = SERVICES[name]
    assert re.fullmatch(r"[a-z/-]+:v?\d+\.\d[\d.]*", service["image"])
    assert service["healthcheck"]["test"]
    assert service["restart"] == "unless-stopped"
    assert service["ports"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])


def test_no_secret_is_written_down() -> None:
    secret = re.compile(r"PASSWORD|SECRET|ACCESS_KEY")
    values = [
        value
        for service in SERVICES.values()
        for key, value in service.get("environment", {}).items()
        if secret.search(key)
    ]
    assert len(values) == 4
    assert all(re.fullmatch(r"\$\{MEVSTREAM_\w+:\?.+\}", value) for value in values)


def test_it_is_the_stack_that_the_command_starts() -> None:
    assert SERVICES["kafka"]["image"] == f"apache/kafka:{kafka_version(locked_jars())}"
    assert f"-bucket={BUCKET}" in SERVICES["s3"]["command"]
    mounted = {
        volume.split(":")[0]
        for service in SERVICES.values()
        for volume in service["volumes"]
        if not volume.startswith("./")
    }
    assert mounted == COMPOSE["volumes"].keys()
