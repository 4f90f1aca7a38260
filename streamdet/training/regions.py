"""Regions for every picture that is learnt from, where a network does not propose its own.

They are searched in the picture as augmentation left it, not moved along with it: a search sees the edges of a mosaic
and the colours as they became, as it will on the pictures to come. It takes some 40 ms for one of 320 pixels, ahead of
the step that needs it, on another core where there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from streamdet.boxes import Boxes
from streamdet.datasets.samples import Sample
from streamdet.proposals.contract import Proposer
from streamdet.training.batches import Batch, Samples, collate


@dataclass(frozen=True)
class Proposed:
    """A sample and where something may be in it."""

    sample: Sample
    regions: Boxes  # f32 [n, 4], pixels


@dataclass(frozen=True)
class WithRegions:
    """Samples with regions."""

    samples: Samples
    proposer: Proposer
    most: int  # of a picture

    def sample(self, index: int, seed: int) -> Proposed:
        """The same as without, and its regions."""
        sample: Sample = self.samples.sample(index, seed)
        return Proposed(sample, self.proposer(sample.rgb).best(self.most).xyxy)


def collate_regions(given: Sequence[Proposed]) -> Batch:
    """As `collate`, with regions padded to the picture that has most."""
    batch = collate([each.sample for each in given])
    regions = torch.zeros(len(given), max(1, *(len(each.regions) for each in given)), 4)
    for picture, each in enumerate(given):
        regions[picture, : len(each.regions)] = torch.from_numpy(each.regions)
    return replace(batch, targets=replace(batch.targets, regions=regions))
