"""The threads that run a reader."""

from __future__ import annotations

from typing import Any

from streamdet.pipeline.worker import Crew
from streamdet.plates.reader import Look


class ReadingCrew(Crew):
    """The workers of one reader: as those of a detector, with errands in place of frames."""

    def staff(self, cores: int, *, single_live: bool) -> None:
        """Half of the cores, one thread each: crops are few and small, and detectors want the rest."""
        self.resize(max(cores // 2, 1), 1)

    def ask(self, session: Any, batch: list[tuple[Any, int]]) -> list[list[Look | None]]:
        """The looks of each errand."""
        return [session.read(errand.frame, errand.views) for errand, _ in batch]

    def give(self, ticket: Any, position: int, found: Any, reason: str | None = None) -> None:
        """Bring them back to their lane."""
        ticket.lane.read(ticket, found)

    def share(self, batch: list[tuple[Any, int]]) -> None:
        """Nobody else reads them."""
