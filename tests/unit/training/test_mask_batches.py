"""Masks and labels in batches: in their rows, of the picture's size, and of another where a step wants one."""

from __future__ import annotations

import numpy as np
import torch

from streamdet.datasets.runs import outlines
from streamdet.datasets.samples import Objects, Sample
from streamdet.masks import UNKNOWN
from streamdet.training.batches import collate_labels, collate_masks, resized


def samples() -> list[Sample]:
    """A ring and a block that lies ignored; a picture with nothing; an object of which only the box is known."""
    rgb = np.zeros((48, 64, 3), np.uint8)
    ring = np.zeros((48, 64), np.uint8)
    ring[8:32, 8:32], ring[16:24, 16:24] = 1, 0
    block = np.array([(40, 4), (60, 4), (60, 12), (40, 12)], np.float32)
    boxes = np.array([[8, 8, 32, 32], [40, 4, 60, 12]], np.float32)
    outlined = Objects(boxes, np.array([1, 0]), np.array([False, True]), polygons=(outlines(ring), (block,)))
    boxed = Objects(boxes[1:], np.array([0]), np.array([False]))
    return [Sample("a", rgb, outlined), Sample("b", rgb, Objects.empty()), Sample("c", rgb, boxed)]


def test_every_object_has_its_mask_in_its_row():
    targets = collate_masks(samples()).targets
    assert (3, 2, 48, 64) == targets.masks.shape
    assert torch.uint8 == targets.masks.dtype
    assert [[24 * 24 - 64, 160], [0, 0], [160, 0]] == targets.masks.sum(dim=(2, 3)).tolist()
    assert 0 == targets.masks[0, 0, 20, 20]


def test_every_pixel_has_its_label():
    labels = collate_labels(samples()).targets.labels
    assert (3, 48, 64) == labels.shape
    assert (2, 0, UNKNOWN, 0) == (labels[0, 10, 10], labels[0, 20, 20], labels[0, 8, 50], labels[0, 40, 40])
    assert 0 == labels[1].sum()
    assert 160 == labels[2].sum()


def test_masks_and_labels_go_with_the_picture_to_another_size():
    masks, labels = (collate(samples()) for collate in (collate_masks, collate_labels))
    masks, labels = (
        resized(type(one)(one.keys, one.pixels.float(), one.targets), (128, 96)) for one in (masks, labels)
    )
    assert (3, 3, 96, 128) == masks.pixels.shape
    assert (3, 2, 96, 128) == masks.targets.masks.shape
    assert [16, 16, 64, 64] == masks.targets.xyxy[0, 0].tolist()
    assert 4 * (24 * 24 - 64) == masks.targets.masks[0, 0].sum()
    assert (3, 96, 128) == labels.targets.labels.shape
    assert (2, 0, UNKNOWN) == tuple(
        labels.targets.labels[0, row, column] for row, column in [(20, 20), (40, 40), (16, 100)]
    )
