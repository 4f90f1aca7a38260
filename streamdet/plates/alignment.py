"""Two readings of one plate laid beside each other: which of their characters are the same one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

# What cameras and eyes take for each other: a swap within a pair costs less than any other.
CONFUSED = (
    ("0O", 0.2), ("0D", 0.5), ("0Q", 0.4), ("OQ", 0.4), ("OD", 0.4), ("DQ", 0.6), ("0C", 0.8), ("OC", 0.7),
    ("1I", 0.2), ("1L", 0.7), ("1T", 0.7), ("IL", 0.7), ("IT", 0.7), ("17", 0.6), ("1J", 0.8),
    ("8B", 0.3), ("3B", 0.7), ("38", 0.6), ("68", 0.6), ("6G", 0.5), ("6B", 0.7), ("CG", 0.5), ("DB", 0.7),
    ("5S", 0.3), ("2Z", 0.3), ("7Z", 0.7), ("4A", 0.6), ("9P", 0.8), ("UV", 0.5), ("VY", 0.6), ("MN", 0.6),
    ("HN", 0.6), ("HM", 0.6), ("VW", 0.7), ("MW", 0.7), ("KX", 0.6), ("EF", 0.5), ("PR", 0.6), ("FP", 0.6), ("UJ", 0.8),
)  # fmt: skip
# Many countries draw the letter and the digit of such a pair with one stamp: what may stand there tells them apart.
ONE_STAMP = ("0O", "1I")
_STAMPS = str.maketrans({pair[1]: pair[0] for pair in ONE_STAMP})
_COST = {frozenset(pair): cost for pair, cost in CONFUSED}


def stamped(text: str) -> str:
    """The text as its stamps look: the same for two that no camera can tell apart."""
    return text.translate(_STAMPS)


def swap_cost(a: str, b: str) -> float:
    """0 for the same character, 1 for two that nobody takes for each other."""
    return 0.0 if a == b else _COST.get(frozenset((a, b)), 1.0)


def distance(a: str, b: str) -> float:
    """Edit distance, where to add or to leave out a character costs 1 and a swap what `swap_cost` says."""
    row = [float(j) for j in range(len(b) + 1)]
    for i, left in enumerate(a, 1):
        previous, row[0] = row[0], float(i)
        for j, right in enumerate(b, 1):
            previous, row[j] = row[j], min(previous + swap_cost(left, right), row[j] + 1, row[j - 1] + 1)
    return row[-1]


def likeness(alphabet: str) -> npt.NDArray[np.float64]:
    """[A, A]: how readily each character is taken for each other one, 0 to 1 and the same both ways; 0 for itself."""
    return np.array([[0.0 if a == b else 1.0 - swap_cost(a, b) for b in alphabet] for a in alphabet])


def align(
    match: npt.NDArray[np.float64], skip: Sequence[float], insert: Sequence[float]
) -> list[tuple[int | None, int | None]]:
    """The best way through two sequences: pairs (row, column), one of them None where the other has no partner.

    `match` [m, n] is the gain of pairing row and column, `skip` [m] that of a row alone, `insert` [n] of a column
    alone. Order is kept. Of equal ways the one that pairs most is taken.
    """
    m, n = match.shape
    gain = match.tolist()
    best = [[0.0] * (n + 1) for _ in range(m + 1)]
    for i in range(m):
        best[i + 1][0] = best[i][0] + skip[i]
    for j in range(n):
        best[0][j + 1] = best[0][j] + insert[j]
    for i in range(m):
        for j in range(n):
            best[i + 1][j + 1] = max(best[i][j] + gain[i][j], best[i][j + 1] + skip[i], best[i + 1][j] + insert[j])
    pairs: list[tuple[int | None, int | None]] = []
    i, j = m, n
    while i or j:
        here = best[i][j]
        if i and j and here == best[i - 1][j - 1] + gain[i - 1][j - 1]:
            i, j = i - 1, j - 1
            pairs.append((i, j))
        elif i and here == best[i - 1][j] + skip[i - 1]:
            i -= 1
            pairs.append((i, None))
        else:
            j -= 1
            pairs.append((None, j))
    return pairs[::-1]
