"""`streamdet doctor`: what this machine has, and what is missing for what."""

from __future__ import annotations

import importlib.util
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from streamdet.errors import MissingExtra, StreamdetError


@dataclass(frozen=True, slots=True)
class Found:
    """One thing looked for; `missing` says what it would be good for and how to get it."""

    what: str
    has: str | None
    missing: str = ""


def doctor() -> None:
    """Tell what this machine has, and what is missing for what. It changes nothing."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for found in _findings():
        mark = "[green]yes[/]" if found.has is not None else "[yellow]no[/]"
        table.add_row(mark, found.what, Text(found.has if found.has is not None else found.missing))
    Console(highlight=False).print(table)


def _findings() -> Iterator[Found]:
    cores = len(os.sched_getaffinity(0))
    yield Found("machine", f"{platform.machine()}, {cores} cores for this process, Python {platform.python_version()}")
    for library, purpose in (
        ("av", "decoding video"),
        ("cv2", "pictures and drawing"),
        ("onnxruntime", "running engines"),
        ("numba", "fast kernels; without it everything runs on slower twins"),
    ):
        yield Found(library, _package(library), f"needed for {purpose}: pip install streamdet")
    yield from _runtimes()
    yield from _gpu()
    yield Found("torch", _package("torch"), "for training engines: pip install 'streamdet[train]'")
    yield Found("trackeval", _package("trackeval"), "for scoring tracks: pip install 'streamdet[eval]'")
    from streamdet.infer.shelf import Shelf

    engines = [folder.name for folder in Shelf().list_engines()]
    yield Found(
        "engines", ", ".join(engines) or None, "the shelf is empty: streamdet engine import MODEL.onnx --name …"
    )


def _runtimes() -> Iterator[Found]:
    from streamdet.infer.backends import available

    for runtime in available():
        yield Found(f"runtime {runtime.name}", "usable" if runtime.usable else None, runtime.why_not or "")


def _gpu() -> Iterator[Found]:
    """The driver first: no library of ours may crash for want of one."""
    from streamdet.infer.cuda_calls import Cuda, gpu_count

    count = gpu_count()
    for number in range(max(count, 1)):
        what = "GPU" if count < 2 else f"GPU {number}"
        try:
            gpu = Cuda(number).gpu
        except StreamdetError as error:
            yield Found(what, None, f"for decoding, preparing and inference on a GPU: {error.line}")
        else:
            memory_gib = gpu.memory_bytes / 2**30
            yield Found(what, f"{gpu}, {memory_gib:.0f} GiB, driver for CUDA {gpu.driver_cuda}")
    jetpack = Path("/etc/nv_tegra_release")
    if jetpack.is_file():
        yield Found("JetPack", jetpack.read_text(errors="replace").splitlines()[0].lstrip("# "))
    yield Found("TensorRT", _tensorrt(), "for the fastest inference: pip install tensorrt-cu13; on a Jetson JetPack's")
    yield _preparing()
    yield _nvdec()


def _preparing() -> Found:
    from streamdet.infer.gpu_input import why_not_on_the_gpu

    reason = why_not_on_the_gpu()
    has = None if reason is not None else f"numba-cuda {_package('numba_cuda') or 'as part of numba'}"
    return Found("kernels on a GPU", has, f"for preparing pictures there; without them the CPU does: {reason}")


def _nvdec() -> Found:
    from streamdet.sources.hardware import why_not

    try:
        reason = why_not()
    except MissingExtra as error:
        reason = error.line
    return Found("NVDEC", "decodes a clip as software does" if reason is None else None, f"for decoding: {reason}")


def _tensorrt() -> str | None:
    """By its distribution: importing it without a driver may end the process."""
    for distribution in ("tensorrt", "tensorrt-cu13", "tensorrt-cu12", "tensorrt_cu13_bindings"):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return None


_DISTRIBUTIONS = {
    "numba_cuda": ("numba-cuda",),
    "cv2": ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless"),
}


def _package(library: str) -> str | None:
    if importlib.util.find_spec(library) is None:
        return None
    for distribution in _DISTRIBUTIONS.get(library, (library,)):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return "installed"
