"""What the controller says of reasons and alarms stands in the page's catalogue, with what it names."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from adapters.ocpp.faulttable import fault_table
from controller.decision import Reason, ReasonCode
from controller.operator import EvseOverride, Overrides
from controller.phases import PhaseCurrents
from controller.site import EvseId
from tests.controller.builders import Bench, a_site

ROOT = Path(__file__).resolve().parents[2]
ENGLISH: dict[str, str] = json.loads((ROOT / "web/src/i18n/en.json").read_text())
SOURCES = sorted(p for ring in ("controller", "adapters") for p in (ROOT / ring).rglob("*.py"))
PLACEHOLDER = re.compile(r"\{(\w+)\}")
SPEAKS = re.compile(r"\b(Reason|Condition|begin|_begin)\(|Final = \"[A-Z_]+\"")
KINDS = ("ERROR", "SECURITY", "MONITOR")
"""Codes that a station makes up have one text per kind."""


@dataclass(frozen=True, kw_only=True)
class Said:
    """A sentence in the sources: its key in the catalogue, and what it names (None: not literal)."""

    key: str
    place: str
    names: frozenset[str] | None


def _calls(name: str) -> Iterator[tuple[Path, ast.Call, dict[str, ast.expr]]]:
    for path, tree in _trees().items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == name:
                yield path, node, {k.arg: k.value for k in node.keywords if k.arg}


def _names(values: ast.expr | None) -> frozenset[str] | None:
    if values is None:
        return frozenset()
    if not isinstance(values, ast.Dict):
        return None
    return frozenset(ast.literal_eval(k) for k in values.keys if k is not None)


@cache
def _trees() -> dict[Path, ast.Module]:
    """Return the modules that speak of reasons or conditions."""
    texts = {path: path.read_text() for path in SOURCES}
    return {p: ast.parse(text) for p, text in texts.items() if SPEAKS.search(text)}


@cache
def _constants() -> dict[str, str]:
    """Return the text of each module-level constant, by module and name."""
    found = {}
    for path, tree in _trees().items():
        for node in tree.body:
            target = node.target if isinstance(node, ast.AnnAssign) else None
            if isinstance(node, ast.Assign):
                target = node.targets[0]
            value = getattr(node, "value", None)
            if isinstance(target, ast.Name) and isinstance(value, ast.Constant):
                found[f"{path}:{target.id}"] = str(value.value)
    return found


def said_reasons() -> list[Said]:
    said = []
    for path, node, given in _calls("Reason"):
        code = given.get("code")
        if not isinstance(code, ast.Attribute) or not code.attr.isupper():
            continue
        wording = given.get("wording")
        place = f"{path.name}:{node.lineno}"
        key = f"reason.{ReasonCode[code.attr].value}"
        wordings = [""] if wording is None else ["surplus", "budget"]
        if isinstance(wording, ast.Constant):
            wordings = [str(wording.value)]
        said += [
            Said(key=f"{key}.{w}" if w else key, place=place, names=_names(given.get("values")))
            for w in wordings
        ]
    return said


def said_conditions() -> list[Said]:
    constants = _constants()
    said = []
    for path, node, given in _calls("Condition"):
        code = given.get("code")
        names, place = _names(given.get("values")), f"{path.name}:{node.lineno}"
        if isinstance(code, ast.Constant):
            said.append(Said(key=f"alarm.{code.value}", place=place, names=names))
        elif isinstance(code, ast.Name) and code.id.isupper():
            text = constants[f"{path}:{code.id}"]
            said.append(Said(key=f"alarm.{text}", place=place, names=names))
    return said


@pytest.mark.parametrize("said", [*said_reasons(), *said_conditions()], ids=lambda s: s.key)
def test_every_sentence_has_a_text_that_names_only_what_is_told(said: Said) -> None:
    key = said.key if said.key.startswith("reason.") else f"{said.key}.text"

    assert key in ENGLISH, said.place
    assert said.key in ENGLISH, said.place
    if said.names is not None:
        assert set(PLACEHOLDER.findall(ENGLISH[key])) <= said.names | {"where", "subject"}


def codes_of_adapters() -> set[str]:
    """Return codes that are handed on: `notices.begin("…", …)`, and constants named like their text."""
    begun = re.compile(r"begin\(\s*\"([A-Z][A-Z_]+)\"")
    found = {code for path in SOURCES for code in begun.findall(path.read_text())}
    for place, text in _constants().items():
        found |= {text} if place.rpartition(":")[2] == text else set()
    return found


def test_codes_that_adapters_hand_on_have_a_title_and_a_text() -> None:
    codes = codes_of_adapters()
    made_up = {f"ERROR_{code}" for code in fault_table().error_codes}
    made_up |= {f"SECURITY_{kind}" for kind in fault_table().security_events}

    assert {"WRONG_PASSWORD", "STORE_UNWRITABLE", "DUPLICATE_IDENTITY"} <= codes
    assert {c for c in codes | made_up if f"alarm.{c}.text" not in ENGLISH} == set()
    assert {c for c in codes if f"alarm.{c}" not in ENGLISH} == set()
    assert {k for k in KINDS if f"alarm.{k}" not in ENGLISH} == set()


def reasons_of(bench: Bench) -> list[Reason]:
    return [s.reason for s in bench.run(60.0).plan.evses.values()]


def told_reasons() -> Iterator[Reason]:
    """Yield reasons of real decisions: a full circuit, a pause, a maximum, a lost meter."""
    bench = Bench(site=a_site(evses=8), building={"main": PhaseCurrents.balanced(30.0)}).plug_in()
    yield from reasons_of(bench)
    wishes = {"CP001/1": EvseOverride(paused=True), "CP002/1": EvseOverride(max_a=3.0)}
    bench.overrides = Overrides(evses={EvseId(e): wish for e, wish in wishes.items()})
    yield from reasons_of(bench)


def test_the_english_catalogue_says_what_the_controller_says() -> None:
    said = {}
    for reason in told_reasons():
        key = f"reason.{reason.code.value}{'.' if reason.wording else ''}{reason.wording}"
        said[key] = (ENGLISH[key].format(where=reason.bound_by, **reason.values), reason.text)

    assert {"reason.circuit_full", "reason.paused", "reason.operator_maximum.too_low"} <= set(said)
    assert [pair for pair in said.values() if pair[0] != pair[1]] == []
