"""The broker's jars: fetched once with Maven or with jgo, kept in the cache, verified at every use.

kafka_jars.lock names every jar by coordinate and SHA-256, so nothing is left to a resolver: both
ways give the same bytes or an error.
"""

import contextlib
import hashlib
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement, tostring

from mevstream.errors import MevstreamError

LOCK_FILE = Path(__file__).with_name("kafka_jars.lock")
_BROKER = "org.apache.kafka:kafka_2.13"
_FETCH_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Jar:
    """One jar of the broker; `sha256` in hex."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        return f"{self.artifact}-{self.version}.jar"


def locked_jars(lock_file: Path = LOCK_FILE) -> list[Jar]:
    """The jars that the lock file names: lines of `sha256  group:artifact:version`."""
    jars: list[Jar] = []
    for line in lock_file.read_text().splitlines():
        if line and not line.startswith("#"):
            sha256, coordinate = line.split()
            jars.append(Jar(*coordinate.split(":"), sha256=sha256))
    return jars


def kafka_version(jars: Sequence[Jar]) -> str:
    """The version of the broker among the jars."""
    return next(jar.version for jar in jars if f"{jar.group}:{jar.artifact}" == _BROKER)


def ensure_jars(cache: Path, *, report: Callable[[str], None] = lambda _: None) -> Path:
    """The folder with the broker's jars, fetched if the cache does not have them.

    `report` gets one line where something is fetched. Raises MevstreamError where neither Maven
    nor jgo can bring the jars, or where one has other bytes than the lock file says.
    """
    jars = locked_jars()
    folder = cache / f"kafka-{kafka_version(jars)}-{_digest(LOCK_FILE)[:12]}"
    if not folder.is_dir():
        try:
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=cache, prefix="fetching-") as scratch:
                fetched = _fetch(jars, Path(scratch), report)
                verify(fetched, jars)
                # Another process may have put the same bytes there in the meantime.
                with contextlib.suppress(OSError):
                    fetched.rename(folder)
        except OSError as error:
            raise MevstreamError(f"cannot keep Kafka's jars in {cache}: {error}") from None
    verify(folder, jars)
    return folder


def verify(folder: Path, jars: Sequence[Jar]) -> None:
    """Raises MevstreamError unless the folder holds exactly these jars with these bytes."""
    expected = {jar.file_name: jar.sha256 for jar in jars}
    present = {path.name for path in folder.glob("*.jar")}
    if odd := sorted(present ^ expected.keys()):
        raise MevstreamError(f"{folder}: {odd[0]} is missing or foreign; delete the folder")
    for name, sha256 in expected.items():
        if _digest(folder / name) != sha256:
            raise MevstreamError(
                f"{folder / name} does not have its recorded checksum; delete the folder"
            )


def fetch_with_maven(jars: Sequence[Jar], scratch: Path) -> Path:
    """Puts the jars into a folder of `scratch` with the `mvn` of the PATH."""
    project = Element("project", xmlns="http://maven.apache.org/POM/4.0.0")
    _add(project, modelVersion="4.0.0", groupId="mevstream", artifactId="kafka-broker")
    _add(project, version="1", packaging="pom")
    dependencies = SubElement(project, "dependencies")
    for jar in jars:
        dependency = SubElement(dependencies, "dependency")
        _add(dependency, groupId=jar.group, artifactId=jar.artifact, version=jar.version)
        exclusion = SubElement(SubElement(dependency, "exclusions"), "exclusion")
        _add(exclusion, groupId="*", artifactId="*")
    (scratch / "pom.xml").write_bytes(tostring(project))
    folder = scratch / "maven"
    copy = ["dependency:copy-dependencies", f"-DoutputDirectory={folder}"]
    try:
        done = subprocess.run(
            ["mvn", "-B", "-q", "-Dstyle.color=never", *copy],
            cwd=scratch,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_FETCH_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise MevstreamError(f"mvn: {error}") from None
    if done.returncode:
        lines = [line for line in (done.stdout + done.stderr).splitlines() if "ERROR" in line]
        raise MevstreamError(f"mvn: {lines[0] if lines else f'exit code {done.returncode}'}")
    return folder


def fetch_with_jgo(jars: Sequence[Jar], scratch: Path) -> Path:
    """Puts the jars into a folder of `scratch` with jgo, which needs no Java."""
    try:
        from jgo.maven import MavenContext, PythonResolver
    except ImportError:
        raise MevstreamError("jgo is not installed (pip install 'mevstream[kafka]')") from None
    folder = scratch / "jgo"
    folder.mkdir()
    context = MavenContext(
        repo_cache=scratch / "repository", resolver=PythonResolver(), timeout=_FETCH_SECONDS
    )
    for jar in jars:
        component = context.project(jar.group, jar.artifact).at_version(jar.version)
        try:
            shutil.move(component.artifact().resolve(), folder / jar.file_name)
        except (RuntimeError, OSError) as error:
            raise MevstreamError(f"jgo: {jar.file_name}: {_first_line(error)}") from None
    return folder


def _fetch(jars: Sequence[Jar], scratch: Path, report: Callable[[str], None]) -> Path:
    ways = {"jgo": fetch_with_jgo}
    if shutil.which("mvn"):
        ways = {"Maven": fetch_with_maven, **ways}
    failures: list[str] = []
    for name, fetch in ways.items():
        report(f"fetching the jars of Apache Kafka {kafka_version(jars)} with {name} (once, 43 MB)")
        try:
            return fetch(jars, scratch)
        except MevstreamError as error:
            failures.append(str(error))
    raise MevstreamError(f"cannot fetch Kafka's jars: {'; '.join(failures)}")


def _add(parent: Element, **texts: str) -> None:
    for tag, text in texts.items():
        SubElement(parent, tag).text = text


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
