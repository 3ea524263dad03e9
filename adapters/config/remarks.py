"""What is allowed in a site file and yet deserves a second look."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.config.domain import to_phases, to_planning
from adapters.config.keys import SiteDocument
from adapters.config.problems import KeyPath
from adapters.config.spelling import parse_listen
from controller.site import Site, StationId, evse_id

Note = tuple[KeyPath, str]


def notes_on(document: SiteDocument, site: Site) -> Iterator[Note]:
    """Return every note with the key that it is about."""
    yield from _circuits(document)
    yield from _stations(document, site)
    yield from _meters(document)
    yield from _openness(document)
    yield from _prices(document)


def _circuits(document: SiteDocument) -> Iterator[Note]:
    for name, circuit in sorted(document.circuits.items()):
        parent = document.circuits.get(circuit.parent or "")
        if parent is None:
            if circuit.meter is None and circuit.building_peak_a is None:
                yield (
                    ("circuits", name),
                    "no meter and no building_peak_a: only stations may hang on this circuit",
                )
        elif not to_phases(circuit.limit_a).fits(to_phases(parent.limit_a)):
            yield (
                ("circuits", name, "limit_a"),
                f"more than the limit of {circuit.parent} above it, which is then the one that binds",
            )


def _stations(document: SiteDocument, site: Site) -> Iterator[Note]:
    if not document.stations and not document.loads:
        yield ("stations",), "no stations: the controller only watches the meters"
    below_six = [evse for evse in site.evses() if evse.min_a < 6 and not evse.is_load]
    if below_six:
        first = below_six[0]
        yield (
            ("stations", first.station, "evses", str(first.number), "min_a"),
            f"{len(below_six)} EVSEs have a min_a below 6 A, the least that AC charging can signal "
            "(IEC 61851-1); right for DC only",
        )
    unheld = sum(not evse.holds_lease and not evse.is_load for evse in site.evses())
    if unheld:
        yield (
            ("stations",),
            f"{unheld} EVSEs hold no lease: their whole rating is kept free whenever they are "
            "unreachable",
        )
    for name in sorted(document.loads):
        evse = site.evse(evse_id(StationId(name), 1))
        if evse is not None and not evse.holds_lease:
            yield (
                ("loads", name),
                "no watchdog brings it to its fallback: its whole rating is kept free whenever it "
                "is unreachable",
            )


def _meters(document: SiteDocument) -> Iterator[Note]:
    used = {circuit.meter for circuit in document.circuits.values()}
    for virtual in document.virtual_meters.values():
        used |= {*virtual.sum, *virtual.minus}
    used |= {load.meter for load in document.loads.values()}
    for name, entry in sorted(document.meters.items()):
        if name not in used and entry.role == "load":
            yield ("meters", name), "no circuit uses this meter"


def _openness(document: SiteDocument) -> Iterator[Note]:
    open_ports: list[tuple[str, ...]] = [
        ("ocpp", "listeners", name, "security_profile")
        for name, entry in document.ocpp.listeners.items()
        if entry.security_profile == 0
    ]
    if document.ocpp.security_profile == 0:
        open_ports.append(("ocpp", "security_profile"))
    for path in open_ports:
        yield path, "stations have no password: whoever reaches the port can pretend to be one"
    if document.ocpp.unknown_tokens == "accept":
        yield ("ocpp", "unknown_tokens"), "every RFID token is accepted: charging is free"
    host = parse_listen(document.ocpp.listen).host
    if document.stations and (host.startswith("127.") or host in ("localhost", "::1")):
        yield (
            ("ocpp", "listen"),
            "only this machine can connect; for stations on the network write 0.0.0.0 and the port",
        )


def _prices(document: SiteDocument) -> Iterator[Note]:
    """Tell of gaps and overlaps of the tariff; later periods fill what earlier ones leave."""
    tariff = to_planning(document).tariff
    gaps = [] if tariff is None else [d for d in tariff.defects() if d.endswith("no price")]
    if gaps:
        more = f" and {len(gaps) - 1} more" if len(gaps) > 1 else ""
        yield (
            ("planning", "tariff"),
            f"a gap, {gaps[0]}{more}: the mean of the other prices is used there; a last entry "
            "without days and times fills all gaps",
        )
    if tariff is None and document.policy.name == "cheapest":
        yield (
            ("policy", "name"),
            "no tariff in this file: until prices are sent over the API, all hours cost the same",
        )
