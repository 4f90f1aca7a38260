"""`streamdet doctor`: what this machine has, and what is missing for what."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version


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
    yield _cuda()
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


def _cuda() -> Found:
    """The driver, asked directly: no library of ours may crash for want of one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return Found("NVIDIA driver", None, "for GPU decoding and inference; none is installed")
    number = ctypes.c_int()
    status = driver.cuInit(0) or driver.cuDriverGetVersion(ctypes.byref(number))
    if status:
        return Found("NVIDIA driver", None, f"it is installed and does not start (CUDA error {status})")
    return Found("NVIDIA driver", f"CUDA {number.value // 1000}.{number.value % 1000 // 10}")


_DISTRIBUTIONS = {"cv2": ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless")}


def _package(library: str) -> str | None:
    if importlib.util.find_spec(library) is None:
        return None
    for distribution in _DISTRIBUTIONS.get(library, (library,)):
        try:
            return version(distribution)
        except PackageNotFoundError:
            continue
    return "installed"
