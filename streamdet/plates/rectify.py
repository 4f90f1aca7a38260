"""Four corners → the quadrilateral that a reader is shown, and how much that view is worth.

The same geometry as in training: the whole plate, a little widened, pulled to the reader's input whatever its shape.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Corners = npt.NDArray[np.float32]  # [4, 2]: top left, top right, bottom right, bottom left as read

WIDENED = 0.075  # of the plate's width and height, together on both sides; training draws 5 to 10 %
_BOX_WORTH = 0.6  # a view cut by an upright box, beside one cut by good corners
_LEAST_FILL = 0.35  # of its box, for corners to be believed


def quadrilateral(xyxy: npt.NDArray[np.float32], keypoints: npt.NDArray[np.float32] | None) -> tuple[Corners, float]:
    """The corners of one detection and what they are worth, 0 to 1; those of its box where it has none to believe."""
    if keypoints is not None and len(keypoints) == 4 and keypoints[:, 2].min() > 0:
        corners = np.asarray(keypoints[:, :2], np.float32)
        box = max(float((xyxy[2] - xyxy[0]) * (xyxy[3] - xyxy[1])), 1e-6)
        if _LEAST_FILL < _area(corners) / box < 2.0:
            return corners, max(float(np.clip(keypoints[:, 2], 0, 1).mean()), _BOX_WORTH)
    left, top, right, bottom = xyxy
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32), _BOX_WORTH


def _area(corners: Corners) -> float:
    """Of a quadrilateral whose corners run clockwise; 0 or less of any other."""
    x, y = corners.T.astype(np.float64)
    return float(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


def widened(corners: Corners, share: float = WIDENED) -> Corners:
    """The quadrilateral grown along its own directions, as training grows it."""
    across = (corners[1] + corners[2] - corners[0] - corners[3]) / 2
    down = (corners[2] + corners[3] - corners[0] - corners[1]) / 2
    sides = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)], np.float32) * np.float32(share)
    return np.asarray(corners + sides[:, :1] * across + sides[:, 1:] * down, np.float32)


def plate_size(corners: Corners) -> tuple[float, float]:
    """Width and height in pixels: the mean length of opposite sides."""
    top, right, bottom, left = (
        float(np.hypot(*(corners[(i + 1) % 4] - corners[i]).astype(np.float64))) for i in range(4)
    )
    return (top + bottom) / 2, (right + left) / 2


def worth(sharpness: float, size: tuple[float, float], corner_score: float) -> float:
    """What one look weighs in a vote: sharpness × √area × corner score; 1 is a good look at a gate.

    Bounded on both sides: the best look is not worth a dozen others, and a poor one is worth something.
    """
    width, height = size
    return float(np.clip(sharpness * np.sqrt(width * height) / 25.0 * corner_score, 0.1, 2.0))
