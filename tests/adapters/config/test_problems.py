"""One mistake, one problem: on its line, with its path, and with a mend that helps."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.config.loader import load_site_file
from adapters.config.problems import SiteFileError
from tests.adapters.config.files import GOOD, problems_of, spoiled

# what stands there, what is written instead, line, path, in the text, in the mend
KEYS = [
    ("eastron/sdm630", "../../secret", 4, "meters.main.model", "no meter model", "config/meters/"),
    ("Europe/Oslo}", 'Europe/Oslo, id: "a"}', 2, "site.id", "stands twice", "remove one"),
    ("id: yard", 'id: "yard\\n"', 2, "site.id", "is no id", "letters"),
    ("limit_a: 40", "limit_a: 40A", 7, "circuits.hall.limit_a", "`40A` is not", "`limit_a: 40`"),
    ("limit_a: 40", "limit_a: 40 A", 7, "circuits.hall.limit_a", "`40 A`", "without a unit"),
    ("limit_a: 40", 'limit_a: "40"', 7, "circuits.hall.limit_a", "`40`", "no quotes"),
    ("limit_a: 40", "limit_a: 40000 mA", 7, "circuits.hall.limit_a", "mA", "`limit_a: 40`"),
    ("limit_a: 40", "limit_a: 22 kW", 7, "circuits.hall.limit_a", "22 kW", "in amperes"),
    ("limit_a: 40", "limit_a: 40000", 7, "circuits.hall.limit_a", "at most 10000", "milliamperes"),
    ("limit_a: 40", "limit_a: -40", 7, "circuits.hall.limit_a", "-40", "more than 0 amperes"),
    ("limit_a: 40", "limit_a: .inf", 7, "circuits.hall.limit_a", "finite", "real rating"),
    ("limit_a: 40", "limit_a: true", 7, "circuits.hall.limit_a", "`true`", "`limit_a: 63`"),
    ("limit_a: 40", "limit_a: [1, 2, 3]", 7, "circuits.hall.limit_a", "a list", "limit_a: 63"),
    ("limit_a: 40", "limit_a: ", 7, "circuits.hall.limit_a", "no value", "limit_a: 63"),
    ("limit_a: 40", "limit_a: {l1: 4, l2: 4}", 7, "circuits.hall.limit_a.l3", "missing", "l3: 63"),
    (
        "limit_a: 40",
        "limit_a: {l1: 40, l2: 40, l3: 0}",
        7,
        "circuits.hall.limit_a.l3",
        "more than 0",
        "rating of the others",
    ),
    ("limit_a: 40", "limt_a: 40", 7, "circuits.hall.limt_a", "unknown", "did you mean `limit_a`?"),
    ("limit_a: 40", "fuse_a: 40", 7, "circuits.hall.fuse_a", "unknown", "did you mean `limit_a`?"),
    ("limit_a: 40", "limit: 40", 7, "circuits.hall.limit", "unknown", "did you mean `limit_a`?"),
    (
        "limit_a: 40",
        "limit_a:40",
        7,
        "circuits.hall.limit_a:40",
        "unknown key",
        "a blank after the colon: `limit_a: 40`",
    ),
    (", limit_a: 40", "", 7, "circuits.hall.limit_a", "missing", "add `limit_a: 63`"),
    ("parent: main", "parent: ", 7, "circuits.hall.parent", "no value", "remove the line"),
    (
        "limit_a: 40",
        "limit_a: 40, device: fuse",
        7,
        "circuits.hall.device",
        "`fuse` is not one of mcb, mccb, gg",
        "mcb or mccb or gg",
    ),
    ("limit_a: 40", "limit_a: 40, device: MCCB", 7, "circuits.hall.device", "MCCB", "`mccb`?"),
    (
        "limit_a: 40",
        "limit_a: 40, max_a: 3",
        7,
        "circuits.hall.max_a",
        "unknown",
        "belongs under stations.<id> or stations.<id>.evses.<id>",
    ),
    ("limit_a: 40", "limit_a: 40, note: x", 7, "circuits.hall.note", "unknown", "known here are"),
    ("  hall: {", "  hall: {<<: {a: 1}, ", 7, "circuits.hall.<<", "unknown", "alias"),
    ("format: site/1", "format: site/2", 1, "format", "`site/2`", "`site/1`"),
    ("format: site/1\n", "", 1, "format", "missing", "add `format: site/1`"),
    ("id: yard", "id: my yard", 2, "site.id", "'my yard'", "no blanks"),
    ("name: Yard", "name: 17", 2, "site.name", "17", 'name: "17"'),
    ("name: Yard", "name: ' '", 2, "site.name", "blank", "write a name"),
    ("name: Yard", "name: {a: 1}", 2, "site.name", "a map", "name: Depot Nord"),
    ("Europe/Oslo", "Europe/Olso", 2, "site.timezone", "no time zone", "`Europe/Oslo`?"),
    ("Europe/Oslo", "North", 2, "site.timezone", "no time zone", "Europe/Stockholm"),
    ("Europe/Oslo", "/etc/passwd", 2, "site.timezone", "no time zone", "Europe/Stockholm"),
    (
        "Europe/Oslo}",
        "Europe/Oslo, voltage_v: 400}",
        2,
        "site.voltage_v",
        "300",
        "line and neutral",
    ),
    (
        "tcp://127.0.0.1:5020",
        "127.0.0.1:5020",
        4,
        "meters.main.connection",
        "no connection",
        "tcp://",
    ),
    ("tcp://127.0.0.1:5020", "tcp://h:99999", 4, "meters.main.connection", "no conn", "tcp://HOST"),
    ("tcp://127.0.0.1:5020", "rtu://dev/tty", 4, "meters.main.connection", "serial", "rtu:///dev"),
    ("tcp://127.0.0.1:5020", "rtu:///d?bad=1", 4, "meters.main.connection", "bad", "`baud`?"),
    (
        "tcp://127.0.0.1:5020",
        "rtu:///d?parity=X",
        4,
        "meters.main.connection",
        "parity=X",
        "N, E, O",
    ),
    (
        "tcp://127.0.0.1:5020",
        "rtu:///d?timeout_s=x",
        4,
        "meters.main.connection",
        "time",
        "seconds",
    ),
    ('5020"}', '5020", unit: 300}', 4, "meters.main.unit", "at most 255", "at most 255"),
    ('5020"}', '5020", unit: 1.5}', 4, "meters.main.unit", "whole number", "`unit: 1`"),
    ('5020"}', '5020", unit: x}', 4, "meters.main.unit", "`x` is not a number", "`unit: 1`"),
    ("  CP1:", "  CP/1:", 9, "stations.CP/1", "contains '/'", "set in the station"),
    ("  CP1:", "  CP 1:", 9, "stations.CP 1", "contains ' '", "set in the station"),
    ("  CP1:", '  "C\\tP":', 9, "stations.C\tP", "contains '\\t'", "set in the station"),
    ("  CP1:", f"  {'C' * 49}:", 9, f"stations.{'C' * 49}", "49 characters", "allows 48"),
    ("    circuit: hall\n", "", 9, "stations.CP1.circuit", "missing", "add `circuit: garage-a`"),
    ("      1: {max", "      0: {max", 12, "stations.CP1.evses.0", "no EVSE number", "1, 2"),
    ("      1: {max", "      x: {max", 12, "stations.CP1.evses.x", "no EVSE number", "1, 2"),
    (
        "max_a: 32}",
        "max_a: 32, phases: 4}",
        12,
        "stations.CP1.evses.1.phases",
        "`4`",
        "1 or 2 or 3",
    ),
    (
        "max_a: 32}",
        "max_a: 32, phases: true}",
        12,
        "stations.CP1.evses.1.phases",
        "`true` is not one of",
        "1 or 2 or 3",
    ),
    ("phases: 1,", "phases: '1',", 13, "stations.CP1.evses.2.phases", "quotes", "`phases: 1`"),
    ("max_a: 32}", "max_a: 32, rotation: R1}", 12, "stations.CP1.evses.1.rotation", "R1", "RST"),
    (
        "max_a: 32}",
        "max_a: 32, step_a: 0,5}",
        12,
        "stations.CP1.evses.1.step_a",
        "more than 0",
        "more than 0 amperes",
    ),
    (
        "max_a: 32}",
        "max_a: 32, step_a: '0,5'}",
        12,
        "stations.CP1.evses.1.step_a",
        "`0,5`",
        "a point and not a comma: `step_a: 0.5`",
    ),
    (
        "max_a: 32}",
        "max_a: 32, holds_lease: no}",
        12,
        "stations.CP1.evses.1.holds_lease",
        "`no` is neither",
        "true or false",
    ),
    (
        "max_a: 32}",
        "max_a: 32, fallback_a: -6}",
        12,
        "stations.CP1.evses.1.fallback_a",
        "at least 0",
        "at least 0 amperes",
    ),
    ("interval_s: 2", "interval_s: 0.1", 14, "policy.interval_s", "at least 0.5", "0.5 seconds"),
    ("interval_s: 2", "interval_s: 2000", 14, "policy.interval_s", "60", "not milliseconds"),
    ("interval_s: 2", "interval_s: 2 s", 14, "policy.interval_s", "`2 s`", "`interval_s: 2`"),
    ("interval_s: 2", "lease_s: 20", 14, "policy.lease_s", "at least 30", "30 seconds"),
    ("interval_s: 2", "lease: 60", 14, "policy.lease", "unknown", "`lease_s`?"),
    ("interval_s: 2", "newcomers: 1.5", 14, "policy.newcomers", "whole number", "newcomers: 1"),
    ('"127.0.0.1:9000"', "9000", 15, "ocpp.listen", "not a text", "quotes"),
    ("127.0.0.1:9000", ":9000", 15, "ocpp.listen", "no address", "host:port"),
    ("127.0.0.1:9000", "127.0.0.1:0", 15, "ocpp.listen", "no address", "host:port"),
    (
        ':9000"}',
        ':9000", listeners: {tls: {listen: "0.0.0.0:9000", security_profile: 2}}}',
        15,
        "ocpp.listeners.tls.listen",
        "already taken by ocpp.listen",
        "another port",
    ),
    (
        ':9000"}',
        ':9000", security_profile: 7}',
        15,
        "ocpp.security_profile",
        "no security",
        "write 1",
    ),
    (
        ':9000"}',
        ':9000", unknown_tokens: free}',
        15,
        "ocpp.unknown_tokens",
        "`free`",
        "reject or accept",
    ),
    ("url: ", "urls: ", 17, "influx.urls", "unknown", "did you mean `url`?"),
    ("http://127.0.0.1:8086", "127.0.0.1:8086", 17, "influx.url", "no address", "http://"),
    ("http://127.0.0.1:8086", "http://a b", 17, "influx.url", "blank", "remove"),
    ("org: o", f"org: {'o' * 201}", 17, "influx.org", "too long", "at most 200"),
    ("token_env: TOKEN", "token_env: 12", 17, "influx.token_env", "not the name", "NAME"),
]

RULES = [
    ("parent: main", "parent: mian", 7, "circuits.hall.parent", "no circuit `mian`", "`main`?"),
    ("parent: main", "parent: hall", 7, "circuits.hall.parent", "ring: hall <- hall", "nearer"),
    ("parent: main, ", "", 7, "circuits.hall", "neither main nor hall", "`parent: main`"),
    (
        "meter: main",
        "meter: grid",
        6,
        "circuits.main.meter",
        "no meter `grid`",
        "write one of main",
    ),
    (", building_peak_a: 30", "", 6, "circuits.main", "at most?", "everything but the stations"),
    ("limit_a: 40", "limit_a: 40, margin_a: 40", 7, "circuits.hall.margin_a", "nothing", "smaller"),
    (
        "limit_a: 40",
        "limit_a: 40, meter: main, building_peak_a: 1",
        7,
        "circuits.hall.meter",
        "already measures the circuit main",
        "one meter measures one circuit",
    ),
    ("circuit: hall", "circuit: hal", 10, "stations.CP1.circuit", "no circuit `hal`", "`hall`?"),
    (
        "max_a: 32}",
        "max_a: 32, circuit: xyz}",
        12,
        "stations.CP1.evses.1.circuit",
        "no circuit `xyz`",
        "hall, main",
    ),
    ("max_a: 32", "max_a: 5", 12, "stations.CP1.evses.1.min_a", "min_a 6 is more", "rating"),
    (
        "max_a: 32",
        "max_a: 32, fallback_a: 3",
        12,
        "stations.CP1.evses.1.fallback_a",
        "neither 0 nor between",
        "write 0",
    ),
    (
        "max_a: 32",
        "max_a: 32, fallback_a: 33",
        12,
        "stations.CP1.evses.1.fallback_a",
        "max_a 32",
        "at least 6",
    ),
    ("max_a: 32", "max_a: 41", 12, "stations.CP1.evses.1.max_a", "L1: limit_a 40", "cable"),
    (
        "max_a: 32",
        "max_a: 20, step_a: 30",
        12,
        "stations.CP1.evses.1.step_a",
        "more than max_a",
        "0.1",
    ),
    (", rotation: L2", "", 13, "stations.CP1.evses.2", "which grid phase", "rotation: L1"),
    ("phases: 1, rotation: L2", "phases: 2", 13, "stations.CP1.evses.2", "2-phase", "RST"),
    ("phases: 1, ", "", 13, "stations.CP1.evses.2.rotation", "names one phase", "phases: 1"),
    ('5020"}', '5020", interval_s: 3}', 4, "meters.main.interval_s", "every 3 s", "more often"),
    (
        "interval_s: 2}",
        "meter_blind_s: 3}",
        14,
        "policy.meter_blind_s",
        "must be more than meter_hold_s",
        "defaults are 3 and 10",
    ),
    ("interval_s: 2}", "meter_blind_s: 30}", 14, "policy.meter_fallback_s", "30", "defaults"),
    ("interval_s: 2}", "sample_stale_s: 9}", 14, "policy.sample_stale_s", "10", "defaults"),
    (
        "interval_s: 2}",
        "interval_s: 45, lease_s: 40}",
        14,
        "policy.lease_s",
        "interval_s 45",
        "more than 45",
    ),
    (
        "interval_s: 2}",
        "command_timeout_s: 50, lease_s: 40}",
        14,
        "policy.lease_s",
        "command_timeout_s 50",
        "more than 50",
    ),
    (":8080", ":9000", 16, "http.listen", "already taken", "another port"),
    (
        'http: {listen: "127.0.0.1:8080"}',
        "grid_signal: {circuit: mian, failsafe_w: 4200}",
        16,
        "grid_signal.circuit",
        "no circuit `mian`",
        "`main`?",
    ),
    (
        'http: {listen: "127.0.0.1:8080"}',
        'grid_relays: {dso: {circuit: mian, limit_w: 4200, connection: "tcp://10.0.0.9", input: 0}}',
        16,
        "grid_relays.dso.circuit",
        "no circuit `mian`",
        "`main`?",
    ),
    ("  CP1:", "  AA:BB:", 9, "stations.AA:BB", "colon", "security_profile: 0"),
    (", org: o", "", 17, "influx", "`org` is missing", "add `org: depot`"),
    (", bucket: b", "", 17, "influx", "`bucket` is missing", "api: v1"),
    ("bucket: b", "bucket: b, database: d", 17, "influx.database", "v1 interface", "remove it"),
    (
        "org: o, bucket: b, token_env: TOKEN",
        "api: v1, database: d, user_env: U",
        17,
        "influx",
        "`password_env` is missing",
        "go together",
    ),
]


@pytest.mark.parametrize(("before", "after", "line", "path", "text", "mend"), [*KEYS, *RULES])
def test_one_mistake_is_one_problem(
    before: str, after: str, line: int, path: str, text: str, mend: str
) -> None:
    found = problems_of(spoiled(before, after))

    first = found[0]
    assert (line, path) == (first.line, first.path), [str(p) for p in found]
    assert text in first.text
    assert mend in f"{first.mend}{first.text}"
    assert len(found) <= (2 if "0,5" in after else 1), [str(p) for p in found]


SYNTAX = [
    ("a: [1, 2\n", 1, "not YAML", "close the bracket [ opened on line 1"),
    ("a: {b: 1\n", 1, "not YAML", "close the bracket { opened on line 1"),
    ("a: 1\n b: 2\n", 2, "not YAML", "check the indentation"),
    ("a: 'b\n", 1, "not YAML", "close the quotes"),
    ("a: @b\n", 1, "not YAML", "in quotes"),
    ("a: *b\n", 1, "not YAML", "define it with &"),
    ("a: 1\n---\na: 2\n", 2, "not YAML", "one file is one site"),
    ("a:\n\tb: 1\n", 2, "a tab", "use blanks"),
    ("a: 1\n# x\n\x07\n", 3, "control character", "invisible"),
    ("%YAML 1.1\n---\na: 1\n", 1, "YAML version", "remove the %YAML line"),
    ("", 1, "empty", "config/examples/"),
    ("# only a comment\n", 1, "empty", "config/examples/"),
    ("- a\n", 1, "no map", "config/examples/"),
    ("hello\n", 1, "no map", "config/examples/"),
    ("[" * 1000, 1, "too deeply", "indent"),
    ("a: &x {b: *x}\n", 1, "contains itself", "write it out"),
]


@pytest.mark.parametrize(("text", "line", "says", "mend"), SYNTAX)
def test_syntax_problems_stand_alone(text: str, line: int, says: str, mend: str) -> None:
    found = problems_of(text)

    assert len(found) == 1
    assert found[0].line == line
    assert says in found[0].text
    assert mend in f"{found[0].mend} {found[0].text}"


def test_every_line_with_a_tab_is_named() -> None:
    found = problems_of("a:\n\tb: 1\n  \tc: 1\n  d: 1\t# fine\n\t# fine\n")

    assert [p.line for p in found] == [2, 3]


def test_aliases_that_explode_are_stopped() -> None:
    levels = "\n".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 9))

    found = problems_of(f"a0: &a0 [1, 2]\n{levels}\n")

    assert [p.text for p in found] == ["more than 100000 values"]


@pytest.mark.parametrize(
    ("circuits", "line", "ring"),
    [
        ("  b: {parent: a, limit_a: 9}\n  a: {parent: b, limit_a: 9}", 8, "b <- a <- b"),
        ("  c: {parent: a, limit_a: 9}\n  a: {parent: a, limit_a: 9}", 9, "a <- a"),
        (
            "\n".join(f"  r{i}: {{parent: r{(i + 1) % 9}, limit_a: 9}}" for i in range(9)),
            8,
            "r0 <- r1 <- r2 <- r3 <- r4 <- ... <- r8 <- r0",
        ),
    ],
)
def test_a_ring_of_circuits_is_said_once(circuits: str, line: int, ring: str) -> None:
    (problem,) = problems_of(spoiled("stations:", f"{circuits}\nstations:"))

    assert problem.line == line
    assert problem.text == f"the circuits feed each other in a ring: {ring}"


def test_a_key_that_stands_twice_is_refused_with_both_lines() -> None:
    found = problems_of(spoiled("stations:", "  main: {limit_a: 1}\nstations:"))

    assert len(found) == 1
    assert (found[0].line, found[0].path) == (8, "circuits.main")
    assert "first on line 6" in found[0].text


def test_a_type_mark_is_refused_and_builds_nothing() -> None:
    found = problems_of(spoiled("name: Yard", "name: !!python/object/apply:os.getcwd []"))

    assert {(2, "site.name")} == {(p.line, p.path) for p in found}
    assert any("type mark" in p.text for p in found)


def test_all_problems_come_at_once_in_the_order_of_the_lines() -> None:
    text = (
        GOOD.replace("Europe/Oslo", "Oslo")
        .replace("limit_a: 40", "limit_a: 40A")
        .replace("circuit: hall", "circuit: hell")
        .replace("interval_s: 2", "meter_blind_s: 2")
        .replace(":8080", ":9000")
        .replace("  main: {model", "  main: {unit: 1, unit: 2, model")
    )

    found = problems_of(text, known_models=frozenset({"eastron/sdm72"}))

    assert [(p.line, p.path) for p in found] == [
        (2, "site.timezone"),
        (4, "meters.main.unit"),
        (4, "meters.main.model"),
        (7, "circuits.hall.limit_a"),
        (10, "stations.CP1.circuit"),
        (14, "policy.meter_blind_s"),
        (16, "http.listen"),
    ]


def test_a_problem_reads_as_one_line() -> None:
    (problem,) = problems_of(spoiled("limit_a: 40", "limit_a: 40A"))

    assert str(problem) == (
        "site.yaml:7: circuits.hall.limit_a: `40A` is not a number. "
        "Mend: write a number without a unit: `limit_a: 40`."
    )
    assert problem.column == 33


def test_a_problem_behind_an_alias_is_said_once() -> None:
    text = spoiled("      1: {max_a: 32}", "      1: &e {max_a: 32A}\n      3: *e\n      4: *e")

    assert [p.path for p in problems_of(text)] == ["stations.CP1.evses.1.max_a"]


@pytest.mark.parametrize(
    ("before", "after", "path", "mend"),
    [
        ("token_env: TOKEN", "token: s3cr3t==", "influx.token", "token_env: WATTKEEPER"),
        ("token_env: TOKEN", "password: s3cr3t==", "influx.password", "password_env"),
        ("token_env: TOKEN", 'token_env: "s3cr3t=="', "influx.token_env", "NAME"),
        ("http://127.0.0.1", "http://me:s3cr3t==@127.0.0.1", "influx.url", "user_env"),
        ('listen: "127.0.0.1:9000"', "password: s3cr3t==", "ocpp.password", "station secret"),
        (
            "    circuit: hall",
            "    circuit: hall\n    secret: s3cr3t==",
            "stations.CP1.secret",
            "stat",
        ),
        ('listen: "127.0.0.1:8080"', "admin_password: s3cr3t==", "http.admin_password", "user add"),
    ],
)
def test_secrets_are_refused_and_never_shown(before: str, after: str, path: str, mend: str) -> None:
    found = problems_of(spoiled(before, after))

    mine = [p for p in found if p.path == path]
    assert len(mine) == 1
    assert mend in mine[0].mend
    assert "s3cr3t" not in "\n".join(str(p) for p in found)


def test_a_station_may_be_called_token() -> None:
    assert problems_of(spoiled("  CP1:", "  token-tower:")) == ()


def test_the_certificate_names_circuit_phase_and_numbers() -> None:
    text = spoiled("limit_a: 63", "limit_a: 45").replace("max_a: 32}", "max_a: 32, fallback_a: 10}")

    (problem,) = problems_of(text)

    assert (problem.line, problem.path) == (6, "circuits.main.limit_a")
    assert problem.text == (
        "without the controller main L2 could carry 46 A, 1 A more than limit_a 45 A: "
        "building 30 A, fallbacks 16 A (2 EVSEs), EVSEs that hold no lease 0 A (0)"
    )
    assert problem.mend.startswith("lower fallback_a of CP1/1 to 0, or ")


def test_equal_phases_share_a_certificate_problem() -> None:
    text = spoiled("limit_a: 63", "limit_a: 40").replace(
        "max_a: 32}", "max_a: 32, holds_lease: false}"
    )

    found = problems_of(text)

    assert [
        p.text.removeprefix("without the controller ").partition(" could")[0] for p in found
    ] == ["main L1 and L3", "main L2"]
    assert all("let CP1/1 hold leases" in p.mend for p in found)


def test_two_meters_on_one_address_are_refused() -> None:
    second = '  aux: {model: a/b, connection: "rtu+tcp://127.0.0.1:5020", unit: 1}\ncircuits:'

    (problem,) = problems_of(spoiled("circuits:", second))

    assert (problem.line, problem.path) == (5, "meters.aux")
    assert "same connection and unit 1" in problem.text


def test_one_serial_line_has_one_speed() -> None:
    text = spoiled("tcp://127.0.0.1:5020", "rtu:///dev/ttyUSB0?baud=9600").replace(
        "circuits:",
        '  aux: {model: a/b, connection: "rtu:///dev/ttyUSB0?baud=19200", unit: 2}\ncircuits:',
    )

    assert [(p.line, p.path) for p in problems_of(text)] == [(5, "meters.aux.connection")]


def test_an_unknown_meter_model_gets_a_suggestion() -> None:
    (problem,) = problems_of(GOOD, known_models=frozenset({"eastron/sdm72", "abb/b23"}))

    assert (problem.line, problem.path) == (4, "meters.main.model")
    assert "did you mean `eastron/sdm72`?" in problem.mend


@pytest.mark.parametrize(
    ("content", "line", "says"),
    [(b"a: \xff\xfe", 1, "UTF-8"), (b"a: 1\nb: \xe9\n", 2, "UTF-8"), (b"#" * 1_000_001, 1, "1 MB")],
)
def test_files_that_are_no_text_are_refused(
    tmp_path: Path, content: bytes, line: int, says: str
) -> None:
    file = tmp_path / "site.yaml"
    file.write_bytes(content)

    with pytest.raises(SiteFileError) as caught:
        load_site_file(file)

    (problem,) = caught.value.problems
    assert problem.line == line
    assert says in problem.text


def test_a_missing_file_a_folder_and_a_strange_name_are_problems(tmp_path: Path) -> None:
    for path, says in [
        (tmp_path / "no.yaml", "no such file"),
        (tmp_path, "folder"),
        (Path("a\0b"), "cannot be read"),
    ]:
        with pytest.raises(SiteFileError) as caught:
            load_site_file(path)
        assert says in caught.value.problems[0].text


def test_a_file_that_may_not_be_read_is_a_problem(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> bytes:
        raise PermissionError

    monkeypatch.setattr(Path, "read_bytes", refuse)

    with pytest.raises(SiteFileError) as caught:
        load_site_file(tmp_path / "site.yaml")

    assert "may not be read" in caught.value.problems[0].text
