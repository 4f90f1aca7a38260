"""Losses, rates and scores for TensorBoard."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from streamdet.errors import MissingExtra


class Board:
    """A folder that `tensorboard --logdir` shows."""

    def __init__(self, folder: Path, step: int) -> None:
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ModuleNotFoundError as error:
            raise MissingExtra("tensorboard", "train", "the training's curves") from error
        # What an attempt that broke off wrote beyond this step is hidden.
        self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step else None, flush_secs=30)

    def write(self, row: Mapping[str, float | str]) -> None:
        """One row of metrics.csv."""
        step = int(row["step"])
        for name, value in row.items():
            if name != "step" and isinstance(value, float | int):
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Write what is still held back."""
        self._writer.close()
