"""The uploader's side of the samples: uploaded ranges and refused samples. All durable."""

from __future__ import annotations

from collections.abc import Sequence

import orjson
from sqlalchemy import Connection, delete, func, insert, select

from adapters.store.samples import millis_of
from adapters.store.schema import quarantined, upload_ranges
from controller.records import SpooledSample


def ranges(connection: Connection, target: str) -> tuple[tuple[int, int], ...]:
    """Return the uploaded ranges, both ends inclusive, ascending."""
    rows = connection.execute(
        select(upload_ranges.c.first_id, upload_ranges.c.last_id)
        .where(upload_ranges.c.target == target)
        .order_by(upload_ranges.c.first_id)
    )
    return tuple((row.first_id, row.last_id) for row in rows)


def mark(connection: Connection, target: str, first: int, last: int) -> None:
    """Add a range; ranges that touch it become one with it."""
    touching = (
        (upload_ranges.c.target == target)
        & (upload_ranges.c.first_id <= last + 1)
        & (upload_ranges.c.last_id >= first - 1)
    )
    low, high = connection.execute(
        select(func.min(upload_ranges.c.first_id), func.max(upload_ranges.c.last_id)).where(
            touching
        )
    ).one()
    connection.execute(delete(upload_ranges).where(touching))
    connection.execute(
        insert(upload_ranges).values(
            target=target,
            first_id=first if low is None else min(first, low),
            last_id=last if high is None else max(last, high),
        )
    )


def quarantine(
    connection: Connection,
    target: str,
    samples: Sequence[SpooledSample],
    reason: str,
    capacity: int,
) -> None:
    """Keep refused samples; the oldest beyond the capacity go."""
    if not samples:
        return
    # A batch that was interrupted is refused again after a restart.
    connection.execute(
        delete(quarantined).where(
            (quarantined.c.target == target)
            & quarantined.c.cursor.in_([s.cursor for s in samples[-capacity:]])
        )
    )
    connection.execute(insert(quarantined), [_row(target, s, reason) for s in samples[-capacity:]])
    newest = select(quarantined.c.row).order_by(quarantined.c.row.desc()).limit(1)
    connection.execute(
        delete(quarantined).where(quarantined.c.row <= newest.scalar_subquery() - capacity)
    )


def _row(target: str, spooled: SpooledSample, reason: str) -> dict[str, object]:
    sample = spooled.sample
    body = {
        "measurement": sample.measurement,
        "tags": dict(sample.tags),
        "fields": dict(sample.fields),
    }
    return {
        "target": target,
        "cursor": spooled.cursor,
        "at_ms": millis_of(sample.at),
        "sample": orjson.dumps(body, option=orjson.OPT_SORT_KEYS).decode(),
        "reason": reason,
    }
