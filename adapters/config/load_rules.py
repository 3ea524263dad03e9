"""Rules for controllable loads: their names, lines, watchdogs and meters."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Final

from adapters.config.draft import Draft
from adapters.config.problems import Finding, Spot
from adapters.config.spelling import parse_connection

SPARE_S: Final = 15.0
"""A command may be under way for so long before it is written. [s]"""


def load_findings(draft: Draft) -> Iterator[Finding]:
    """Return every broken rule of the section `loads`."""
    yield from _names(draft)
    yield from _lines(draft)
    yield from _watchdogs(draft)
    yield from _meters(draft)


def _names(draft: Draft) -> Iterator[Finding]:
    for name in draft.loads:
        if name in draft.station_ids:
            yield Finding(
                path=("loads", name),
                text=f"{name} is a station and a load",
                mend="give one of them another id",
                spot=Spot.KEY,
            )


def _lines(draft: Draft) -> Iterator[Finding]:
    """A serial line has one master; and two loads cannot be behind one unit."""
    meters = {parse_connection(e.connection).place: name for name, e in draft.meters.items()}
    first: dict[tuple[str, int], str] = {}
    settings: dict[str, tuple[str, object]] = {}
    for name, entry in draft.loads.items():
        bus = parse_connection(entry.connection)
        other = first.setdefault((bus.place, entry.unit), name)
        if other != name:
            yield Finding(
                path=("loads", name),
                text=f"the loads {other} and {name} have the same connection and unit {entry.unit}",
                mend="give each its own unit, as set in the device, or remove one",
            )
        if bus.is_serial and bus.place in meters:
            yield Finding(
                path=("loads", name, "connection"),
                text=f"{bus.place} is the line of the meter {meters[bus.place]}, which is read all "
                "the time",
                mend="give the load a line of its own, or a gateway with Modbus TCP",
            )
        before, options = settings.setdefault(bus.place, (name, bus.options))
        if options != bus.options:
            yield Finding(
                path=("loads", name, "connection"),
                text=f"{bus.place} is used with other settings by the load {before}",
                mend="write the same settings for every load of one line",
            )


def _watchdogs(draft: Draft) -> Iterator[Finding]:
    """A limit is kept alive until its lease ends; a long watchdog would let it outlive the lease."""
    if draft.policy is None:
        return
    most_s = draft.policy.lease_s / 2 - SPARE_S
    for name, entry in draft.loads.items():
        if entry.watchdog_s is not None and entry.watchdog_s > most_s:
            yield Finding(
                path=("loads", name, "watchdog_s"),
                text=f"watchdog_s {entry.watchdog_s:g} is too long for policy.lease_s "
                f"{draft.policy.lease_s:g}: a limit would outlive its lease",
                mend=f"write at most {most_s:g}, or raise policy.lease_s to "
                f"{2 * (entry.watchdog_s + SPARE_S):g}",
            )


def _meters(draft: Draft) -> Iterator[Finding]:
    users: dict[str, str] = {}
    for name, entry in draft.loads.items():
        if entry.meter is None:
            continue
        path = ("loads", name, "meter")
        if entry.meter not in draft.meters:
            named = ", ".join(sorted(draft.meters)[:8])
            yield Finding(
                path=path,
                text=f"there is no meter `{entry.meter}`",
                mend=f"write one of {named}, or add it under meters"
                if named
                else "add it under meters",
            )
        elif users.setdefault(entry.meter, name) != name:
            yield Finding(
                path=path,
                text=f"the meter {entry.meter} already measures the load {users[entry.meter]}",
                mend="name the meter that measures this load alone",
            )


def load_models(draft: Draft, known: Mapping[str, bool] | None) -> Iterator[Finding]:
    """Compare models with the catalogue.

    Args:
        draft: What of the file can be understood.
        known: Whether a model has a watchdog, by model. None: models are not checked.
    """
    if known is None:
        return
    for name, entry in draft.loads.items():
        if entry.model not in known:
            near = get_close_matches(entry.model, sorted(known), n=1)
            yield Finding(
                path=("loads", name, "model"),
                text=f"the model `{entry.model}` is not in the catalogue of loads",
                mend=f"did you mean `{near[0]}`?"
                if near
                else "write the path of a file under config/loads/",
            )
        elif known[entry.model] and entry.watchdog_s is None:
            yield Finding(
                path=("loads", name),
                text="`watchdog_s` is missing; this model has a watchdog",
                mend="add `watchdog_s: 60`; if it is not to be relied on, also `holds_lease: false`",
            )
        elif not known[entry.model] and entry.watchdog_s is not None:
            yield Finding(
                path=("loads", name, "watchdog_s"),
                text="this model has no watchdog",
                mend="remove it; the load then counts with max_a whenever it is unreachable",
                spot=Spot.KEY,
            )
