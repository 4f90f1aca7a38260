"""The options that every tracker has."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class LifeOptions(BaseModel):
    """When a track begins and ends. All durations are in seconds of the stream: frames may be missing."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_hits: int = Field(2, ge=1, description="Frames that must see an object before its track is confirmed.")
    instant_first_frame: bool = Field(
        True, description="What the first frame shows is confirmed at once: it had no chance to be seen before."
    )
    max_lost_s: float = Field(1.0, gt=0, description="A track unmatched for longer than this ends.")
    max_gap_s: float = Field(
        5.0, gt=0, description="A jump of the stream's time by more than this, either way, ends every track."
    )
    class_aware: bool = Field(True, description="A track takes only rows of its own class.")
    reassociate_s: float = Field(
        0.0, ge=0, description="Tracks of the epoch before are taken up again within this time; 0: never."
    )
    max_rows: int = Field(
        1000,
        ge=1,
        le=5000,
        description="Rows tracked per frame; beyond it the lowest scores are left out, and counted.",
    )
