"""How many training pictures a second are rendered, in one process and in two.

python benchmarks/rendering.py
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable
from functools import partial

import cv2

from streamdet.scenes.backgrounds import Background, rendered_street
from streamdet.scenes.plate_crops import CropOptions, plate_crop
from streamdet.scenes.plate_scenes import SceneOptions, plate_scene

WARM, COUNT = 200, 400  # the first ones draw the alphabets


def scenes(size: tuple[int, int], backgrounds: list[Background]) -> Callable[[int], object]:
    """Draws scene number so-and-so."""
    return partial(_scene, SceneOptions(size=size), backgrounds)


def _scene(options: SceneOptions, backgrounds: list[Background], index: int) -> object:
    return plate_scene(1, index, options, backgrounds)


def _crop(options: CropOptions, index: int) -> object:
    return plate_crop(1, index, options)


def worker(draw: Callable[[int], object], first: int, gate: object, spent: object) -> None:
    """Draw a share of the pictures once everybody is warm, and tell how long it took."""
    cv2.setNumThreads(1)
    for index in range(first, first + WARM):
        draw(index)
    gate.wait()  # type: ignore[attr-defined]
    start = time.perf_counter()
    for index in range(first + WARM, first + WARM + COUNT):
        draw(index)
    spent.put(time.perf_counter() - start)  # type: ignore[attr-defined]


def rate(draw: Callable[[int], object], processes: int) -> float:
    """Pictures a second of all processes together."""
    context = multiprocessing.get_context("spawn")
    gate, spent = context.Barrier(processes), context.Queue()
    team = [
        context.Process(target=worker, args=(draw, number * (WARM + COUNT), gate, spent)) for number in range(processes)
    ]
    for member in team:
        member.start()
    longest = max(spent.get() for _ in team)
    for member in team:
        member.join()
    return processes * COUNT / longest


def main() -> None:
    """Print the table."""
    backgrounds = [rendered_street(1000 + k, 3.0 + k) for k in range(3)]
    kinds = {
        "scenes for a detector, 640 x 384": scenes((640, 384), backgrounds),
        "scenes for a detector, 416 x 256": scenes((416, 256), backgrounds),
        "crops for a reader, 192 x 64, gray": partial(_crop, CropOptions()),
        "crops for a reader, 192 x 64, RGB": partial(_crop, CropOptions(colour="rgb")),
    }
    print("| what | 1 process, per s | 2 processes, per s |\n|---|---|---|")
    for name, draw in kinds.items():
        print(f"| {name} | {rate(draw, 1):.0f} | {rate(draw, 2):.0f} |", flush=True)


if __name__ == "__main__":
    main()
