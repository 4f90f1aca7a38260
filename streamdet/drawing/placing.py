"""Where labels go, so that they hide neither each other nor the picture's edge."""

from __future__ import annotations

from collections.abc import Sequence

from streamdet.drawing.canvas import Tile

_CROWD = 80  # beyond so many labels there is no room to be found, and looking for it would take longer than drawing


class Places:
    """The labels of one picture, the best placed first."""

    def __init__(self, size: tuple[int, int]) -> None:
        self._width, self._height = size
        self._taken: list[tuple[int, int, int, int]] = []

    def reserve(self, tile: Tile, left: int, top: int) -> None:
        """Keep labels off a tile that lies there already."""
        self._take(tile, left, top)

    def choose(self, tiles: Sequence[Tile], box: tuple[int, int, int, int]) -> tuple[Tile, int, int]:
        """A tile out of `tiles` (fullest form first) and where its corner goes.

        Above the box, else just inside it, else below; at each of these the fullest form that hides no other label.
        Where nothing is free, the shortest form above.
        """
        shortest = tiles[-1]
        if len(self._taken) < _CROWD:
            for spot in range(3):
                for tile in tiles:
                    left, top = self._spot(tile, box, spot)
                    if self._free(left, top, *tile.size):
                        return self._take(tile, left, top)
        left, top = self._spot(shortest, box, 0)
        return self._take(shortest, left, top)

    def _spot(self, tile: Tile, box: tuple[int, int, int, int], spot: int) -> tuple[int, int]:
        left, top, _, bottom = box
        width, height = tile.size
        left = max(min(left, self._width - width), 0)
        top = (top - height, top, bottom)[spot]
        return left, max(min(top, self._height - height), 0)

    def _free(self, left: int, top: int, width: int, height: int) -> bool:
        right, bottom = left + width, top + height
        return not any(left < r and x < right and top < b and y < bottom for x, y, r, b in self._taken)

    def _take(self, tile: Tile, left: int, top: int) -> tuple[Tile, int, int]:
        width, height = tile.size
        self._taken.append((left, top, left + width, top + height))
        return tile, left, top
