"""How far pictures are changed in training."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Chance = Annotated[float, Field(ge=0, le=1)]
Span = tuple[float, float]  # from, to


class AugmentOptions(BaseModel):
    """What is done to pictures so that few teach as much as many. Chances are per sample."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    mosaic: Annotated[Chance, Field(description="Chance that four pictures are put together into one.")] = 1.0
    mixup: Annotated[Chance, Field(description="Chance that a second picture shines through, with its objects.")] = 0.0
    scale: Annotated[
        Span, Field(description="The size of things against a picture that just fits: 0.5 halves, 1.5 enlarges.")
    ] = (0.5, 1.5)
    large_jitter: Annotated[
        Chance, Field(description="Chance that a picture that is no mosaic is scaled by large_scale instead.")
    ] = 0.0
    large_scale: Annotated[Span, Field(description="The span of large-scale jitter.")] = (0.1, 2.0)
    translate: Annotated[
        float, Field(ge=0, le=1, description="Shift in either direction, as a part of the picture.")
    ] = 0.1
    rotate_degrees: Annotated[float, Field(ge=0, le=180, description="Turn in either direction.")] = 0.0
    shear_degrees: Annotated[float, Field(ge=0, lt=60, description="Slant in either direction, on each axis.")] = 0.0
    perspective: Annotated[
        float, Field(ge=0, le=0.5, description="How much one edge may come nearer than the other; 0.1 is plenty.")
    ] = 0.0
    flip_horizontal: Annotated[
        float | None,
        Field(ge=0, le=1, description="Chance of a mirror image; None: 0.5, and 0 where objects carry text."),
    ] = None
    flip_vertical: Annotated[Chance, Field(description="Chance of standing upside down, mirrored: cells, maps.")] = 0.0
    quarter_turns: Annotated[Chance, Field(description="Chance of a turn by 90, 180 or 270 degrees: cells, maps.")] = (
        0.0
    )
    mirrored_keypoints: Annotated[
        tuple[int, ...] | None,
        Field(description="Which keypoint takes each one's place in a mirror; None: corners, 1 0 3 2."),
    ] = None
    hue: Annotated[float, Field(ge=0, le=0.5, description="Change of hue in either direction, 0.5 is all around.")] = (
        0.015
    )
    saturation: Annotated[float, Field(ge=0, le=1, description="Change of saturation, as a part of it.")] = 0.6
    brightness: Annotated[float, Field(ge=0, le=1, description="Change of brightness, as a part of it.")] = 0.4
    noise: Annotated[Chance, Field(description="Chance of a sensor's noise.")] = 0.0
    noise_level: Annotated[float, Field(ge=0, le=64, description="Its largest standard deviation, of 255.")] = 12.0
    blur: Annotated[Chance, Field(description="Chance of a soft focus.")] = 0.0
    blur_px: Annotated[float, Field(ge=0, le=16, description="Its largest standard deviation.")] = 1.5
    jpeg: Annotated[Chance, Field(description="Chance of traces of compression.")] = 0.0
    jpeg_quality: Annotated[int, Field(ge=5, le=95, description="The worst quality, up to 95.")] = 40
    paste: Annotated[Chance, Field(description="Chance that objects cut from other pictures are pasted in.")] = 0.0
    paste_most: Annotated[int, Field(ge=1, le=32, description="At most so many at a time.")] = 4
    least_visible_ratio: Annotated[
        float, Field(ge=0, le=1, description="An object of which less is left counts as cut too far.")
    ] = 0.2
    least_side_px: Annotated[float, Field(ge=0, description="An object smaller than that counts as cut too far.")] = 2.0
    cut_objects: Annotated[
        Literal["ignore", "drop"],
        Field(description="What happens to those: neither learnt nor background, or forgotten."),
    ] = "ignore"
    outline: Annotated[
        Literal["box", "ellipse"],
        Field(description="What a box without an outline holds when it is turned: all of it, or the ellipse inside."),
    ] = "box"
    pad: Annotated[int, Field(ge=0, le=255, description="The grey around a picture; engines use the same.")] = 114
    memory_mb: Annotated[
        int, Field(ge=0, description="Decoded pictures kept in memory, at most; 0: each is decoded every time.")
    ] = 1024

    def calm(self) -> AugmentOptions:
        """The same without mosaic, mixup and pasting, for the last epochs: pictures as they will be met."""
        return self.model_copy(update={"mosaic": 0.0, "mixup": 0.0, "paste": 0.0, "large_jitter": 0.0})
