"""Masking under bytes mutated towards new branches: it raises what it documents and nothing else, keeps its
promises, and takes time in proportion to the input.

Two thousand inputs always run; ten minutes of them with `--long`. DDGATE_FUZZ_SECONDS gives another time.
"""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

_ROOT = Path(__file__).resolve().parents[2]
# It has wheels for no other machine, and no other fuzzer takes its place: Hypothesis runs everywhere.
pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="atheris is for Linux on x86-64 alone"
)


def fuzz(directory: Path, *limits: str) -> None:
    corpus = directory / "corpus"
    corpus.mkdir()
    command = [sys.executable, "-m", "tests.long.redaction_fuzz", str(corpus), *limits, "-max_len=8192"]
    command += ["-timeout=60", f"-artifact_prefix={directory}/"]
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr[-4000:].decode(errors="replace")
    assert b"Done " in done.stderr


@pytest.mark.timeout(240)
def test_two_thousand(tmp_path: Path) -> None:
    fuzz(tmp_path, "-runs=2000", "-seed=1")


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_ten_minutes(tmp_path: Path) -> None:
    fuzz(tmp_path, f"-max_total_time={os.environ.get('DDGATE_FUZZ_SECONDS', '600')}")
