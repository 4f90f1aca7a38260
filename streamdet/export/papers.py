"""What a training leaves in its folder beside the weights, as an engine on the shelf tells it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from streamdet.manifest import Provenance

CONFIG, CARD, RECIPE = "config.yaml", "CARD.md", "recipe.yaml"


@dataclass(frozen=True)
class Papers:
    """The recipe and the card of a run, as far as they are there."""

    recipe: bytes | None = None
    card: str | None = None  # without its plots, which stay where they are

    @classmethod
    def of(cls, run: Path) -> Papers:
        """Of a run's folder, or of weights that lie in one."""
        folder = run if run.is_dir() else run.parent
        recipe, card = folder / CONFIG, folder / CARD
        return cls(
            recipe.read_bytes() if recipe.is_file() else None,
            _without_plots(card.read_text(encoding="utf-8")) if card.is_file() else None,
        )

    @property
    def files(self) -> dict[str, bytes]:
        """What goes into the engine's folder beside the model."""
        return {} if self.recipe is None else {RECIPE: self.recipe}

    def provenance(
        self, told: Mapping[str, str], scores: Mapping[str, float], *, licence: str, data: str | None = None
    ) -> Provenance:
        """Where the engine comes from, by what its weights tell; `data` in place of what they say of that."""
        return Provenance(
            source=f"trained by streamdet {told.get('streamdet', '')}".strip(),
            licence=licence,
            recipe="" if self.recipe is None else RECIPE,
            data=told.get("data", "") if data is None else data,
            commit=told.get("commit", ""),
            scores={key: round(value, 5) for key, value in scores.items() if value == value},
        )


def _without_plots(card: str) -> str:
    return "\n".join(line for line in card.splitlines() if not line.startswith("![")) + "\n"
