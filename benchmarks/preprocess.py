"""The fused letterbox against the chain that people write with OpenCV, one thread, 1080p planes → uint8 CHW.

    python benchmarks/preprocess.py [--rounds 200]

The chain: cvtColor from I420, resize (linear), copyMakeBorder, transpose to CHW. Both run in turn within one process,
so that a busy machine slows both; the figures are medians, the ratio is theirs. `difference` is the mean over all
pixels of the picture, in grey levels.
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import av
import cv2
import numpy as np
import numpy.typing as npt

from streamdet.infer import twins
from streamdet.infer.preprocess import Letterbox
from streamdet.manifest import EngineInput
from streamdet.picture import Picture

Pixels = npt.NDArray[np.uint8]
VIDEO = Path(__file__).resolve().parents[2] / "shared" / "data" / "video" / "one-by-one-person-detection.mp4"
WIDTH, HEIGHT = 1920, 1080


def i420_frame() -> Pixels:
    """[1620, 1920]: a real frame brought to 1080p, or blobs and noise where the clip is not there."""
    if VIDEO.is_file():
        with av.open(str(VIDEO)) as container:
            frame = next(iter(container.decode(video=0)))
            return frame.reformat(WIDTH, HEIGHT, "yuv420p").to_ndarray()
    coarse = np.random.default_rng(0).integers(0, 256, (34, 60, 3), np.uint8)
    rgb = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420)


def picture_of(i420: Pixels) -> Picture:
    """The same bytes as three planes."""
    quarter = HEIGHT // 4
    y, u, v = i420[:HEIGHT], i420[HEIGHT : HEIGHT + quarter], i420[HEIGHT + quarter :]
    chroma = (HEIGHT // 2, WIDTH // 2)
    return Picture((y, u.reshape(chroma), v.reshape(chroma)), "yuv420p")


def opencv_chain(i420: Pixels, engine_input: EngineInput) -> Pixels:
    """What a script does."""
    placement = engine_input.placement((WIDTH, HEIGHT))
    rgb = cv2.cvtColor(i420, cv2.COLOR_YUV2RGB_I420)
    small = cv2.resize(rgb, placement.scaled_size, interpolation=cv2.INTER_LINEAR)
    x, y = placement.left_px, placement.top_px
    right, below = engine_input.size[0] - small.shape[1] - x, engine_input.size[1] - small.shape[0] - y
    padded = cv2.copyMakeBorder(small, y, below, x, right, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    return np.ascontiguousarray(padded.transpose(2, 0, 1))


def medians_ms(runs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Each in turn, so many rounds."""
    took: dict[str, list[float]] = {name: [] for name in runs}
    for _ in range(rounds):
        for name, run in runs.items():
            started = time.perf_counter()
            run()
            took[name].append((time.perf_counter() - started) * 1e3)
    return {name: statistics.median(times) for name, times in took.items()}


def measure(size: int, rounds: int) -> str:
    """One line of the table."""
    engine_input = EngineInput(name="x", size=(size, size))
    i420 = i420_frame()
    picture = picture_of(i420)
    fused, plain = Letterbox(engine_input), Letterbox(engine_input)
    plain._letterbox = twins.letterbox
    out: Pixels = np.zeros((3, size, size), np.uint8)
    placement = fused.write(picture, out)
    inside = slice(placement.top_px, placement.top_px + placement.scaled_size[1])
    difference = np.abs(opencv_chain(i420, engine_input)[:, inside].astype(int) - out[:, inside]).mean()
    ms = medians_ms(
        {"fused": lambda: fused.write(picture, out), "chain": lambda: opencv_chain(i420, engine_input)}, rounds
    )
    twin_ms = medians_ms({"twin": lambda: plain.write(picture, out)}, max(rounds // 20, 3))["twin"]
    return (
        f"{size:>5}  {ms['fused']:>9.2f}  {ms['chain']:>9.2f}  {ms['chain'] / ms['fused']:>5.1f}x"
        f"  {twin_ms:>9.1f}  {difference:>10.2f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=200)
    rounds = parser.parse_args().rounds
    cv2.setNumThreads(1)
    print(f"python benchmarks/preprocess.py --rounds {rounds}")
    print(f"{platform.machine()}, {os.cpu_count()} cores, OpenCV {cv2.__version__}, numpy {np.__version__}")
    print(f"\n{'input':>5}  {'fused ms':>9}  {'OpenCV ms':>9}  {'ratio':>6}  {'numpy ms':>9}  {'difference':>10}")
    for size in (416, 640):
        print(measure(size, rounds))


if __name__ == "__main__":
    main()
