"""From a picture for people to the planes that video is made of."""

from __future__ import annotations

import cv2

from streamdet.scenes.truth import Bgr, Planes


def yuv420p(bgr: Bgr) -> Planes:
    """Y [h, w], U and V [⌈h/2⌉, ⌈w/2⌉], BT.601, limited range; odd edges are repeated for the chroma."""
    height, width = bgr.shape[:2]
    if height % 2 or width % 2:
        bgr = cv2.copyMakeBorder(bgr, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
    tall, wide = bgr.shape[:2]
    flat = cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420).reshape(-1)
    quarter = tall * wide // 4
    y = flat[: tall * wide].reshape(tall, wide)[:height, :width]
    u = flat[tall * wide : tall * wide + quarter].reshape(tall // 2, wide // 2)
    v = flat[tall * wide + quarter :].reshape(tall // 2, wide // 2)
    return y, u, v
