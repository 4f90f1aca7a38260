"""Started twice by torchrun: trains the tiny model together and leaves it in the folder named."""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tiny_training import Centre, options_with, train_here

from streamdet.training.distributed import CPU, joined

if __name__ == "__main__":
    torch.set_num_threads(1)
    with joined(CPU) as ranks:
        progress, model = train_here(
            Path(sys.argv[1]), options_with(), make=lambda: Centre(norm=False, drop=0.0), ranks=ranks
        )
        torch.save(model.state_dict(), Path(sys.argv[1]) / f"rank{ranks.rank}.pt")
