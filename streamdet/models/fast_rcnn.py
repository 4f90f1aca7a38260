"""Fast R-CNN (Girshick 2015): the picture is seen once, and every region that somebody proposes is read from that.

R-CNN ran its network for each of two thousand regions. Here convolutions are shared, RoIPool makes a region of any size
as large as every other, and class and box are learnt at once. Only the proposals still come from elsewhere: that is
what Faster R-CNN then changed. The head, its refinement in several passes and its context are those of Faster R-CNN.
"""

from __future__ import annotations

from pydantic import Field
from torch import Tensor

from streamdet.models.box_head import BoxHead, BoxHeadOptions
from streamdet.models.contract import Cut, RegionModel, Targets
from streamdet.models.geometry import area
from streamdet.models.proposals import Proposals
from streamdet.models.trunk import Trunk, TrunkOptions


class FastRcnnOptions(TrunkOptions):
    """How a Fast R-CNN is built; the defaults suit pictures of some 320 pixels and a CPU.

    The paper reads its regions from one map of stride 16. Objects of 20 pixels are a single cell there, so this one
    reads them from a pyramid, as all that came later do.
    """

    proposals: str = Field(
        "selective-search?smallest_px=25", description="Where regions come from: METHOD?option=value&…"
    )
    regions: int = Field(2000, ge=1, le=4000, description="At most so many of a picture, the likeliest first.")
    box_head: BoxHeadOptions = Field(
        BoxHeadOptions(pooling="max", convs=0), description="What looks at the regions; 64 of a picture learn."
    )


class FastRcnn(RegionModel):
    """Trunk → the head, on regions from outside."""

    stride = 32

    def __init__(self, classes: int, options: FastRcnnOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or FastRcnnOptions()
        self.classes = classes
        self.proposals = options.proposals
        self.regions = options.regions
        self.trunk = Trunk(options)
        self.box_head = BoxHead(options.channels, classes, options.box_head)

    @classmethod
    def tiny(cls, classes: int) -> FastRcnn:
        """Small enough to learn something within seconds."""
        head = BoxHeadOptions(pooling="max", convs=0, width=64, samples=32)
        return cls(
            classes,
            FastRcnnOptions(backbone="tiny", channels=24, regions=64, box_head=head),
        )

    def forward(self, pixels: Tensor, regions: Tensor) -> Cut:
        height, width = pixels.shape[-2:]
        return self.box_head.detect(self.trunk(pixels), held(regions), width, height)

    def losses(self, pixels: Tensor, targets: Targets) -> dict[str, Tensor]:
        return self.box_head.losses(self.trunk(pixels), held(proposed(targets)), targets)


def proposed(targets: Targets) -> Tensor:
    """The regions that came with a batch, f32 [B, R, 4]."""
    assert targets.regions is not None, "a region model is trained on pictures with regions"
    return targets.regions


def held(regions: Tensor) -> Proposals:
    """Regions as the head wants them; those without area are none."""
    return Proposals(regions, area(regions) > 0)
