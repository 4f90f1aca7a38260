"""Writes oracles.npz beside this file: what outside libraries say of pictures that the tests make themselves.

python -m venv PEER && PEER/bin/pip install opencv-contrib-python-headless scikit-image scikit-learn
PEER/bin/python tests/unit/proposals/make_oracles.py
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from pictures import hills, shapes, two_clouds
from skimage.feature import hog
from sklearn.svm import LinearSVC


def main() -> None:
    answers: dict[str, np.ndarray] = {}
    for scale in (50, 300):
        for smallest in (10, 100):
            graph = cv2.ximgproc.segmentation.createGraphSegmentation(0.8, scale, smallest)
            answers[f"segments_{scale}_{smallest}"] = graph.processImage(hills()).astype(np.int32)
    for name, rgb in (("shapes", shapes()), ("grey", shapes()[..., 1])):
        answers[f"hog_{name}"] = hog(
            rgb,
            orientations=9,
            pixels_per_cell=(8, 8),
            cells_per_block=(2, 2),
            block_norm="L2-Hys",
            feature_vector=False,
            channel_axis=2 if rgb.ndim == 3 else None,
        )
    points, positive = two_clouds()
    for loss in ("hinge", "squared_hinge"):
        machine = LinearSVC(C=0.5, loss=loss, dual=True, tol=1e-9, max_iter=1_000_000, intercept_scaling=1.0)
        machine.fit(points, positive)
        answers[f"svm_{loss}"] = np.append(machine.coef_[0], machine.intercept_)
    np.savez_compressed(Path(__file__).with_name("oracles.npz"), **answers)


if __name__ == "__main__":
    main()
