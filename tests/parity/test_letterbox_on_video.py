"""Real frames through the fused kernel and through the chain that people write with OpenCV."""

from __future__ import annotations

from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from streamdet.infer.preprocess import Letterbox
from streamdet.manifest import EngineInput
from streamdet.picture import Picture


def opencv_chain(frame: av.VideoFrame, placement, size: int) -> np.ndarray:
    """Convert, resize, pad, transpose."""
    rgb = cv2.cvtColor(frame.to_ndarray(format="yuv420p"), cv2.COLOR_YUV2RGB_I420)
    small = cv2.resize(rgb, placement.scaled_size, interpolation=cv2.INTER_LINEAR)
    x, y = placement.left_px, placement.top_px
    right, below = size - small.shape[1] - x, size - small.shape[0] - y
    padded = cv2.copyMakeBorder(small, y, below, x, right, cv2.BORDER_CONSTANT, value=(114, 114, 114))
    return padded.transpose(2, 0, 1)


@pytest.mark.parametrize("size", [416, 640])
@pytest.mark.parametrize("clip", ["car-detection.mp4", "one-by-one-person-detection.mp4"])
def test_on_video_the_kernel_is_within_half_a_grey_level_of_the_opencv_chain(shared_data: Path, clip: str, size: int):
    engine_input = EngineInput(name="x", size=(size, size))
    letterbox = Letterbox(engine_input)
    out = np.zeros((3, size, size), np.uint8)
    differences = []
    with av.open(str(shared_data / "video" / clip)) as container:
        for number, frame in enumerate(container.decode(video=0)):
            if number % 60 == 0:
                planes = tuple(
                    np.frombuffer(plane, np.uint8).reshape(plane.height, plane.line_size)[:, : plane.width]
                    for plane in frame.planes
                )
                placement = letterbox.write(Picture(planes, "yuv420p"), out)
                differences.append(np.abs(opencv_chain(frame, placement, size).astype(int) - out).mean())
            if number == 360:
                break
    assert len(differences) == 7
    assert max(differences) < 0.5
