"""Calculated meters in the site file."""

from __future__ import annotations

from pathlib import Path

import pytest

from adapters.config.loader import load_site_text
from adapters.config.problems import SiteFileError

SITE = """format: site/1
site: {{id: yard, name: Yard, timezone: UTC}}
meters:
  main: {{model: eastron/sdm630, connection: "tcp://127.0.0.1:5020"}}
  hall: {{model: eastron/sdm630, connection: "tcp://127.0.0.1:5021", role: production}}
virtual_meters:
{virtual}
circuits:
  main: {{limit_a: 63, meter: main, building_peak_a: 20}}
  garage: {{parent: main, limit_a: 32, meter: garage, building_peak_a: 0}}
stations:
  CP1: {{circuit: garage, evses: {{1: {{max_a: 16}}}}}}
"""


def problems(virtual: str) -> list[str]:
    with pytest.raises(SiteFileError) as refused:
        load_site_text(SITE.format(virtual=virtual), Path("site.yaml"))
    return [f"{p.path}: {p.text}" for p in refused.value.problems]


def test_parts_come_before_what_is_calculated_from_them() -> None:
    virtual = "  garage: {sum: [rest], minus: [hall]}\n  rest: {sum: [main], stations: [CP1]}"
    site = load_site_text(SITE.format(virtual=virtual), Path("site.yaml")).site
    assert list(site.virtual_meters) == ["rest", "garage"]
    assert site.circuits["garage"].meter == "garage"  # type: ignore[index]
    assert site.meters["hall"].role.value == "production"  # type: ignore[index]


@pytest.mark.parametrize(
    ("virtual", "problem"),
    [
        ("  garage: {sum: [main, hal]}", "virtual_meters.garage.sum: there is no meter `hal`"),
        (
            "  garage: {stations: [CP9]}",
            "virtual_meters.garage.stations: there is no station `CP9`",
        ),
        ("  garage: {minus: [main]}", "virtual_meters.garage: it adds nothing"),
        ("  garage: {sum: [garage]}", "virtual_meters.garage: the calculated meter garage is"),
        (
            "  garage: {sum: [other]}\n  other: {sum: [garage]}",
            "virtual_meters.garage: the calculated meter garage is calculated from itself",
        ),
        (
            "  garage: {sum: [main]}\n  main: {sum: [hall]}",
            "virtual_meters.main: main is a meter and a calculated meter",
        ),
    ],
)
def test_what_cannot_be_calculated_is_refused(virtual: str, problem: str) -> None:
    assert [found for found in problems(virtual) if found.startswith(problem)] != []
