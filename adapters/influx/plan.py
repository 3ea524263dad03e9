"""Which samples to send next: ranges of cursors, both ends inclusive. Pure."""

from __future__ import annotations

from collections.abc import Sequence

Range = tuple[int, int]


def unsent(uploaded: Sequence[Range], newest: int) -> tuple[Range, ...]:
    """Return the ranges from 1 to `newest` that are not uploaded, ascending."""
    gaps: list[Range] = []
    first = 1
    for low, high in uploaded:
        if low > newest:
            break
        if first < low:
            gaps.append((first, low - 1))
        first = max(first, high + 1)
    if first <= newest:
        gaps.append((first, newest))
    return tuple(gaps)


def size(ranges: Sequence[Range]) -> int:
    """Count the cursors in ranges."""
    return sum(last - first + 1 for first, last in ranges)
