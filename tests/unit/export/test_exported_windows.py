"""Localiser and OverFeat as engines: what they say in torch, they say from the shelf, with landmarks and in batches."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from streamdet.export.engine import export_model
from streamdet.models.contract import DetectionModel
from streamdet.models.localiser import Localiser, LocaliserOptions
from streamdet.models.overfeat import OverFeat

JOINTS = tuple(f"point_{number}" for number in range(1, 4))


@pytest.mark.parametrize(
    ("model", "keypoints"),
    [
        (lambda: Localiser(2, LocaliserOptions(backbone="tiny", hidden=64, keypoints=3)), JOINTS),
        (lambda: Localiser(2, LocaliserOptions(backbone="tiny", hidden=64, per_class_boxes=True)), ()),
        (lambda: OverFeat.tiny(2), ()),
    ],
    ids=["localiser", "localiser per class", "overfeat"],
)
def test_an_engine_says_what_its_model_says(model: type[DetectionModel], keypoints: tuple[str, ...], tmp_path: Path):
    torch.manual_seed(0)
    torch.set_num_threads(1)
    done = export_model(
        model(), name="small", shelf=tmp_path, size=(96, 64), classes=("disc", "square"), keypoints=keypoints
    )
    assert done.parity  # each runtime was held against torch, else there would be no engine
    assert keypoints == done.manifest.keypoints
