"""The wheel: whole without the checkout, with the linked folders in it as real files."""

import os
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE = REPOSITORY / "mevstream"
SHIPPED = (".py", ".pyi", ".proto", ".sql", ".typed", ".lock")
SOURCES = sorted((PACKAGE / "cext").rglob("*.pyx"))


def _extension(source: Path) -> str:
    """Path of what a .pyx file is compiled to, without suffix."""
    return source.relative_to(REPOSITORY).with_suffix("").as_posix()


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel built from a copy of the checkout, so that nothing left in build/ gets into it.

    The extensions that lie in the checkout are taken as they are: compiling takes a minute.
    """
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    rubbish = shutil.ignore_patterns(".*", "build", "dist", "data", "*.egg-info", "__pycache__")
    shutil.copytree(REPOSITORY, source, symlinks=True, ignore=rubbish)
    # Translated C is kept: it is made anew where the .pyx file is newer.
    shutil.copytree(REPOSITORY / "build" / "cython", source / "build" / "cython")
    built = source / f"build/lib.{sysconfig.get_platform()}-{sys.implementation.cache_tag}"
    for path in SOURCES:
        name = _extension(path) + EXTENSION_SUFFIXES[0]
        (built / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / name, built / name)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    options = ["--no-deps", "--no-build-isolation", "--wheel-dir", folder]
    subprocess.run([*pip, *options, source], check=True)
    (path,) = folder.glob("*.whl")
    return path


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    # rglob does not follow links, and the five folders are links.
    folders = [PACKAGE, *(path for path in PACKAGE.iterdir() if path.is_symlink())]
    expected = {
        path.relative_to(REPOSITORY).as_posix()
        for folder in folders
        for path in folder.rglob("*")
        if path.suffix in SHIPPED
    }
    expected |= {_extension(source) + EXTENSION_SUFFIXES[0] for source in SOURCES}
    with zipfile.ZipFile(wheel) as archive:
        entries = archive.infolist()
    assert expected - {entry.filename for entry in entries} == set()
    # The upper half of the attributes is the file's mode; 0o12 is a symbolic link.
    assert not [entry.filename for entry in entries if entry.external_attr >> 28 == 0o12]


def test_the_wheel_works_outside_the_checkout(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "venv"
    venv.create(environment)
    python = environment / "bin" / "python"
    paths = {"base": str(environment), "platbase": str(environment)}
    packages = Path(sysconfig.get_path("purelib", "venv", paths))
    settings = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", python]
    install = [*pip, "install", "--quiet", "--no-index", "--no-deps", wheel]
    subprocess.run(install, env=settings, check=True)
    # The dependencies are those of this environment. A .pth file among them, such as an editable
    # install leaves, is not read from here.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")

    def run(*command: str | Path) -> str:
        return subprocess.run(
            command, cwd=tmp_path, env=settings, check=True, capture_output=True, text=True
        ).stdout

    assert "inspect" in run(environment / "bin" / "mevstream", "--help")
    modules = [_extension(source).replace("/", ".") for source in SOURCES]
    report = (
        "import importlib, sys; [print(importlib.import_module(m).__file__) for m in sys.argv[1:]]"
    )
    files = run(python, "-c", report, *modules).split()
    assert len(files) == len(modules)
    assert all(Path(file).is_relative_to(packages) for file in files)
