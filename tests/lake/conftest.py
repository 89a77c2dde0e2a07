"""An S3 server of the stack, for the tests that store somewhere else than in a folder."""

import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import fs
from stack.ports import free_s3_port

from mevstream.infra.stack.s3 import BUCKET, s3_service


class S3Server:
    """SeaweedFS on ports of its own, to be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.port = free_s3_port()
        self.endpoint = f"http://127.0.0.1:{self.port}"
        self.credentials = folder / "credentials"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        data = self._folder / "data"
        data.mkdir(exist_ok=True)
        log = self._folder / "log"
        service = s3_service(folder=data, log=log, port=self.port, credentials=self.credentials)
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                service.command, env=service.environment, stdout=output, stderr=output, cwd=data
            )
        end = time.monotonic() + 60
        while not self._has_bucket():
            assert self._process.poll() is None, log.read_text()[-2000:]
            assert time.monotonic() < end, log.read_text()[-2000:]
            time.sleep(0.2)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def files(self) -> fs.S3FileSystem:
        return fs.S3FileSystem(
            endpoint_override=f"127.0.0.1:{self.port}", scheme="http", region="us-east-1"
        )

    def _has_bucket(self) -> bool:
        try:
            return self.files().get_file_info(BUCKET).type == fs.FileType.Directory
        except OSError:
            return False


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    server = S3Server(tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(server.credentials))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    try:
        server.start()
        yield server
    finally:
        server.kill()
