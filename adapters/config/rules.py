"""Rules that span several keys: references, the tree of circuits, ratings, buses, thresholds."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from difflib import get_close_matches
from typing import Final

from adapters.config.domain import DEFAULT_ROTATION, to_phases
from adapters.config.draft import Draft, DraftEvse
from adapters.config.keys import InfluxSection, PolicySection
from adapters.config.load_rules import load_findings, load_models
from adapters.config.problems import Finding, KeyPath, Spot
from adapters.config.roaming import roaming_findings
from adapters.config.spelling import names_one_phase, parse_connection, parse_listen, parse_rotation
from controller.desired import SECRET
from controller.phases import Phase

Findings = Iterator[Finding]


def broken_rules(
    draft: Draft,
    known_models: Set[str] | None,
    known_loads: Mapping[str, bool] | None = None,
) -> tuple[Finding, ...]:
    """Return every broken rule.

    Args:
        draft: What of the file can be understood.
        known_models: Meter models of the catalogue. None: models are not checked.
        known_loads: Models of loads, and whether they have a watchdog. None: not checked.
    """
    findings = [finding for rule in _RULES for finding in rule(draft)]
    return (*findings, *_models(draft, known_models), *load_models(draft, known_loads))


def _parents(draft: Draft) -> Findings:
    for circuit, parent in draft.parents.items():
        if parent is not None and parent not in draft.circuit_ids:
            yield _no_such("circuit", parent, draft.circuit_ids, ("circuits", circuit, "parent"))


def _demand_limits(draft: Draft) -> Findings:
    for circuit in draft.demand_circuits:
        path = ("planning", "demand_limits", circuit)
        if circuit not in draft.circuit_ids:
            yield _no_such("circuit", circuit, draft.circuit_ids, path)
        elif circuit in draft.circuits and draft.circuits[circuit].meter is None:
            yield Finding(
                path=path,
                text=f"circuit {circuit} has no meter, so its demand cannot be measured",
                mend="name a circuit with a meter, or give this one its meter",
            )


def _failsafe_circuit(draft: Draft) -> Findings:
    circuit = draft.failsafe_circuit
    if circuit is not None and circuit not in draft.circuit_ids:
        yield _no_such("circuit", circuit, draft.circuit_ids, ("grid_signal", "circuit"))


def _relays(draft: Draft) -> Findings:
    """A module whose line is polled for something else would answer neither in time."""
    taken = {parse_connection(e.connection).place: f"meter {n}" for n, e in draft.meters.items()}
    taken |= {parse_connection(e.connection).place: f"load {n}" for n, e in draft.loads.items()}
    for name, relay in draft.relays.items():
        if relay.circuit not in draft.circuit_ids:
            yield _no_such(
                "circuit", relay.circuit, draft.circuit_ids, ("grid_relays", name, "circuit")
            )
        place = parse_connection(relay.connection).place
        if place in taken:
            yield Finding(
                path=("grid_relays", name, "connection"),
                text=f"{place} is read for the {taken[place]} already",
                mend="give the relay's module a line or an address of its own",
            )


def _rings(draft: Draft) -> Findings:
    for ring in _find_rings(draft.parents):
        yield Finding(
            path=("circuits", ring[0], "parent"),
            text=f"the circuits feed each other in a ring: {_chain(ring)}",
            mend="name as parent the circuit that lies nearer to the grid; the first has none",
        )


def _find_rings(parents: Mapping[str, str | None]) -> Iterator[tuple[str, ...]]:
    """Follow the parents from every circuit; each ring is found once."""
    done: set[str] = set()
    for circuit in parents:
        walked: dict[str, int] = {}
        at: str | None = circuit
        while at is not None and at not in done and at not in walked:
            walked[at] = len(walked)
            at = parents.get(at)
        if at in walked:
            yield tuple(walked)[walked[at] :]
        done |= walked.keys()


def _one_root(draft: Draft) -> Findings:
    """A forgotten `parent:` would take a circuit out of the sum that protects the grid connection."""
    valid = [name for name, parent in draft.parents.items() if parent is None]
    roots = [name for name in valid if name in draft.circuits]
    for root in roots[1:]:
        yield Finding(
            path=("circuits", root),
            text=f"neither {roots[0]} nor {root} has a parent",
            mend=f"add `parent: {roots[0]}`, or to {roots[0]} `parent: {root}`; if the site has two "
            "grid connections, add the circuit above both, for example the transformer",
            spot=Spot.KEY,
        )


def _circuit_meters(draft: Draft) -> Findings:
    first_user: dict[str, str] = {}
    for circuit, entry in draft.circuits.items():
        meter, path = entry.meter, ("circuits", circuit, "meter")
        if meter is None:
            continue
        if meter not in draft.meter_ids:
            yield _no_such("meter", meter, draft.meter_ids, path)
        elif meter in first_user:
            yield Finding(
                path=path,
                text=f"the meter {meter} already measures the circuit {first_user[meter]}",
                mend="one meter measures one circuit; remove it here, or name the right one",
            )
        first_user.setdefault(meter, circuit)
        if entry.building_peak_a is None:
            yield Finding(
                path=("circuits", circuit),
                text="`building_peak_a` is missing: how much can the building draw at most?",
                mend="add `building_peak_a: ` with the most amperes per phase that everything but "
                "the stations draws; it counts when the meter is lost (0 if nothing else is there)",
            )


def _margins(draft: Draft) -> Findings:
    for circuit, entry in draft.circuits.items():
        least_a = min(to_phases(entry.limit_a))
        if entry.margin_a >= least_a:
            yield Finding(
                path=("circuits", circuit, "margin_a"),
                text=f"margin_a {entry.margin_a:g} leaves nothing of limit_a {least_a:g}",
                mend="write a smaller margin_a; 1 suits most circuits",
            )


def _evse_circuits(draft: Draft) -> Findings:
    seen: set[KeyPath] = set()
    for evse in draft.evses:
        unknown = evse.circuit is not None and evse.circuit not in draft.circuit_ids
        if unknown and evse.circuit_path not in seen:
            seen.add(evse.circuit_path)
            yield _no_such("circuit", str(evse.circuit), draft.circuit_ids, evse.circuit_path)


def _evse_currents(draft: Draft) -> Findings:
    for evse in draft.evses:
        entry = evse.entry
        if entry.min_a > entry.max_a:
            yield Finding(
                path=(*evse.path, "min_a"),
                text=f"min_a {entry.min_a:g} is more than max_a {entry.max_a:g}",
                mend="max_a is the rating of EVSE and cable, min_a the least it can signal (6)",
            )
        elif evse.fallback_a != 0 and not entry.min_a <= evse.fallback_a <= entry.max_a:
            yield Finding(
                path=(*evse.path, "fallback_a"),
                text=f"fallback_a {evse.fallback_a:g} is neither 0 nor between "
                f"min_a {entry.min_a:g} and max_a {entry.max_a:g}",
                mend=f"write 0 (it pauses without the controller) or at least {entry.min_a:g}",
            )
        if entry.step_a > entry.max_a:
            yield Finding(
                path=(*evse.path, "step_a"),
                text=f"step_a {entry.step_a:g} is more than max_a {entry.max_a:g}",
                mend="write the resolution of the limit: 0.1, or 1 for whole amperes",
            )


def _evse_rotations(draft: Draft) -> Findings:
    for evse in draft.evses:
        rotation, phases = evse.entry.rotation, evse.entry.phases
        if rotation is None and phases < 3:
            yield Finding(
                path=evse.path,
                text=f"`rotation` is missing: which grid phase feeds this {phases}-phase EVSE?",
                mend="add `rotation: L1`, L2 or L3"
                if phases == 1
                else "add `rotation: RST` (grid L1 and L2), `rotation: STR` (L2 and L3) or another",
            )
        elif rotation is not None and names_one_phase(rotation) and phases > 1:
            yield Finding(
                path=(*evse.path, "rotation"),
                text=f"rotation {rotation} names one phase, but phases is {phases}",
                mend="write `phases: 1`, or the rotation of all terminals, for example RST",
            )


def _evse_ratings(draft: Draft) -> Findings:
    for evse in draft.evses:
        circuit = draft.circuits.get(evse.circuit or "")
        if circuit is None:
            continue
        limit_a = to_phases(circuit.limit_a)
        over = [p for p in grid_phases(evse) if evse.entry.max_a > limit_a.of(p)]
        if over:
            phase = min(over, key=limit_a.of)
            yield Finding(
                path=(*evse.path, "max_a"),
                text=f"max_a {evse.entry.max_a:g} is more than the circuit {evse.circuit} carries "
                f"({phase.name}: limit_a {limit_a.of(phase):g})",
                mend="write the rating of the cable behind that breaker, or name the right circuit",
            )


def grid_phases(evse: DraftEvse) -> tuple[Phase, ...]:
    """Return the grid phases that an EVSE can load."""
    return parse_rotation(evse.entry.rotation or DEFAULT_ROTATION).phases(evse.entry.phases)


def _buses(draft: Draft) -> Findings:
    """Two meters must not answer to the same address, and a serial line has one speed."""
    by_place: dict[str, list[str]] = defaultdict(list)
    for meter, entry in draft.meters.items():
        bus = parse_connection(entry.connection)
        for other in by_place[bus.place]:
            before = draft.meters[other]
            if before.unit == entry.unit:
                yield Finding(
                    path=("meters", meter),
                    text=f"the meters {other} and {meter} have the same connection and unit "
                    f"{entry.unit}",
                    mend="give each its own unit, as set in the device, or remove one",
                )
            elif bus.is_serial and parse_connection(before.connection).options != bus.options:
                yield Finding(
                    path=("meters", meter, "connection"),
                    text=f"{bus.place} is used with other settings by the meter {other}",
                    mend="write the same baud, parity and stopbits for every meter of one line",
                )
        by_place[bus.place].append(meter)


def _virtual_meters(draft: Draft) -> Findings:
    """A calculated meter needs parts that exist, and must not be one of its own."""
    for name, entry in draft.virtual_meters.items():
        path = ("virtual_meters", name)
        if name in draft.meters:
            yield Finding(
                path=path,
                text=f"{name} is a meter and a calculated meter",
                mend="give one of them another id",
            )
        if not entry.sum and not entry.stations:
            yield Finding(
                path=path,
                text="it adds nothing",
                mend="add `sum: [METER, ...]`, or `stations: [STATION, ...]`",
            )
        for key, parts in (("sum", entry.sum), ("minus", entry.minus)):
            for part in parts:
                if part not in draft.meter_ids:
                    yield _no_such("meter", part, draft.meter_ids, (*path, key))
        for station in entry.stations:
            if station not in draft.station_ids:
                yield _no_such("station", station, draft.station_ids, (*path, "stations"))
    yield from _virtual_rings(draft)


def _virtual_rings(draft: Draft) -> Findings:
    entries = draft.virtual_meters
    safe: set[str] = set()
    while True:
        found = {
            name
            for name, entry in entries.items()
            if name not in safe
            and all(p in safe or p not in entries for p in (*entry.sum, *entry.minus))
        }
        if not found:
            break
        safe |= found
    for name in sorted(entries.keys() - safe)[:1]:
        yield Finding(
            path=("virtual_meters", name),
            text=f"the calculated meter {name} is calculated from itself",
            mend="remove the part that leads back to it",
        )


def _models(draft: Draft, known_models: Set[str] | None) -> Findings:
    if known_models is None:
        return
    for meter, entry in draft.meters.items():
        if entry.model not in known_models:
            near = get_close_matches(entry.model, sorted(known_models), n=1)
            yield Finding(
                path=("meters", meter, "model"),
                text=f"the meter model `{entry.model}` is not in the catalogue",
                mend=f"did you mean `{near[0]}`?"
                if near
                else "write the path of a file under config/meters/, or let "
                "`wattkeeper meter detect` find it",
            )


def _meter_ages(draft: Draft) -> Findings:
    if draft.policy is None:
        return
    for meter, entry in draft.meters.items():
        if entry.interval_s >= draft.policy.meter_hold_s:
            yield Finding(
                path=("meters", meter, "interval_s"),
                text=f"the meter is read every {entry.interval_s:g} s, but nothing rises with data "
                f"older than policy.meter_hold_s, {draft.policy.meter_hold_s:g} s",
                mend="read it more often, 1 s if it can, or raise policy.meter_hold_s",
            )


def _thresholds(draft: Draft) -> Findings:
    if draft.policy is None:
        return
    for lower, upper in _ASCENDING:
        low, high = getattr(draft.policy, lower), getattr(draft.policy, upper)
        if low >= high:
            yield Finding(
                path=("policy", upper),
                text=f"{upper} {high:g} must be more than {lower} {low:g}",
                mend=f"write more than {low:g} here, or less for {lower}; the defaults are "
                f"{_default(lower):g} and {_default(upper):g}",
            )


_ASCENDING: Final = (
    ("meter_hold_s", "meter_blind_s"),
    ("meter_blind_s", "meter_fallback_s"),
    ("sample_interval_s", "sample_stale_s"),
    ("interval_s", "lease_s"),
    ("command_timeout_s", "lease_s"),
)


def _default(name: str) -> float:
    return float(PolicySection.model_fields[name].default)


def _listeners(draft: Draft) -> Findings:
    if draft.ocpp is None or draft.http is None:
        return
    taken = [("ocpp.listen", draft.ocpp.listen)]
    for name, entry in draft.ocpp.listeners.items():
        yield from _clashes(("ocpp", "listeners", name, "listen"), entry.listen, taken)
        taken.append((f"ocpp.listeners.{name}.listen", entry.listen))
    yield from _clashes(("http", "listen"), draft.http.listen, taken)
    if draft.republish is not None:
        taken.append(("http.listen", draft.http.listen))
        yield from _clashes(("republish", "listen"), draft.republish.listen, taken)


def _clashes(path: KeyPath, listen: str, taken: Sequence[tuple[str, str]]) -> Findings:
    """Two servers cannot share a port on one address; port 0 is a new one for each."""
    anywhere = {"0.0.0.0", "::"}  # noqa: S104 - compared with, not bound to
    mine = parse_listen(listen)
    for owner, text in taken:
        other = parse_listen(text)
        same_host = mine.host == other.host or anywhere & {mine.host, other.host}
        if mine.port == other.port and same_host and mine.port != 0:
            yield Finding(
                path=path,
                text=f"port {mine.port} is already taken by {owner}",
                mend="write another port, for example 8080 for the dashboard and 9000 for the stations",
            )
            return


def _passwords(draft: Draft) -> Findings:
    """RFC 7617: a user name with a colon cannot be told from its password."""
    if draft.ocpp is None:
        return
    further = [entry.security_profile for entry in draft.ocpp.listeners.values()]
    if not {1, 2} & {draft.ocpp.security_profile, *further}:
        return
    for station in draft.station_ids:
        if ":" in station:
            yield Finding(
                path=("stations", station),
                text="a station id with a colon cannot sign in with a password",
                mend="change the identity in the station, or write `security_profile: 0` under ocpp",
                spot=Spot.KEY,
            )


def _station_groups(draft: Draft) -> Findings:
    for station, group in draft.groups.items():
        if group not in draft.group_ids:
            yield _no_such("station_group", group, draft.group_ids, ("stations", station, "group"))
    for path, entry in draft.configurations.items():
        for member, names in (("keys", entry.keys), ("variables", entry.variables)):
            for name in names:
                yield from _setting(name, (*path, member, name), is_variable=member == "variables")


def _setting(name: str, path: KeyPath, *, is_variable: bool) -> Findings:
    if SECRET.search(name):
        yield Finding(
            path=path,
            text=f"{name} is a secret, and secrets never stand in this file",
            mend="remove it; passwords are set with `wattkeeper station secret STATION_ID`",
            spot=Spot.KEY,
        )
    elif is_variable and not all(name.partition(".")):
        yield Finding(
            path=path,
            text=f"{name} names no variable of a component",
            mend="write it as Component.Variable, for example OCPPCommCtrlr.HeartbeatInterval",
            spot=Spot.KEY,
        )


def _roaming(draft: Draft) -> Findings:
    yield from roaming_findings(draft.billing, draft.ocpi, is_priced=draft.is_priced)


def _influx(draft: Draft) -> Findings:
    if draft.influx is None:
        return
    section = draft.influx
    needed, foreign = _INFLUX_KEYS[section.api]
    for key, example in needed.items():
        if getattr(section, key) is None:
            yield Finding(
                path=("influx",),
                text=f"`{key}` is missing; the {section.api} interface needs it",
                mend=f"add `{key}: {example}`, or write `api: {_other_api(section.api, key)}`",
            )
    for key in foreign:
        if getattr(section, key) is not None:
            other = _other_api(section.api, key)
            yield Finding(
                path=("influx", key),
                text=f"`{key}` belongs to the {other} interface",
                mend=f"remove it, or write `api: {other}`",
                spot=Spot.KEY,
            )
    yield from _influx_user(section)


def _influx_user(section: InfluxSection) -> Findings:
    if (section.user_env is None) != (section.password_env is None):
        absent = "user_env" if section.user_env is None else "password_env"
        yield Finding(
            path=("influx",),
            text=f"`{absent}` is missing; user_env and password_env go together",
            mend=f"add `{absent}: NAME_OF_A_VARIABLE`, or remove the other",
        )


def _other_api(api: str, key: str) -> str:
    """Return the interface to which a key belongs that this one lacks, or the other way round."""
    if api == "v3":
        return "v2" if key in ("org", "bucket", "database") else "v1"
    return {"v1": "v2", "v2": "v1"}[api]


_INFLUX_KEYS: Final[Mapping[str, tuple[Mapping[str, str], tuple[str, ...]]]] = {
    "v2": (
        {"org": "depot", "bucket": "wattkeeper"},
        ("database", "retention_policy", "user_env", "password_env"),
    ),
    "v1": ({"database": "wattkeeper"}, ("org", "bucket", "token_env")),
    "v3": (
        {"database": "wattkeeper"},
        ("org", "bucket", "retention_policy", "user_env", "password_env"),
    ),
}


def _chain(ring: Sequence[str]) -> str:
    """Show a ring, the middle of a long one left out."""
    shown = ring if len(ring) <= _SHOWN else (*ring[: _SHOWN - 1], "...", ring[-1])
    return " <- ".join((*shown, ring[0]))


_SHOWN: Final = 6


def _no_such(kind: str, name: str, known: Iterable[str], path: KeyPath) -> Finding:
    names = sorted(known)
    near = get_close_matches(name, names, n=1)
    if near:
        mend = f"did you mean `{near[0]}`?"
    elif names:
        mend = f"write one of {', '.join(names[:8])}, or add it under {kind}s"
    else:
        mend = f"add it under {kind}s"
    return Finding(path=path, text=f"there is no {kind} `{name}`", mend=mend)


_RULES: Final[tuple[Callable[[Draft], Findings], ...]] = (
    _parents,
    _demand_limits,
    _failsafe_circuit,
    _relays,
    _rings,
    _one_root,
    _circuit_meters,
    _margins,
    _evse_circuits,
    _evse_currents,
    _evse_rotations,
    _evse_ratings,
    _buses,
    _virtual_meters,
    _meter_ages,
    _thresholds,
    _listeners,
    _passwords,
    _station_groups,
    _roaming,
    _influx,
    load_findings,
)
