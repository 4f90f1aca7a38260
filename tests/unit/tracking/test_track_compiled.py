"""Compiled kernels: cached, rebuilt when any of their files changes, and usable where nothing can be cached."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import streamdet
from streamdet.tracking import compiled

SCRIPT = """
from streamdet.tracking import kernels
assert 0.5 == kernels.height_overlap(0.0, 2.0, 0.0, 4.0)
"""


def run(code: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,  # python -c looks here first
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_every_file_that_is_compiled_is_watched():
    folder = Path(compiled.__file__).parent
    using = {path.name for path in folder.glob("*.py") if "tracking.compiled import" in path.read_text()}
    assert using | {"columns.py"} == set(compiled.FAMILY)


def test_an_edited_sibling_makes_every_cached_kernel_stale(tmp_path):
    package = tmp_path / "streamdet"
    shutil.copytree(Path(streamdet.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.rmtree(package / "_engines", ignore_errors=True)
    where = {"PYTHONPATH": str(tmp_path), "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    first = run(SCRIPT, tmp_path, **where)
    assert 0 == first.returncode, first.stderr
    columns = package / "tracking" / "columns.py"
    columns.write_text(columns.read_text() + "\n# edited\n")
    before = {path.name for path in (tmp_path / "cache").rglob("*.nbc")}
    again = run(SCRIPT, tmp_path, **where)
    assert 0 == again.returncode, again.stderr
    assert {path.name for path in (tmp_path / "cache").rglob("*.nbc")} > before


@pytest.mark.skipif(sys.platform != "linux", reason="says nothing new elsewhere")
def test_where_nothing_can_be_cached_kernels_run_all_the_same(tmp_path):
    """A locator for zip archives alone finds no place for a plain file."""
    answer = run(SCRIPT, tmp_path, NUMBA_CACHE_LOCATOR_CLASSES="ZipCacheLocator")
    assert 0 == answer.returncode, answer.stderr
    assert "NUMBA_CACHE_DIR" in answer.stderr
