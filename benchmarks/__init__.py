"""Measurements against named rivals: `make bench`, or python -m benchmarks."""

import sys
from pathlib import Path

# Servers, programs and the paced chain of whole-chain benchmarks are those of the fault tests.
sys.path.append(str(Path(__file__).resolve().parents[1] / "tests"))
