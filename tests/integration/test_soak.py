"""Two minutes of the soak; the twenty that count are run by hand: python benchmarks/soak.py."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "soak.py"

pytestmark = [pytest.mark.integration, pytest.mark.timeout(240)]


def test_two_minutes_of_cameras_cut_off_at_random_leave_nothing_behind(gstreamer: None, tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("soak", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    # The first minutes fill caches and allocator pools: how much of that is growth shows in twenty minutes only.
    verdict = module.soak(120.0, "plate-detector", random.Random(7), tmp_path, allowed_mb=60.0)
    assert verdict["passed"], verdict
    assert all(epochs >= 2 for epochs in verdict["epochs"].values()) or sum(verdict["epochs"].values()) >= 6
