"""The part before the cut, kept for the next time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from streamdet.infer.backends import open_backend
from streamdet.infer.cache import cache_folder

OPEN = """
import sys
from streamdet.infer.backends import open_backend
backend = open_backend("plate-detector", "onnx-cpu")
assert backend.tail == "kernel"
backend.session(1).run(1)
print("onnx" in sys.modules)
"""


def opened_anew(home: Path) -> str:
    done = subprocess.run(
        [sys.executable, "-c", OPEN], env={"XDG_CACHE_HOME": str(home), "PATH": ""}, capture_output=True, text=True
    )
    assert "" == done.stderr
    return done.stdout.strip()


def test_the_second_time_an_engine_is_opened_without_the_onnx_package(tmp_path: Path) -> None:
    assert ["True", "False"] == [opened_anew(tmp_path), opened_anew(tmp_path)]
    assert 1 == len(list((tmp_path / "streamdet" / "cut").iterdir()))


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    backend = open_backend("plate-detector", "onnx-cpu")
    assert not cache_folder().exists()
    backend.session(1).run(1)
