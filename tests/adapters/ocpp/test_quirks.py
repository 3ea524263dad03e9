from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from adapters.ocpp.faulttable import shipped_folder
from adapters.ocpp.quirks import CatalogueError, Quirks, ZeroLimit, load_catalogue

ROOT = Path(__file__).parents[3]


def data(name: str) -> Any:
    return YAML(typ="safe", pure=True).load(shipped_folder("chargers") / name)


def evidence() -> list[dict[str, Any]]:
    general = data("general.yaml")["rows"]
    return [*general, *(e for m in data("models.yaml")["models"].values() for e in m["evidence"])]


def test_every_known_defect_has_an_entry_with_its_source() -> None:
    assert {e["row"] for e in evidence()} == set(range(1, 48))
    assert all(e["source"] and e["what"] for e in evidence())


def test_what_is_done_for_every_station_is_proved_by_a_test_that_exists() -> None:
    missing = [
        r["handled_by"]
        for r in data("general.yaml")["rows"]
        if not (ROOT / r["handled_by"]).is_file()
    ]
    assert missing == []


def test_the_shipped_catalogue_is_read() -> None:
    catalogue = load_catalogue(shipped_folder("chargers"))
    wallbox = catalogue.quirks_of(vendor="Wall Box Chargers", model="PLP1", firmware="5.1")
    abb = catalogue.quirks_of(vendor="ABB", model="TAC-W22", firmware="1.6")
    plain = catalogue.quirks_of(vendor="Nobody", model="X", firmware="")
    assert (wallbox.is_relative, wallbox.holds_lease) == (True, False)
    assert (abb.highest_level, abb.zero_limit) == (0, ZeroLimit.STAYS_PAUSED)
    assert plain == Quirks()


def test_a_more_specific_entry_overrides(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(
        "format: charger/1\n"
        "models:\n"
        "  new: {vendor: acme, firmware: '2.*', quirks: {unit: A}, evidence: [x]}\n"
        "  old: {vendor: acme, quirks: {unit: W, highest_level: 0}, evidence: [x]}\n"
    )
    quirks = load_catalogue(tmp_path).quirks_of(vendor="ACME", model="M", firmware="2.1")
    assert (quirks.unit, quirks.highest_level) == ("A", 0)


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        ("{vendor: acme, evidence: [x], quirks: {colour: red}}", "there is no quirk colour"),
        (
            "{vendor: acme, evidence: [x], quirks: {boot_wait_s: soon}}",
            "boot_wait_s must be a float",
        ),
        ("{vendor: acme, evidence: [x], quirks: {zero_limit: explodes}}", "zero_limit cannot be"),
        ("{vendor: acme, quirks: {}}", "evidence is missing"),
        ("{vendor: acme, evidence: [x], quirk: {}}", "unknown quirk"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_place(tmp_path: Path, entry: str, reason: str) -> None:
    (tmp_path / "a.yaml").write_text(f"format: charger/1\nmodels:\n  one: {entry}\n")
    with pytest.raises(CatalogueError, match=f"a.yaml, one: {reason}"):
        load_catalogue(tmp_path)


def test_a_file_of_another_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("format: meter/1\n")
    with pytest.raises(CatalogueError, match="format must be charger/1"):
        load_catalogue(tmp_path)
