"""ETags of what can be configured, and the conditions that a change may carry (RFC 9110)."""

from __future__ import annotations

import hashlib
from typing import Annotated, Any

import orjson
from fastapi import Header

from adapters.http.problems import Problem, ProblemError

IfMatch = Annotated[
    str | None,
    Header(
        alias="If-Match",
        max_length=500,
        description="The ETag that was read: the change is refused (412) when somebody else came first.",
    ),
]


def etag_of(value: Any) -> str:
    """Return a strong ETag of what can be configured (JSON)."""
    text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    return f'"{hashlib.blake2b(text, digest_size=9).hexdigest()}"'


def require_match(if_match: str | None, current: str | None) -> None:
    """Refuse a change that was made on the ground of an older state.

    Args:
        if_match: The header; None: no condition.
        current: The present ETag; None: there is nothing yet.

    Raises:
        ProblemError: 412.
    """
    if if_match is None:
        return
    wanted = {tag.strip().removeprefix("W/") for tag in if_match.split(",")}
    if current is not None and ("*" in wanted or current in wanted):
        return
    raise ProblemError(
        Problem(
            status=412,
            code="changed-meanwhile",
            title="Changed meanwhile",
            detail="Somebody else has changed this since it was read; nothing was changed now.",
            mend="Read it again, look at what is different, and send the change with the new ETag.",
        )
    )
