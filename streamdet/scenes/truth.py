"""What a rendered picture is known to show."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Bgr = npt.NDArray[np.uint8]  # [height, width, 3]
Points = npt.NDArray[np.float32]  # [N, 2], pixels, edges: the whole picture is (0, 0) to (width, height)


@dataclass(frozen=True, slots=True)
class Truth:
    """One object of one picture, exactly as it was drawn, before blur and noise."""

    truth_id: int  # the same in every picture that shows this object, and of no other
    name: str  # the class
    xyxy: tuple[float, float, float, float]  # around what of it lies inside the picture
    corners: tuple[
        tuple[float, float], ...
    ]  # top left, top right, bottom right, bottom left as read; not cut; empty where unknown
    visible_ratio: float  # of its area: inside the picture and not behind something nearer
    text: str = ""  # without blanks
    format_key: str = ""  # of plate_formats
    carrier_xyxy: tuple[float, float, float, float] | None = None  # the car around it, cut to the picture

    @property
    def visible(self) -> bool:
        """Whether most of it can be seen."""
        return self.visible_ratio >= 0.75

    @property
    def width_px(self) -> float:
        """Length of its upper edge, of its box where no corners are known."""
        if not self.corners:
            return self.xyxy[2] - self.xyxy[0]
        (x0, y0), (x1, y1) = self.corners[:2]
        return float(np.hypot(x1 - x0, y1 - y0))


Planes = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8], npt.NDArray[np.uint8]]  # Y, U, V as in yuv420p


@dataclass(frozen=True, slots=True)
class Scene:
    """One rendered picture and its truth, nearest object last."""

    bgr: Bgr
    truth: tuple[Truth, ...]
