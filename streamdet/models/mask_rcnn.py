"""Mask R-CNN (He et al. 2017): Faster R-CNN, and a mask for everything it finds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor

from streamdet.models.backbones import Pyramid
from streamdet.models.box_head import BoxHeadOptions
from streamdet.models.contract import Cut, Targets
from streamdet.models.faster_rcnn import FasterRcnn, FasterRcnnOptions
from streamdet.models.mask_head import MaskHead, MaskHeadOptions
from streamdet.models.proposals import ProposalOptions, Proposals


class MaskRcnnOptions(FasterRcnnOptions):
    """How a Mask R-CNN is built; the defaults suit pictures of some 320 to 640 pixels and a CPU."""

    mask_head: MaskHeadOptions = Field(MaskHeadOptions(), description="What says which places are the object's.")
    training: Literal["joint"] = Field("joint", description="All five losses at once.")


class MaskRcnn(FasterRcnn):
    """Trunk → proposals → box head → mask head, which reads the boxes that the box head gives."""

    def __init__(self, classes: int, options: MaskRcnnOptions | None = None) -> None:
        options = options or MaskRcnnOptions()
        super().__init__(classes, options)
        self.mask_head = MaskHead(options.channels, classes, options.mask_head)

    @classmethod
    def tiny(cls, classes: int, training: Literal["joint", "alternating"] = "joint") -> MaskRcnn:
        """Small enough to learn something within seconds."""
        assert training == "joint"
        return cls(
            classes,
            MaskRcnnOptions(
                backbone="tiny",
                channels=24,
                proposals=ProposalOptions(count=32, per_level=64, samples=64),
                box_head=BoxHeadOptions(convs=0, width=64, samples=32),
                mask_head=MaskHeadOptions(convs=1, channels=16, samples=8),
            ),
        )

    def forward(self, pixels: Tensor) -> Cut:
        pyramid = self.trunk(pixels)
        height, width = pixels.shape[-2:]
        cut = self.box_head.detect(pyramid, self._proposals(pixels, pyramid), width, height)
        return cut._replace(masks=self.mask_head.detect(pyramid, cut))

    def _region_losses(self, pyramid: Pyramid, proposals: Proposals, targets: Targets) -> dict[str, Tensor]:
        boxes = super()._region_losses(pyramid, proposals, targets)
        return boxes | self.mask_head.losses(pyramid, proposals, targets)
