"""Builds what pyproject.toml cannot say: the Cython extensions and the protobuf classes."""

import os
import platform
import subprocess
import sys
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).parent
SOURCES = sorted(p.relative_to(ROOT) for p in (ROOT / "mevstream/cext").rglob("*.pyx"))
# MEVSTREAM_SANITIZE=1 builds for the fuzzers: AddressSanitizer and UndefinedBehaviorSanitizer.
SANITIZE = os.environ.get("MEVSTREAM_SANITIZE") == "1"
# "undefined" leaves out doubles that are turned into integers that cannot hold them.
SANITIZERS = "-fsanitize=address,undefined,float-cast-overflow"


def compile_flags() -> list[str]:
    """A wheel has to run on any x86-64 machine of the last ten years, so the baseline is v2 and
    the decoder's vector code is SSE2 (cext/wire.h), with a portable form for other processors."""
    flags = ["-std=c11", "-O3", "-fno-strict-aliasing", "-Wno-unused-function", "-Wno-sign-compare"]
    if platform.machine() in ("x86_64", "AMD64"):
        flags.append("-march=x86-64-v2")
    if SANITIZE:
        flags += ["-O1", "-g", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"]
        flags.append(SANITIZERS)
    else:
        # The interpreter's own flags ask for debug information, five times the size of the code.
        flags.append("-g0")
    return flags


def generate_protobuf() -> None:
    """Writes schemas/*_pb2.py(i) beside the .proto files. Imports in them are absolute."""
    protos = sorted((ROOT / "mevstream/schemas").glob("*.proto"))
    outputs = [p.with_name(p.stem + "_pb2.py") for p in protos]
    newest = max(p.stat().st_mtime for p in protos)
    if all(o.exists() and o.stat().st_mtime >= newest for o in outputs):
        return
    subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", "-I.", "--python_out=.", "--pyi_out=."]
        + [f"mevstream/schemas/{p.name}" for p in protos],
        cwd=ROOT,
        check=True,
    )


class BuildPy(build_py):
    def run(self) -> None:
        generate_protobuf()
        super().run()


class BuildExt(build_ext):
    def run(self) -> None:
        generate_protobuf()
        super().run()


link_flags = [SANITIZERS] if SANITIZE else []
extensions = [
    Extension(
        ".".join(path.with_suffix("").parts),
        [str(path)],
        include_dirs=["mevstream/cext"],
        depends=[str(h.relative_to(ROOT)) for h in (ROOT / "mevstream/cext").glob("*.h")],
        extra_compile_args=compile_flags(),
        extra_link_args=link_flags,
    )
    for path in SOURCES
]
setup(
    options={"build_ext": {"parallel": os.cpu_count() or 1}},
    cmdclass={"build_py": BuildPy, "build_ext": BuildExt},
    ext_modules=cythonize(
        extensions,
        build_dir="build/cython",
        compiler_directives={
            "language_level": 3,
            "boundscheck": False,
            "wraparound": False,
            "cdivision": True,
            "initializedcheck": False,
            "embedsignature": True,
        },
    ),
)
