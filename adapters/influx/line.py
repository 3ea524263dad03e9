"""Line protocol. What leaves here is valid for every server, as some accept nonsense silently.

Source: https://docs.influxdata.com/influxdb/v2/reference/syntax/line-protocol/
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from controller.records import Sample

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
MILLISECOND = timedelta(milliseconds=1)
INT64 = 2**63
MAX_TEXT = 32_000
"""Characters of a text field; servers refuse more than 64 kB."""

FLOAT_FIELDS = frozenset(
    {
        *(f"{name}_l{phase}" for name in ("i", "p", "v", "ev", "budget") for phase in (1, 2, 3)),
        *(f"{name}_l{phase}" for name in ("limit", "load", "building") for phase in (1, 2, 3)),
        *("age_ms", "p", "e", "f", "pf", "e_imp", "e_exp", "offered_a", "limit_a", "soc", "temp"),
        *(f"committed_l{phase}" for phase in (1, 2, 3)),
        *("committed_a", "e_session", "energy_wh", "duration_s"),
        *("reserve", "solver_ms", "objective", "limit", "load"),
    }
)
"""Documented fields that are floats even when a whole number was put: servers refuse a mix."""

_CONTROLS = (*range(32), 127)
# A backslash would need escaping by position, and a line end would end the line on some servers.
_NAME = {**dict.fromkeys(_CONTROLS, "\\ "), ord("\\"): "/", ord(","): "\\,", ord(" "): "\\ "}
_KEY = {**_NAME, ord("="): "\\="}
_TEXT = {**dict.fromkeys(_CONTROLS, " "), ord('"'): '\\"', ord("\\"): "\\\\"}


class NotExpressibleError(ValueError):
    """A sample that no server can take; the text says why."""


def format_line(sample: Sample, site: str) -> str:
    """Return one line with a timestamp in milliseconds, without its end.

    Raises:
        NotExpressibleError: It has no name, no usable field, or a number that does not fit.
    """
    if not sample.measurement or sample.measurement.startswith(("#", "_")):
        raise NotExpressibleError(f"measurement {sample.measurement!r} is not a usable name")
    fields = _fields(sample.fields)
    if not fields:
        raise NotExpressibleError("no field has a value")
    head = _head(sample.measurement, tuple(sample.tags.items()), site)
    at_ms = (sample.at - EPOCH) // MILLISECOND
    line = f"{head} {fields} {at_ms}"
    try:
        line.encode()
    except UnicodeEncodeError as error:
        raise NotExpressibleError("a text is not valid Unicode") from error
    return line


@lru_cache(maxsize=4_096)
def _head(measurement: str, tags: tuple[tuple[str, str], ...], site: str) -> str:
    """Return what all lines of a series begin with."""
    return measurement.translate(_NAME) + _tags({**dict(tags), "site": site})


@lru_cache(maxsize=4_096)
def _key(name: str) -> str:
    return name.translate(_KEY)


def _tags(tags: Mapping[str, str]) -> str:
    return "".join(
        f",{key.translate(_KEY)}={value.translate(_KEY)}"
        for key, value in sorted(tags.items())
        if key and value
    )


def _fields(fields: Mapping[str, float | int | str]) -> str:
    formatted = ((key, _value(key, value)) for key, value in fields.items() if key)
    return ",".join([f"{_key(key)}={text}" for key, text in formatted if text])


def _value(key: str, value: float | int | str) -> str:
    """Return a field's value; empty for a number that is not finite, which is absent."""
    if isinstance(value, float):
        return float.__repr__(value) if math.isfinite(value) else ""
    if isinstance(value, str):
        return f'"{value[:MAX_TEXT].translate(_TEXT)}"'
    if key in FLOAT_FIELDS:
        return repr(float(value))
    if not -INT64 <= value < INT64:
        raise NotExpressibleError(f"field {key} = {value} does not fit 64 bits")
    return f"{int(value)}i"
