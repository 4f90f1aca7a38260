"""The CUDA kernels without a GPU: numba's simulator for the results, NVIDIA's compilers for the code."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

TARGETS = {"sm_75": (7, 5), "sm_86": (8, 6), "sm_87": (8, 7), "sm_89": (8, 9), "sm_90": (9, 0), "sm_120": (12, 0)}
KERNELS = ("letterbox", "warp")


@pytest.fixture(scope="module")
def apart() -> dict[str, int]:
    """How many grey levels each case is away from the CPU's kernel."""
    script = Path(__file__).with_name("simulate_kernels.py")
    environment = os.environ | {"NUMBA_ENABLE_CUDASIM": "1"}
    run = subprocess.run([sys.executable, str(script)], env=environment, capture_output=True, text=True, timeout=240)
    assert 0 == run.returncode, run.stderr
    found = json.loads(run.stdout)
    assert isinstance(found, dict)
    return found


def test_the_letterbox_writes_the_same_bytes_as_the_cpu_for_every_format_rotation_and_odd_sizes(apart):
    cases = {name: levels for name, levels in apart.items() if name.startswith("letterbox")}
    assert 28 == len(cases)
    assert {} == {name: levels for name, levels in cases.items() if levels}


def test_the_crop_is_within_one_grey_level_of_the_cpu(apart):
    cases = {name: levels for name, levels in apart.items() if name.startswith("warp")}
    assert 28 == len(cases)
    assert {} == {name: levels for name, levels in cases.items() if levels > 1}


def test_pictures_of_changing_sizes_and_formats_go_through_one_letterbox(apart):
    assert 0 == apart["a sequence"]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("kernel", KERNELS)
def test_it_compiles_for_every_gpu_that_is_supported(
    kernel: str, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    numba = pytest.importorskip("numba")
    from numba import cuda
    from numba.cuda.cudadrv.error import NvvmSupportError
    from numba.cuda.cudadrv.nvvm import NVVM

    from streamdet.infer import cuda_kernels

    try:
        NVVM()
    except NvvmSupportError as error:
        pytest.skip(f"there is no libnvvm to compile with: {error}")
    # Functions that kernels call are typed for the GPU at hand; here it is the one compiled for.
    device = SimpleNamespace(compute_capability=TARGETS[target])
    monkeypatch.setattr("numba.cuda.dispatcher.get_current_device", lambda: device)
    ptx, _ = cuda.compile_ptx(getattr(cuda_kernels, kernel), getattr(cuda_kernels, kernel.upper()), cc=TARGETS[target])
    assert ".entry" in ptx
    assert ".f64" not in ptx, "float64 is sixty-four times slower on most GPUs"
    made_for = next(line.split()[1].rstrip(",") for line in ptx.splitlines() if line.startswith(".target"))
    # numba stops at sm_90, whose code newer GPUs take (numba-cuda goes on); the assembler has the last word.
    assert made_for == target or (made_for == "sm_90" and TARGETS[target] > (9, 0))
    assembler = shutil.which("ptxas")
    if assembler is None:
        if made_for != target:
            pytest.skip(
                f"numba {numba.__version__} writes {made_for}, and there is no ptxas to assemble it for {target}"
            )
        return
    source = tmp_path / "kernel.ptx"
    source.write_text(ptx)
    run = subprocess.run(
        [assembler, f"-arch={target}", "-v", str(source), "-o", str(tmp_path / "kernel.cubin")],
        capture_output=True,
        text=True,
    )
    assert 0 == run.returncode, run.stderr
    assert "0 bytes spill stores" in run.stderr
