"""Two processes come to what one would have come to."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from tiny_training import Centre, options_with, same, train_here

from streamdet.errors import ConfigError
from streamdet.training.distributed import CPU, Ranks, joined

HERE = Path(__file__).parent


def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    command = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", str(HERE / "two_processes.py")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
    done = subprocess.run(
        [sys.executable, *command, str(tmp_path)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )
    assert 0 == done.returncode, done.stderr[-2000:]
    first, second = (torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in (0, 1))
    assert same(first, second)
    _, alone = train_here(tmp_path / "alone", options_with(), make=lambda: Centre(norm=False, drop=0.0))
    for name, tensor in alone.state_dict().items():
        torch.testing.assert_close(first[name], tensor, rtol=1e-3, atol=1e-5)


def test_alone_every_exchange_is_nothing() -> None:
    ranks = Ranks(device=CPU)
    tensor = torch.tensor([1.0, 2.0])
    ranks.average([tensor])
    assert [1.0, 2.0] == tensor.tolist()
    assert ranks.any(True)
    assert not ranks.any(False)


def test_processes_that_cannot_meet_are_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(ConfigError, match="cannot find each other"), joined(CPU):
        pass
