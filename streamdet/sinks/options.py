"""What all sinks' options have in common."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from streamdet.frames import Event, Result


class SinkOptions(BaseModel):
    """The part of the configuration that every sink shares."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: Annotated[
        str | None,
        Field(min_length=1, max_length=64, description="Its name in metrics and logs; the kind where none is given."),
    ] = None
    streams: Annotated[
        tuple[str, ...] | None, Field(min_length=1, description="Only these streams; all where none is given.")
    ] = None

    def takes(self, item: Result | Event) -> bool:
        """Whether an item's stream is one of those asked for."""
        stream = item.stream if isinstance(item, Event) else item.frame.stream
        return self.streams is None or stream in self.streams
