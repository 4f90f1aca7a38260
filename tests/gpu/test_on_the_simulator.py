"""Runs on_the_simulator.py in a process of its own: the simulator is chosen before numba is imported."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.timeout(300)
def test_pictures_are_prepared_on_the_gpu():
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", str(HERE / "on_the_simulator.py")]
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=280, cwd=HERE.parents[1])
    assert 0 == run.returncode, run.stdout[-6000:] + run.stderr[-2000:]
