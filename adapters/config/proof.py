"""A certificate that does not hold, as findings that say what to lower."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import ceil

from adapters.config.problems import Finding
from controller.certificate import TOLERANCE_A, Certificate, Shortfall
from controller.site import Evse, Site

_NAMED = 4


def shortfall_findings(certificate: Certificate, site: Site) -> Iterator[Finding]:
    """Say for each failing circuit what does not fit and how to mend it; equal phases in one finding."""
    for circuit, proof in certificate.circuits.items():
        equal: dict[tuple[float, ...], list[Shortfall]] = {}
        for shortfall in proof.shortfalls:
            numbers = (
                shortfall.limit_a,
                shortfall.building_a,
                shortfall.fallback_a,
                shortfall.rating_a,
            )
            equal.setdefault(numbers, []).append(shortfall)
        for group in equal.values():
            yield _finding(group, site.evses_below(circuit))


def _finding(group: Sequence[Shortfall], below: Sequence[Evse]) -> Finding:
    one = group[0]
    names = [s.phase.name for s in group]
    phases = names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
    here = [evse for evse in below if one.phase in evse.grid_phases]
    leased = sum(evse.holds_lease for evse in here)
    text = (
        f"without the controller {one.circuit} {phases} could carry {_amperes(one.total_a)}, "
        f"{_amperes(one.missing_a)} more than limit_a {_amperes(one.limit_a)}: "
        f"building {_amperes(one.building_a)}, fallbacks {_amperes(one.fallback_a)} "
        f"({leased} EVSEs), EVSEs that hold no lease {_amperes(one.rating_a)} ({len(here) - leased})"
    )
    return Finding(path=("circuits", str(one.circuit), "limit_a"), text=text, mend=_mend(one, here))


def _mend(shortfall: Shortfall, here: Sequence[Evse]) -> str:
    lowered = _to_lower(shortfall, [evse for evse in here if evse.holds_lease])
    unheld = [evse for evse in here if not evse.holds_lease]
    ways: list[str] = []
    if lowered:
        ways.append(f"lower fallback_a of {_listed(lowered)} to 0")
    if unheld:
        ways.append(f"let {_listed(unheld)} hold leases, or lower max_a in them and here")
    if shortfall.building_a > 0:
        ways.append("lower building_peak_a if the building cannot draw so much")
    ways.append("feed them from a larger circuit")
    return ", or ".join(ways)


def _to_lower(shortfall: Shortfall, leased: Sequence[Evse]) -> list[Evse]:
    """Return the fewest EVSEs whose fallbacks have to go to 0; none when that is not enough."""
    chosen: list[Evse] = []
    missing_a = shortfall.missing_a
    for evse in sorted(leased, key=lambda e: -e.fallback_a):
        if missing_a <= TOLERANCE_A:
            break
        chosen.append(evse)
        missing_a -= evse.fallback_a
    return sorted(chosen, key=lambda e: e.id) if missing_a <= TOLERANCE_A else []


def _listed(evses: Sequence[Evse]) -> str:
    named = ", ".join(evse.id for evse in evses[:_NAMED])
    rest = len(evses) - _NAMED
    return f"{named} and {rest} more" if rest > 0 else named


def _amperes(current_a: float) -> str:
    """Round up to a tenth, so that nothing looks as if it fitted. [A]"""
    return f"{ceil(current_a * 10 - 1e-6) / 10:g} A"
