"""What a long-running command turns on: a server whose address it logs, for as long as it runs."""

import json
import urllib.request
from urllib.error import URLError

import pytest

from mevstream.errors import MevstreamError
from mevstream.settings import load_settings
from mevstream.topologies.observe import metrics
from mevstream.topologies.observe.process import observed


def test_a_process_is_observed_while_it_runs(capsys: pytest.CaptureFixture[str]) -> None:
    metrics.stage("a-test").retries += 3
    with observed("worker", load_settings(metrics_port=0)):
        (line,) = capsys.readouterr().err.splitlines()
        told = json.loads(line)
        assert (told["event"], told["service"]) == ("metrics server", "worker")
        address = told["address"]
        assert address.startswith("http://127.0.0.1:")
        with urllib.request.urlopen(f"{address}/metrics") as answer:  # noqa: S310
            assert 'mevstream_retries_total{stage="a-test"} 3.0' in answer.read().decode()
        port = int(address.rpartition(":")[2])
        with (
            pytest.raises(MevstreamError, match=rf"127\.0\.0\.1:{port}: Address already in use"),
            observed("worker", load_settings(metrics_port=port)),
        ):
            pass
    with pytest.raises(URLError):
        urllib.request.urlopen(f"{address}/metrics")  # noqa: S310


def test_without_a_port_there_is_no_server(capsys: pytest.CaptureFixture[str]) -> None:
    with observed("worker", load_settings()):
        pass
    assert capsys.readouterr().err == ""
