"""Where labels go, so that they hide neither each other nor the picture's edge."""

from __future__ import annotations

from collections.abc import Sequence

from streamdet.drawing.canvas import Tile

_CROWD = 40  # beyond so many labels nothing is legible anyway, and looking for room would take longer than drawing


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

        Above the box, else just inside it, else below; a shorter form rather than hiding another label; and where
        nothing is free, the shortest form above.
        """
        for tile in tiles:
            for left, top in self._spots(tile, box):
                if self._free(left, top, *tile.size):
                    return self._take(tile, left, top)
        tile = tiles[-1]
        left, top = self._spots(tile, box)[0]
        return self._take(tile, left, top)

    def _spots(self, tile: Tile, box: tuple[int, int, int, int]) -> list[tuple[int, int]]:
        left, top, _, bottom = box
        width, height = tile.size
        left = max(min(left, self._width - width), 0)
        inside = max(top, 0)
        above = (left, top - height)
        spots = [(left, inside), (left, bottom)]
        if above[1] >= 0:
            spots.insert(0, above)
        return [(x, min(y, max(self._height - height, 0))) for x, y in spots]

    def _free(self, left: int, top: int, width: int, height: int) -> bool:
        if len(self._taken) > _CROWD:
            return True
        right, bottom = left + width, top + height
        return not any(left < r and x < right and top < b and y < bottom for x, y, r, b in self._taken)

    def _take(self, tile: Tile, left: int, top: int) -> tuple[Tile, int, int]:
        width, height = tile.size
        self._taken.append((left, top, left + width, top + height))
        return tile, left, top
