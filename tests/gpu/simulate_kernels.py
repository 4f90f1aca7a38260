"""Runs the CUDA kernels in numba's simulator and prints, as JSON, how far each case is from the CPU's kernels.

A program of its own, because the simulator is chosen by the environment before numba is imported.
"""

from __future__ import annotations

import json
import sys
from itertools import product
from pathlib import Path
from typing import get_args

import numpy as np
from numba import cuda

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from made_pictures import picture_of

from streamdet.infer.cuda_preprocess import CudaLetterbox, CudaWarp, GpuPlanes
from streamdet.infer.preprocess import Letterbox, Warp
from streamdet.manifest import EngineInput, Fit
from streamdet.picture import PIXEL_FORMATS, Rotation

SIZES = ((37, 23), (16, 31), (1, 1), (2, 3))
COLOURS = ("rgb", "bgr", "gray")


def noise(size: tuple[int, int], seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), np.uint8)


def letterbox_cases() -> dict[str, int]:
    found = {}
    for seed, (pixel_format, rotation) in enumerate(product(PIXEL_FORMATS, get_args(Rotation))):
        size, colour = SIZES[(seed + seed // 4) % len(SIZES)], COLOURS[seed % len(COLOURS)]
        fit = Fit(anchor="top_left") if seed % 2 else Fit(mode="letterbox", pad=31)
        wanted = EngineInput(name="x", size=(25, 18), colour=colour, fit=fit)
        extra = 5 * (seed % 3)
        rgb = noise(size, seed)
        picture = picture_of(
            rgb, pixel_format, rotation=rotation, extra_stride=extra, full_range=bool(seed % 2), matrix="bt709"
        )
        expected = np.full((wanted.channels, 18, 25), 7, np.uint8)
        placement = Letterbox(wanted).write(picture, expected)
        out = cuda.to_device(np.full_like(expected, 9))
        assert placement == CudaLetterbox(wanted).write(picture, out, GpuPlanes(cuda))
        apart = np.abs(out.copy_to_host().astype(int) - expected).max()
        found[f"letterbox {pixel_format} {rotation} {size} {colour}"] = int(apart)
    return found


def warp_cases() -> dict[str, int]:
    found = {}
    corners = np.array([[0.1, 0.15], [0.9, 0.05], [0.95, 0.8], [0.05, 1.1]])
    for seed, (pixel_format, rotation) in enumerate(product(PIXEL_FORMATS, get_args(Rotation))):
        size, colour = (SIZES[seed % 2]), COLOURS[seed % len(COLOURS)]
        picture = picture_of(noise(size, seed), pixel_format, rotation=rotation, extra_stride=3 * (seed % 2))
        quadrilateral = (corners * picture.size).astype(np.float32)
        target = (19, 7) if seed % 2 else (5, 3)
        warp = Warp(target, colour)
        expected = np.zeros((1 if colour == "gray" else 3, target[1], target[0]), np.uint8)
        assert warp.write(picture, quadrilateral, expected)
        out = cuda.to_device(np.zeros_like(expected))
        assert CudaWarp(warp).write(picture, quadrilateral, out, GpuPlanes(cuda))
        apart = np.abs(out.copy_to_host().astype(int) - expected).max()
        found[f"warp {pixel_format} {rotation} {size} {colour}"] = int(apart)
    return found


def sequence_case() -> dict[str, int]:
    """One letterbox for pictures of changing sizes and formats, as a batch of several streams gives them."""
    wanted = EngineInput(name="x", size=(16, 16))
    one, other, planes = CudaLetterbox(wanted), Letterbox(wanted), GpuPlanes(cuda)
    apart = 0
    for seed in range(6):
        picture = picture_of(noise(SIZES[seed % 2], seed), ("nv12", "yuv420p", "rgb24")[seed % 3])
        expected = np.zeros((3, 16, 16), np.uint8)
        other.write(picture, expected)
        out = cuda.to_device(np.zeros_like(expected))
        one.write(picture, out, planes)
        apart = max(apart, int(np.abs(out.copy_to_host().astype(int) - expected).max()))
    return {"a sequence": apart}


if __name__ == "__main__":
    print(json.dumps(letterbox_cases() | warp_cases() | sequence_case()))
