"""What both stages of a two-stage detector stand on: backbone and pyramid."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn

from streamdet.models.backbone_choice import BackboneName, backbone
from streamdet.models.backbones import Pyramid
from streamdet.models.pyramid import FeaturePyramid


class TrunkOptions(BaseModel):
    """How the trunk of a two-stage detector is built; the defaults suit pictures of some 320 to 640 px and a CPU."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backbone: BackboneName = Field("resnet18", description="The network that sees.")
    first_level: int = Field(
        3, ge=2, le=5, description="Finest level looked at; level n has stride 2^n; 2 in the paper."
    )
    last_level: int = Field(5, ge=5, le=7, description="Coarsest level looked at; 6 in the paper.")
    channels: int = Field(96, ge=8, description="Channels of the pyramid; 256 in the paper.")


class Trunk(nn.Module):
    """Backbone and pyramid: pixels → features of every level."""

    def __init__(self, options: TrunkOptions) -> None:
        super().__init__()
        self.backbone = backbone(options.backbone)
        self.neck = FeaturePyramid(
            self.backbone.channels, options.first_level, options.last_level, channels=options.channels
        )

    def forward(self, pixels: Tensor) -> Pyramid:
        pyramid: Pyramid = self.neck(self.backbone(pixels))
        return pyramid
