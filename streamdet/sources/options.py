"""What a user may say about a source."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from streamdet.sources.hardware import Decode


class SourceOptions(BaseModel):
    """The options of every kind of source in one record; each source reads those that concern it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    deadline_s: float = Field(
        default=5.0, gt=0, description="Longest silence while opening or reading before it is a loss."
    )
    key_frame_s: float = Field(
        default=20.0, gt=0, description="Longest wait for the first key frame of a live stream that is sending."
    )
    transport: Literal["auto", "tcp", "udp"] = Field(
        default="auto", description="How RTSP carries its packets; auto: TCP, or UDP where the server refuses TCP."
    )
    tls_verify: bool = Field(default=True, description="Refuse a TLS server whose certificate is not trusted.")
    tls_ca: Path | None = Field(default=None, description="File of trusted certificates (PEM) instead of the system's.")
    loop: bool = Field(
        default=False, description="Start a file again when it ends, for ever; each round is a new epoch."
    )
    realtime: bool = Field(default=False, description="Hand out a file's frames no faster than its own timestamps say.")
    sequence: bool = Field(default=False, description="The pictures of a folder or glob are the frames of one film.")
    fps: float | None = Field(
        default=None, gt=0, description="Frame rate: asked of a camera, or given to a picture sequence."
    )
    size: tuple[int, int] | None = Field(default=None, description="Width and height to ask of a camera.")
    threads: int = Field(default=1, ge=0, description="Decoder threads of this source; 0: as many as there are cores.")
    decode: Decode = Field(
        default="auto",
        description="Where video is decoded; auto: on an NVIDIA GPU that proved itself, or else the CPU.",
    )
    isolate: bool | None = Field(
        default=None, description="Decode in a child process that can be killed; by default cameras only."
    )
    isolate_slots: int = Field(default=16, ge=2, le=64, description="Pictures an isolated source may have out at once.")
