"""What every backend promises, asked of TensorRT on the pretended machine: the same tests as for every other one."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pretended import MakeMachine

from streamdet.infer.backends import open_backend
from streamdet.infer.contract import Backend

_PATH = Path(__file__).resolve().parents[1] / "contracts" / "test_backends.py"
_spec = importlib.util.spec_from_file_location("contract_of_backends", _PATH)
assert _spec is not None
assert _spec.loader is not None
contract = sys.modules["contract_of_backends"] = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(contract)

engine = contract.engine
# Those that ask one opened backend; the others open every backend that runs here by themselves.
for _name, _test in vars(contract).items():
    if _name.startswith("test_") and "backend" in _test.__code__.co_varnames[: _test.__code__.co_argcount]:
        globals()[_name] = _test


@pytest.fixture
def backend(engine: Path, machine: MakeMachine) -> Iterator[Backend]:
    machine()
    opened = open_backend(engine, "tensorrt")
    yield opened
    opened.close()
