"""What a good file becomes, and that no text whatsoever escapes as another exception."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from adapters.config.keys import PolicySection
from adapters.config.loader import load_site_file, load_site_text
from adapters.config.settings import InfluxApi, UnknownTokens
from adapters.config.spelling import ListenAddress
from controller.certificate import certify
from controller.phases import ZERO, Phase, PhaseCurrents, PhaseRotation
from controller.policy import Policy
from controller.site import CircuitId, EvseId, MeterId, ProtectiveDevice, Site
from tests.adapters.config.files import EXAMPLES, GOOD, load, problems_of, spoiled

CONTRACT = """\
format: site/1
site: {id: depot-nord, name: Depot Nord, timezone: Europe/Stockholm, voltage_v: 230}
meters:
  main: {model: eastron/sdm630, connection: "tcp://127.0.0.1:5020", unit: 1}
circuits:
  main:     {limit_a: 250, device: mccb, meter: main, building_peak_a: 140}
  garage-a: {parent: main, limit_a: 125, device: mcb}       # limit_a also takes {l1: , l2: , l3: }
stations:
  CP001:                                                     # the OCPP identity
    circuit: garage-a
    evses:
      1: {max_a: 32, min_a: 6, phases: 3, rotation: RST, fallback_a: 6}
policy: {interval_s: 2, lease_s: 300}
ocpp:   {listen: "127.0.0.1:9000", security_profile: 1, unknown_tokens: reject}
http:   {listen: "127.0.0.1:8080"}
store:  {path: var/wattkeeper.db}
influx: {url: "http://127.0.0.1:8086", org: depot, bucket: wattkeeper, token_env: WATTKEEPER_INFLUX_TOKEN}
"""
MINIMAL = """\
format: site/1
site: {id: s, name: S, timezone: UTC}
circuits: {main: {limit_a: 63}}
"""


def test_the_example_of_the_contract_loads() -> None:
    site_file = load_site_text(CONTRACT, Path("/srv/depot/site.yaml"))

    site = site_file.site
    assert (site.id, site.name, site.timezone) == ("depot-nord", "Depot Nord", "Europe/Stockholm")
    main, garage = site.circuits[CircuitId("main")], site.circuits[CircuitId("garage-a")]
    assert main.limit_a == PhaseCurrents.balanced(250)
    assert main.device is ProtectiveDevice.MCCB
    assert main.building_peak_a == PhaseCurrents.balanced(140)
    assert (garage.parent, garage.meter, garage.building_peak_a) == ("main", None, ZERO)
    assert site.meters[MeterId("main")].connection == "tcp://127.0.0.1:5020"
    evse = site.evse(EvseId("CP001/1"))
    assert evse is not None
    assert (evse.min_a, evse.max_a, evse.fallback_a, evse.circuit) == (6, 32, 6, "garage-a")
    assert site_file.policy == Policy(interval_s=2.0, lease_s=300.0)
    assert site_file.ocpp.listen == ListenAddress(host="127.0.0.1", port=9000)
    assert site_file.ocpp.unknown_tokens is UnknownTokens.REJECT
    assert site_file.store.path == Path("/srv/depot/var/wattkeeper.db")
    assert site_file.influx is not None
    assert site_file.influx.api is InfluxApi.V2
    assert site_file.certificate == certify(site)


def test_absent_sections_take_their_defaults() -> None:
    site_file = load(MINIMAL)

    assert site_file.site.voltage_v == 230
    assert str(site_file.ocpp.listen) == "127.0.0.1:9000"
    assert str(site_file.http.listen) == "127.0.0.1:8080"
    assert site_file.ocpp.security_profile == 1
    assert site_file.store.path == Path("var/wattkeeper.db").absolute()
    assert site_file.influx is None
    assert site_file.policy == Policy()


def test_absent_keys_take_their_defaults() -> None:
    site = load(GOOD).site

    evse = site.evse(EvseId("CP1/1"))
    circuit = site.circuits[CircuitId("hall")]
    meter = site.meters[MeterId("main")]
    assert evse is not None
    assert (evse.min_a, evse.fallback_a, evse.step_a, evse.phases) == (6, 6, 0.1, 3)
    assert (evse.rotation, evse.priority, evse.holds_lease) == (PhaseRotation.RST, 0, True)
    assert (circuit.device, circuit.margin_a) == (ProtectiveDevice.MCB, 1)
    assert (meter.unit, meter.interval_s) == (1, 1)


def test_the_fallback_follows_the_minimum() -> None:
    site = load(spoiled("max_a: 32", "max_a: 32, min_a: 8")).site

    evse = site.evse(EvseId("CP1/1"))
    assert evse is not None
    assert evse.fallback_a == 8


def test_a_fallback_of_zero_is_not_an_absent_one() -> None:
    site = load(spoiled("max_a: 32", "max_a: 32, fallback_a: 0")).site

    evse = site.evse(EvseId("CP1/1"))
    assert evse is not None
    assert evse.fallback_a == 0


def test_a_building_that_draws_nothing_may_be_said() -> None:
    site = load(spoiled("building_peak_a: 30", "building_peak_a: 0")).site

    assert site.circuits[CircuitId("main")].building_peak_a == ZERO


@pytest.mark.parametrize(
    ("rotation", "phases", "expected"),
    [
        ("L1", 1, (Phase.L1,)),
        ("L2", 1, (Phase.L2,)),
        ("T", 1, (Phase.L3,)),
        ("TRS", 1, (Phase.L3,)),
        ("STR", 2, (Phase.L2, Phase.L3)),
        ("TSR", 3, (Phase.L3, Phase.L2, Phase.L1)),
    ],
)
def test_rotation_says_which_grid_phases_are_loaded(
    rotation: str, phases: int, expected: tuple[Phase, ...]
) -> None:
    text = spoiled("phases: 1, rotation: L2", f"phases: {phases}, rotation: {rotation}")

    evse = load(text).site.evse(EvseId("CP1/2"))

    assert evse is not None
    assert evse.grid_phases == expected


def test_ids_keep_their_spelling_and_stand_in_order() -> None:
    text = spoiled("  CP1:", "  0x1F: {circuit: hall, evses: {1: {max_a: 8}}}\n  0123:")

    assert list(load(text).site.stations) == ["0123", "0x1F"]


def test_evses_stand_in_the_order_of_their_numbers() -> None:
    text = spoiled("      2: {max", "      10: {max_a: 16, fallback_a: 0}\n      2: {max")

    station = next(iter(load(text).site.stations.values()))

    assert [evse.number for evse in station.evses] == [1, 2, 10]


def test_an_evse_may_name_its_own_circuit() -> None:
    site = load(spoiled("max_a: 32", "max_a: 32, circuit: main")).site

    assert [evse.circuit for evse in site.evses()] == ["main", "hall"]


def test_a_stations_own_limit_is_a_circuit_of_its_own() -> None:
    text = CONTRACT.replace("circuit: garage-a", "circuit: garage-a\n    max_a: 40").replace(
        "fallback_a: 6}", "fallback_a: 6}\n      2: {max_a: 32}"
    )

    site = load(text).site

    own = site.circuits[CircuitId("station:CP001")]
    assert (own.parent, own.limit_a) == ("garage-a", PhaseCurrents.balanced(40))
    assert {evse.circuit for evse in site.evses()} == {"station:CP001"}
    assert list(site.circuits) == sorted(site.circuits)


def test_an_unbalance_limit_belongs_to_its_circuit() -> None:
    site = load(CONTRACT.replace("limit_a: 125", "limit_a: 125, unbalance_a: 20")).site

    limits = {name: circuit.unbalance_a for name, circuit in site.circuits.items()}
    assert limits == {"main": None, "garage-a": 20.0}


def test_a_dc_chargers_watts_become_amperes_of_its_feed_at_the_lowest_voltage() -> None:
    """50 kW at the vehicle are 50 / 0.92 kW of the feed: 87.6 A at 207 V, more than its 40 A."""
    dc = "max_a: 40, dc: {max_w: 50000, min_w: 5000, efficiency: 0.92}"
    evse = next(load(spoiled("max_a: 32", dc)).site.evses())

    assert evse.dc_w_per_a == pytest.approx(3 * 0.9 * 230 * 0.92)
    assert (evse.min_a, evse.max_a, evse.fallback_a) == (8.8, 40.0, 8.8)


def test_a_small_dc_charger_is_held_by_its_watts() -> None:
    dc = "max_a: 40, fallback_a: 0, dc: {max_w: 20000}"
    evse = next(load(spoiled("max_a: 32", dc)).site.evses())

    assert (evse.max_a, evse.fallback_a) == (35.1, 0.0)


def test_limits_may_differ_between_phases() -> None:
    site = load(spoiled("limit_a: 40", "limit_a: {l1: 40, l2: 35.5, l3: 32}")).site

    limit_a = site.circuits[CircuitId("hall")].limit_a
    assert limit_a == PhaseCurrents(l1_a=40, l2_a=35.5, l3_a=32)


def test_the_keys_of_the_policy_are_the_fields_of_the_policy() -> None:
    fields = {field.name: field.default for field in dataclasses.fields(Policy)}

    assert {n: f.default for n, f in PolicySection.model_fields.items()} == fields


def test_a_compatible_server_may_ask_for_no_token() -> None:
    influx = load(MINIMAL + 'influx: {url: "http://127.0.0.1:8428", org: o, bucket: b}\n').influx

    assert influx is not None
    assert influx.token_env is None


def test_influx_v1_needs_only_a_database() -> None:
    text = spoiled("org: o, bucket: b, token_env: TOKEN", "api: v1, database: d, gzip: false")

    influx = load(text).influx

    assert influx is not None
    assert (influx.api, influx.database, influx.gzip) == (InfluxApi.V1, "d", False)


@pytest.mark.parametrize(
    ("before", "after", "path", "says"),
    [
        ("limit_a: 40", "limit_a: 80", "circuits.hall.limit_a", "more than the limit of main"),
        ("interval_s: 2", "interval_s: 1", "ocpp.listen", "only this machine"),
        ("max_a: 16", "max_a: 16, min_a: 2", "stations.CP1.evses.2.min_a", "IEC 61851-1"),
        ("max_a: 16", "max_a: 16, holds_lease: false", "stations", "1 EVSEs hold no lease"),
        (':9000"', ':9000", security_profile: 0', "ocpp.security_profile", "no password"),
        (':9000"', ':9000", unknown_tokens: accept', "ocpp.unknown_tokens", "free"),
    ],
)
def test_what_is_allowed_but_doubtful_is_remarked(
    before: str, after: str, path: str, says: str
) -> None:
    remarks = load(spoiled(before, after)).remarks

    assert any(r.path == path and says in r.text for r in remarks), [str(r) for r in remarks]


def test_a_site_without_meter_and_stations_is_remarked() -> None:
    remarks = load(MINIMAL + 'meters: {spare: {model: a/b, connection: "tcp://h:1"}}\n').remarks

    assert [(r.line, r.path) for r in remarks] == [
        (3, "circuits.main"),
        (1, "stations"),
        (4, "meters.spare"),
    ]


def test_the_text_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "site.yaml"
    file.write_text("\ufeff" + GOOD.replace("\n", "\r\n"), encoding="utf-8", newline="")

    site_file = load_site_file(file)

    assert site_file.text == GOOD.replace("\n", "\r\n")
    assert site_file.store.path == tmp_path / "var" / "wattkeeper.db"


names = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._-]{0,8}", fullmatch=True)
amperes = st.integers(60, 320).map(lambda tenths: tenths / 10)


@st.composite
def valid_data(draw: st.DrawFn) -> dict[str, object]:
    circuits = draw(st.lists(names, min_size=1, max_size=4, unique=True))
    stations = draw(st.lists(names, max_size=4, unique=True))
    return {
        "format": "site/1",
        "site": {"id": draw(names), "name": draw(names), "timezone": "Europe/Oslo"},
        "circuits": {
            name: {
                "limit_a": draw(st.integers(1000, 2000)),
                "device": draw(st.sampled_from(["mcb", "mccb", "gg"])),
                **({"parent": draw(st.sampled_from(circuits[:i]))} if i else {}),
            }
            for i, name in enumerate(circuits)
        },
        "stations": {
            name: {
                "circuit": draw(st.sampled_from(circuits)),
                "evses": {
                    str(number): {
                        "max_a": draw(amperes) + 32,
                        "min_a": draw(amperes),
                        "priority": draw(st.integers(-5, 5)),
                        "holds_lease": draw(st.booleans()),
                    }
                    for number in range(1, draw(st.integers(1, 3)) + 1)
                },
            }
            for name in stations
        },
    }


def site_as_data(site: Site) -> dict[str, object]:
    """Write a site back as the keys that `valid_data` draws."""
    return {
        "circuits": {
            c.id: {
                "limit_a": c.limit_a.l1_a,
                "device": c.device.value,
                **({"parent": c.parent} if c.parent is not None else {}),
            }
            for c in site.circuits.values()
        },
        "stations": {
            s.id: {
                "circuit": s.evses[0].circuit,
                "evses": {
                    str(e.number): {
                        "max_a": e.max_a,
                        "min_a": e.min_a,
                        "priority": e.priority,
                        "holds_lease": e.holds_lease,
                    }
                    for e in s.evses
                },
            }
            for s in site.stations.values()
        },
    }


def as_yaml(data: object) -> str:
    out = io.StringIO()
    YAML(typ="safe", pure=True).dump(data, out)
    return out.getvalue()


@settings(max_examples=60, deadline=None)
@given(data=valid_data())
def test_what_is_written_is_what_is_loaded(data: dict[str, object]) -> None:
    site = load(as_yaml(data)).site

    written = site_as_data(site)
    assert written["circuits"] == data["circuits"]
    assert written["stations"] == data["stations"]
    assert list(site.circuits) == sorted(site.circuits)


SNIPPETS = st.sampled_from(
    [
        *(
            "\n",
            "\t",
            " ",
            "  ",
            ":",
            ": ",
            "{",
            "}",
            "[",
            "]",
            ",",
            "-",
            "- ",
            "#",
            "&a",
            "*a",
            "|",
        ),
        *(
            "!",
            "!!",
            "!!int ",
            "%",
            "@",
            "`",
            "'",
            '"',
            "?",
            "? ",
            "<<",
            "<<: *a",
            "---",
            "...",
            "~",
        ),
        *("null", "true", ".nan", ".inf", "-1", "0", "1e999", "0x", "1_000", "9" * 400, "9" * 5000),
        *("\x00", "\x85", "\u2028", "\ufeff", "\U0001f50c", "é", "63A", "\\", "2020-01-01", "1:20"),
        *(
            "limit_a",
            "parent: main",
            "circuits",
            "stations:",
            "&a {b: *a}",
            "\r",
            ">-",
            "0o",
            "=",
            "0b2",
        ),
    ]
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """Insert, delete, replace and swap pieces of good files."""
    text = draw(st.sampled_from([GOOD, CONTRACT, MINIMAL]))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(text)))
        length = draw(st.integers(0, 12))
        piece = draw(st.one_of(SNIPPETS, st.text(max_size=5), st.just("")))
        text = text[:start] + piece + text[start + length :]
    return text


def loads_or_refuses(text: str) -> bool:
    """Tell whether a text is refused with its lines and mends, or loads as a safe site."""
    problems = problems_of(text)

    last = sum(text.count(end) for end in ("\n", "\r", "\x85", "\u2028", "\u2029")) + 1
    assert all(1 <= problem.line <= last for problem in problems)
    assert all(problem.text and problem.mend for problem in problems)
    return bool(problems) or load(text).certificate.holds


@settings(max_examples=300, deadline=None)
@given(text=mutated())
def test_mutated_files_load_or_are_refused(text: str) -> None:
    assert loads_or_refuses(text)


@settings(max_examples=100, deadline=None)
@given(text=st.text())
def test_any_text_loads_or_is_refused(text: str) -> None:
    assert loads_or_refuses(text)


scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from(["main", "hall", "CP1", 32, 6.0, "L1", "mcb", "tcp://h:1"]),
)
values = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=6), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_any_value_at_any_key_loads_or_is_refused(data: st.DataObject) -> None:
    """The file is good YAML, but something else stands at some key."""
    document = YAML(typ="safe", pure=True).load(GOOD)
    node, key = document, data.draw(st.sampled_from(sorted(document)))
    while isinstance(node[key], dict) and node[key] and data.draw(st.booleans()):
        node = node[key]
        key = data.draw(st.sampled_from(sorted(node, key=str)))
    node[key] = data.draw(values)

    assert loads_or_refuses(as_yaml(document))


def test_examples_are_found() -> None:
    assert len(list(EXAMPLES.glob("*.yaml"))) >= 6
