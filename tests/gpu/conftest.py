"""The fixture that pretends."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import fake_tensorrt
import pytest
from fake_cuda import FakeDriver
from pretended import VERSIONS, Machine, MakeMachine, forget


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[MakeMachine]:
    """Make this machine one with a GPU and TensorRT, or change which."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def make(version: str = VERSIONS[1], **gpu: object) -> Machine:
        driver = FakeDriver(**gpu)  # type: ignore[arg-type]
        monkeypatch.setattr("streamdet.infer.cuda_calls.load_driver", lambda: driver)
        monkeypatch.setitem(sys.modules, "tensorrt", fake_tensorrt.module(version, driver))
        forget()
        return Machine(driver, fake_tensorrt.world.faults)

    yield make
    forget()
