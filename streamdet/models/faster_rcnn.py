"""Faster R-CNN (Ren et al. 2015) on a pyramid: regions are proposed, then each is looked at.

Every picture gets the same number of regions, suppression in between included, so that the whole is one graph without
data-dependent shapes. It learns jointly, by four losses at once, or in the four alternating steps of the paper.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field
from torch import Tensor, nn

from streamdet.models.backbones import Pyramid
from streamdet.models.box_head import BoxHead, BoxHeadOptions
from streamdet.models.contract import WHOLE, Cut, DetectionModel, Phase, Targets
from streamdet.models.proposals import ProposalNetwork, ProposalOptions, Proposals
from streamdet.models.trunk import Trunk, TrunkOptions


class FasterRcnnOptions(TrunkOptions):
    """How a Faster R-CNN is built; the defaults suit pictures of some 320 to 640 pixels and a CPU."""

    proposals: ProposalOptions = Field(ProposalOptions(), description="The first stage.")
    box_head: BoxHeadOptions = Field(BoxHeadOptions(), description="The second stage.")
    training: Literal["joint", "alternating"] = Field(
        "joint", description="All four losses at once, or the four steps of the original paper."
    )


# The steps of the paper. There both networks started from one trained on ImageNet; here the detector's trunk begins
# with nothing in the second, so that one is longest. The third and fourth leave the trunk as it is.
PROPOSING = Phase("1: proposals", 0.25, ("proposer.",))
DETECTING = Phase("2: detector", 0.45, ("trunk.", "box_head."))
PROPOSING_SHARED = Phase("3: proposals on the detector's trunk", 0.15, ("rpn.",))
DETECTING_SHARED = Phase("4: detector on its own proposals", 0.15, ("box_head.",))


class Proposer(nn.Module):
    """A proposal network with a trunk of its own: what the first alternating step trains and the second asks."""

    def __init__(self, options: FasterRcnnOptions) -> None:
        super().__init__()
        self.trunk = Trunk(options)
        self.rpn = ProposalNetwork(self.trunk.neck, options.channels, options.proposals)


class FasterRcnn(DetectionModel):
    """Trunk → proposals → box head."""

    stride = 32

    def __init__(self, classes: int, options: FasterRcnnOptions | None = None) -> None:
        super().__init__()
        self.options = options = options or FasterRcnnOptions()
        self.classes = classes
        self.trunk = Trunk(options)
        self.rpn = ProposalNetwork(self.trunk.neck, options.channels, options.proposals)
        self.box_head = BoxHead(options.channels, classes, options.box_head)
        self.proposer = Proposer(options) if options.training == "alternating" else None

    @classmethod
    def tiny(cls, classes: int, training: Literal["joint", "alternating"] = "joint") -> FasterRcnn:
        """Small enough to learn something within seconds."""
        return cls(
            classes,
            FasterRcnnOptions(
                backbone="tiny",
                channels=24,
                proposals=ProposalOptions(count=32, per_level=64, samples=64),
                box_head=BoxHeadOptions(convs=0, width=64, samples=32),
                training=training,
            ),
        )

    def phases(self) -> tuple[Phase, ...]:
        return (WHOLE,) if self.proposer is None else (PROPOSING, DETECTING, PROPOSING_SHARED, DETECTING_SHARED)

    def forward(self, pixels: Tensor) -> Cut:
        pyramid = self.trunk(pixels)
        height, width = pixels.shape[-2:]
        return self.box_head.detect(pyramid, self._proposals(pixels, pyramid), width, height)

    def losses(self, pixels: Tensor, targets: Targets) -> dict[str, Tensor]:
        if self.phase == PROPOSING and self.proposer is not None:
            return self.proposer.rpn.losses(self.proposer.rpn(self.proposer.trunk(pixels)), targets)
        pyramid = self.trunk(pixels)
        if self.phase == PROPOSING_SHARED:
            return self.rpn.losses(self.rpn(pyramid), targets)
        if self.phase in (DETECTING, DETECTING_SHARED):
            return self.box_head.losses(pyramid, self._proposals(pixels, pyramid), targets)
        said = self.rpn(pyramid)
        height, width = pixels.shape[-2:]
        proposals = self.rpn.propose(said, width, height)
        return self.rpn.losses(said, targets) | self._region_losses(pyramid, proposals, targets)

    def _region_losses(self, pyramid: Pyramid, proposals: Proposals, targets: Targets) -> dict[str, Tensor]:
        """Of everything that looks at proposals."""
        return self.box_head.losses(pyramid, proposals, targets)

    def _proposals(self, pixels: Tensor, pyramid: Pyramid) -> Proposals:
        """From the network that knows how in this phase."""
        height, width = pixels.shape[-2:]
        if self.phase in (PROPOSING, DETECTING) and self.proposer is not None:
            return self.proposer.rpn.propose(self.proposer.rpn(self.proposer.trunk(pixels)), width, height)
        return self.rpn.propose(self.rpn(pyramid), width, height)
