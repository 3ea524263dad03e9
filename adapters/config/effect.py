"""What a change of the site file does: every limit before and after, and what has to restart."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from adapters.config.loader import SiteFile
from controller.certificate import Certificate
from controller.configuration import (
    Change,
    CircuitEffect,
    CircuitFigures,
    Effect,
    KeyEffect,
    StationEffect,
)
from controller.site import Evse, Station

HOT: Final = (
    "site.name",
    "site.timezone",
    "site.voltage_v",
    "meters",
    "virtual_meters",
    "circuits",
    "stations",
    "loads",
    "station_groups",
    "policy",
    "planning",
    "ocpp.data_transfer",
    "ocpp.unknown_tokens",
    "notifications",
)
"""Keys, and all below them, that count from the next cycle."""
COLD: Final = ("policy.sample_interval_s", "policy.command_timeout_s")
"""Exceptions: they are settled with a station when it connects."""
_APART: Final = ("circuits", "stations")
"""Shown by their own lists."""


def effect_of(before: SiteFile, after: SiteFile, *, booted: SiteFile) -> Effect:
    """Compare two site files.

    Args:
        before: What is in force.
        after: What is proposed.
        booted: What the controller was started with; what cannot change hot still is as there.
    """
    changed = dict(_differences(_flat(before), _flat(after)))
    pending = dict(_differences(_flat(booted), _flat(after)))
    return Effect(
        circuits=tuple(_circuits(before.certificate, after.certificate, changed)),
        stations=tuple(_stations(before, after)),
        keys=tuple(
            KeyEffect(key=key, before=_text(old), after=_text(new))
            for key, (old, new) in sorted(changed.items())
            if key.partition(".")[0] not in _APART
        ),
        restart=tuple(sorted(key for key in pending if not is_hot(key))),
    )


def is_hot(key: str) -> bool:
    """Tell whether a key, dotted, counts without a restart."""
    return _is_below(key, HOT) and not _is_below(key, COLD)


def _is_below(key: str, tops: tuple[str, ...]) -> bool:
    return any(key == top or key.startswith(top + ".") for top in tops)


def _flat(file: SiteFile) -> dict[str, Any]:
    return dict(_leaves(file.document.model_dump(mode="json"), ""))


def _leaves(value: Any, path: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif value is not None:
        yield path, value


def _differences(
    before: Mapping[str, Any], after: Mapping[str, Any]
) -> Iterator[tuple[str, tuple[Any, Any]]]:
    for key in {*before, *after}:
        if before.get(key) != after.get(key):
            yield key, (before.get(key), after.get(key))


def _text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _circuits(
    before: Certificate, after: Certificate, changed: Mapping[str, Any]
) -> Iterator[CircuitEffect]:
    old, new = _figures(before), _figures(after)
    for name in sorted({*old, *new}):
        if name not in old:
            change = Change.ADDED
        elif name not in new:
            change = Change.REMOVED
        else:
            is_touched = any(key.startswith(f"circuits.{name}.") for key in changed)
            is_same = old[name] == new[name] and not is_touched
            change = Change.SAME if is_same else Change.CHANGED
        yield CircuitEffect(id=name, change=change, before=old.get(name), after=new.get(name))


def _figures(certificate: Certificate) -> dict[str, CircuitFigures]:
    return {
        str(proof.circuit): CircuitFigures(
            limit_a=proof.limit_a,
            building_peak_a=proof.building_a,
            fallback_a=proof.fallback_a + proof.rating_a,
            certificate_headroom_a=proof.slack_a,
        )
        for proof in certificate.circuits.values()
    }


def _stations(before: SiteFile, after: SiteFile) -> Iterator[StationEffect]:
    old, new = before.site.stations, after.site.stations
    for name in sorted({*old, *new}):
        if name not in old:
            yield StationEffect(id=name, change=Change.ADDED, text=_described(new[name]))
        elif name not in new:
            yield StationEffect(id=name, change=Change.REMOVED, text=_described(old[name]))
        elif old[name] != new[name]:
            text = "; ".join(_station_changes(old[name], new[name])) or "its settings"
            yield StationEffect(id=name, change=Change.CHANGED, text=text)


def _described(station: Station) -> str:
    return ", ".join(
        f"EVSE {e.number}: {e.max_a:g} A on {e.circuit}, fallback {e.fallback_a:g} A"
        for e in station.evses
    )


def _station_changes(before: Station, after: Station) -> Iterator[str]:
    old = {e.number: e for e in before.evses}
    new = {e.number: e for e in after.evses}
    for number in sorted({*old, *new}):
        if number not in old:
            yield f"EVSE {number} is added"
        elif number not in new:
            yield f"EVSE {number} is removed"
        else:
            changes = ", ".join(_evse_changes(old[number], new[number]))
            if changes:
                yield f"EVSE {number}: {changes}"


_EVSE_FACTS: Final = {
    "circuit": "circuit",
    "max_a": "max_a",
    "min_a": "min_a",
    "fallback_a": "fallback_a",
    "phases": "phases",
    "rotation": "rotation",
    "step_a": "step_a",
    "priority": "priority",
    "holds_lease": "holds_lease",
}


def _evse_changes(before: Evse, after: Evse) -> Iterator[str]:
    for name, word in _EVSE_FACTS.items():
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            yield f"{word} {_fact(old)} to {_fact(new)}"


def _fact(value: Any) -> str:
    inner = getattr(value, "value", value)
    return _text(inner) or "none"
