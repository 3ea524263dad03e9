"""Pages of lists that are in memory."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, TypeVar

from fastapi import Query

T = TypeVar("T")
Limit = Annotated[int, Query(ge=1, le=5000)]
Offset = Annotated[int, Query(ge=0, le=1_000_000)]
MANY = 1000


def page_of(items: Sequence[T], *, limit: int, offset: int) -> tuple[list[T], int | None]:
    """Return one page and where the next one begins; None: there is no more."""
    end = offset + limit
    return list(items[offset:end]), end if end < len(items) else None
