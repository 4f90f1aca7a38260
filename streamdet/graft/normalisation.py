"""How pixels 0..255 become what a network was trained on, in two numbers per channel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from streamdet.errors import ConfigError

PixelRange = Literal["0..255", "0..1", "-1..1", "imagenet"]


@dataclass(frozen=True)
class Normalisation:
    """network = (pixel · scale − mean) / std, channel by channel in the network's own colour order."""

    scale: float = 1.0
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)

    @property
    def factor(self) -> tuple[float, ...]:
        """What a pixel is multiplied with."""
        return tuple(self.scale / std for std in self.std)

    @property
    def addend(self) -> tuple[float, ...]:
        """What is added thereafter."""
        return tuple(-mean / std for mean, std in zip(self.mean, self.std, strict=True))


# ImageNet's figures are those of red, green, blue.
RANGES: dict[PixelRange, Normalisation] = {
    "0..255": Normalisation(),
    "0..1": Normalisation(scale=1 / 255),
    "-1..1": Normalisation(scale=1 / 255, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    "imagenet": Normalisation(scale=1 / 255, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
}


def pixel_range(name: str) -> PixelRange:
    """The name as one of the known ranges."""
    for known in get_args(PixelRange):
        if known == name:
            return known  # type: ignore[no-any-return]
    raise ConfigError("unknown pixel range", expected=", ".join(get_args(PixelRange)), got=name)
