"""streamdet: video goes in, tracks and plates and metrics come out."""

from __future__ import annotations

__version__ = "0.1.0"
