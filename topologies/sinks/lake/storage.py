"""Where a lake lies: a folder, or a prefix of an S3 bucket. Whole objects appear, or nothing.

A path is relative to the lake and has '/' between its parts. No path is ever written twice.
"""

# The stubs of pyarrow leave the parameters of its generic classes open.
# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false

import hashlib
import mmap
import os
import secrets
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import unquote, urlsplit

import pyarrow as pa
from pyarrow import fs

from mevstream.errors import MevstreamError

_STEP = 1 << 20


class LakeError(MevstreamError):
    """The lake is away, refuses, or is damaged."""


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as the storage lists it; `changed` in seconds since the epoch."""

    path: str
    size: int
    changed: float


class Draft:
    """A binary file that nobody sees yet. `size` and `sha256` are those of what was written.

    `close` does nothing: who writes into it closes it also after an error, and that must not
    publish what there is.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()
        self.size = 0
        self.closed = False

    def write(self, data: Any, /) -> int:
        view = memoryview(data).cast("B")
        self._file.write(view)
        self._hash.update(view)
        self.size += view.nbytes
        return view.nbytes

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        pass

    def close(self) -> None:
        pass

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()


class Storage(ABC):
    """The objects of a lake. Methods raise LakeError, in one line, where the storage does not do
    what it should, and NotThereError where one object is missing."""

    url: str

    @contextmanager
    def draft(self) -> Generator[Draft]:
        """A file to write; `publish` makes it an object. One that was not published is gone at
        the end of the block."""
        with self._told(), self._file() as file:
            yield Draft(file)

    def publish(self, draft: Draft, path: str) -> None:
        """Makes a draft the object `path`. When it returns the object is durable; before that,
        or after an error or a crash, the object is there as a whole or not at all."""
        with self._told():
            self._publish(draft._file, path)  # pyright: ignore[reportPrivateUsage]

    def put(self, path: str, data: bytes) -> None:
        with self.draft() as draft:
            draft.write(data)
            self.publish(draft, path)

    def get(self, path: str) -> bytes:
        with self._told(), self.open(path) as file:
            return file.read()

    def open(self, path: str) -> pa.NativeFile:
        """For reading, at any position."""
        with self._told():
            return self._filesystem.open_input_file(f"{self._root}/{path}")

    def sha256(self, path: str) -> str:
        digest = hashlib.sha256()
        with self._told(), self.open(path) as file:
            while data := file.read(_STEP):
                digest.update(data)
        return digest.hexdigest()

    def list(self, folder: str) -> list[Stored]:
        """All published objects below a folder (none if it is not there), by path."""
        selector = fs.FileSelector(f"{self._root}/{folder}", allow_not_found=True, recursive=True)
        with self._told():
            found = self._filesystem.get_file_info(selector)
        return sorted(
            (
                Stored(info.path[len(self._root) + 1 :], info.size or 0, (info.mtime_ns or 0) / 1e9)
                for info in found
                if info.type == fs.FileType.File and not info.base_name.startswith(".")
            ),
            key=lambda stored: stored.path,
        )

    def delete(self, path: str) -> None:
        """Removes an object; one that is not there is removed already."""
        with self._told(), suppress(FileNotFoundError):
            self._filesystem.delete_file(f"{self._root}/{path}")

    def sweep(self, seconds: float) -> int:
        """Removes drafts of writers that ended without a word, older than that; how many."""
        return 0

    @abstractmethod
    def check(self) -> None:
        """Raises LakeError if nothing could be stored here."""

    @abstractmethod
    def clickhouse(self, glob: str) -> str:
        """The table engine by which ClickHouse reads these Parquet objects."""

    @abstractmethod
    def clickhouse_path(self, path: str) -> str:
        """What ClickHouse gives as `_path` of an object."""

    _root: str
    _filesystem: fs.FileSystem

    @abstractmethod
    def _file(self) -> AbstractContextManager[BinaryIO]: ...

    @abstractmethod
    def _publish(self, file: BinaryIO, path: str) -> None: ...

    @contextmanager
    def _told(self) -> Generator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise NotThereError(f"lake {self.url}: {_one_line(error)}") from None
        except OSError as error:
            raise LakeError(f"lake {self.url}: {_one_line(error)}") from None


class NotThereError(LakeError, FileNotFoundError):
    """One object is not there."""


class Folder(Storage):
    """A lake in a local folder: temporary names that begin with a dot, fsync, rename."""

    def __init__(self, path: Path) -> None:
        self._root = str(path.absolute())
        self.url = self._root
        self._filesystem = fs.LocalFileSystem()

    def check(self) -> None:
        with self._told():
            os.makedirs(self._root, exist_ok=True)
            with self._file():
                pass

    def sweep(self, seconds: float) -> int:
        removed = 0
        oldest = time.time() - seconds
        with self._told():
            for draft in Path(self._root).glob(".*.tmp"):
                with suppress(FileNotFoundError):
                    if draft.stat().st_mtime < oldest:
                        draft.unlink()
                        removed += 1
        return removed

    @contextmanager
    def _file(self) -> Generator[BinaryIO]:
        # In the lake itself: a rename does not lead from one file system to another.
        os.makedirs(self._root, exist_ok=True)
        name = f"{self._root}/.{secrets.token_hex(8)}.tmp"
        try:
            with open(name, "xb") as file:
                yield file
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)

    def _publish(self, file: BinaryIO, path: str) -> None:
        target = f"{self._root}/{path}"
        file.flush()
        os.fsync(file.fileno())
        folder = os.path.dirname(target)
        made = _make_folders(folder)
        os.rename(file.name, target)
        for entry in {folder, *made}:
            _sync_folder(entry)

    def clickhouse(self, glob: str) -> str:
        return f"File(Parquet, '{_escape(self._root)}/{glob}')"

    def clickhouse_path(self, path: str) -> str:
        return f"{self._root}/{path}"


class Bucket(Storage):
    """A lake in S3. Credentials are those of the AWS conventions ($AWS_ACCESS_KEY_ID …,
    $AWS_SHARED_CREDENTIALS_FILE), never part of a URL."""

    def __init__(self, bucket: str, prefix: str, endpoint: str | None = None) -> None:
        self._root = f"{bucket}/{prefix}" if prefix else bucket
        self.url = f"s3://{self._root}"
        where: dict[str, Any] = {}
        self._http = f"https://{bucket}.s3.amazonaws.com/{prefix}"
        if endpoint is not None:
            scheme, address = _endpoint(endpoint)
            where = {"endpoint_override": address, "scheme": scheme}
            self._http = f"{scheme}://{address}/{self._root}"
        if region := os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION"):
            where["region"] = region
        elif endpoint is not None:
            # Servers other than Amazon's take any; without one pyarrow would ask Amazon.
            where["region"] = "us-east-1"
        with self._told():
            self._filesystem = fs.S3FileSystem(**where, connect_timeout=5, request_timeout=60)

    def check(self) -> None:
        bucket = self._root.partition("/")[0]
        with self._told():
            if self._filesystem.get_file_info(bucket).type == fs.FileType.NotFound:
                raise LakeError(f"lake {self.url}: there is no bucket {bucket!r}")

    @contextmanager
    def _file(self) -> Generator[BinaryIO]:
        with tempfile.TemporaryFile() as file:
            yield file

    def _publish(self, file: BinaryIO, path: str) -> None:
        # In one call: pyarrow completes an upload in its destructor, too, also one of which an
        # exception has cut off the rest.
        file.flush()
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            stream = self._filesystem.open_output_stream(f"{self._root}/{path}")
            stream.write(data)
            stream.close()

    def clickhouse(self, glob: str) -> str:
        return f"S3('{_escape(self._http)}/{glob}', 'Parquet')"

    def clickhouse_path(self, path: str) -> str:
        return f"{self._root}/{path}"


def open_storage(url: str, *, endpoint: str | None = None) -> Storage:
    """The storage at a path, file:///… or s3://bucket/prefix. `endpoint` (http://host:port) is an
    S3 server other than Amazon's. Raises LakeError for another URL."""
    if "://" not in url:
        return Folder(Path(url))
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.strip("/"):
        return Folder(Path(unquote(parts.path)))
    if parts.username or parts.password:
        raise LakeError("a lake's URL holds no credentials: they come from the environment")
    if parts.scheme == "s3" and parts.netloc and not (parts.query or parts.fragment):
        return Bucket(parts.netloc, parts.path.strip("/"), endpoint)
    raise LakeError(f"lake {url}: neither a path nor file:///… nor s3://bucket/prefix")


def _endpoint(url: str) -> tuple[str, str]:
    scheme, _, address = url.rstrip("/").rpartition("://")
    if scheme not in ("http", "https", "") or not address or "/" in address or "@" in address:
        raise LakeError("the lake's S3 endpoint must be http://host:port or https://host")
    return scheme or "https", address


def _make_folders(folder: str) -> list[str]:
    """Makes a folder and those above it; returns what got a new entry."""
    made: list[str] = []
    above = folder
    while not os.path.isdir(above):
        above = os.path.dirname(above)
        made.append(above)
    os.makedirs(folder, exist_ok=True)
    return made


def _sync_folder(folder: str) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _one_line(error: OSError) -> str:
    if error.strerror and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return " ".join(str(error).split())


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("'", "\\'")
