"""`streamdet doctor` on a machine with a GPU, which is pretended."""

from __future__ import annotations

import pytest
from pretended import MakeMachine

from streamdet.cli.doctor import doctor


def test_it_names_the_gpu_and_what_the_driver_knows(machine: MakeMachine, capsys: pytest.CaptureFixture[str]):
    machine()
    doctor()
    said = " ".join(capsys.readouterr().out.split())
    assert "yes GPU NVIDIA L4 (sm_89), 24 GiB, driver for CUDA 13.0" in said
    assert "yes runtime tensorrt usable" in said


def test_it_names_each_of_several_gpus(machine: MakeMachine, capsys: pytest.CaptureFixture[str]):
    machine(devices=2)
    doctor()
    said = " ".join(capsys.readouterr().out.split())
    assert all(f"yes GPU {number} NVIDIA L4" in said for number in (0, 1))
    assert "GPU 2" not in said


def test_a_driver_that_does_not_start_is_told_and_nothing_crashes(
    machine: MakeMachine, capsys: pytest.CaptureFixture[str]
):
    bench = machine()
    for _ in ("runtime tensorrt", "GPU"):
        bench.driver.failures["cuInit"] = 100
        doctor()
    assert "CUDA_ERROR_NO_DEVICE" in capsys.readouterr().out.replace("\n", "")
