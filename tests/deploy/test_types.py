"""Dashboards fit Grafana's published types, and the Flux task passes InfluxData's analyser.

Needs what `deploy/check/` locks: run `scripts/check-deploy` once.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

from tests.deploy.checking import CHECK, DEPLOY, dashboards, dashboards_problems, flux_problem

pytestmark = [
    pytest.mark.services,
    pytest.mark.skipif(
        not (CHECK / "node_modules").exists(), reason="run scripts/check-deploy once"
    ),
]
TASK = (DEPLOY / "influxdb" / "v2" / "quarters.flux").read_text(encoding="utf-8")


def test_every_dashboard_fits_the_published_types() -> None:
    assert dashboards_problems() == ""


def misspelt(dashboard: Any) -> None:
    dashboard["panels"][0]["fieldConfig"]["defaults"]["units"] = "amp"


def no_width(dashboard: Any) -> None:
    del dashboard["panels"][0]["gridPos"]["w"]


def unknown_panel(dashboard: Any) -> None:
    dashboard["panels"][0]["type"] = "graph-of-old"


def unknown_variable(dashboard: Any) -> None:
    dashboard["templating"]["list"][0]["type"] = "question"


def test_what_does_not_fit_is_seen() -> None:
    """All in one run of the compiler, which takes seconds."""
    defects: tuple[Callable[[Any], None], ...] = (
        misspelt,
        no_width,
        unknown_panel,
        unknown_variable,
    )
    given = {}
    for defect in defects:
        given[defect.__name__] = copy.deepcopy(dashboards()["wattkeeper-month"])
        defect(given[defect.__name__])
    found = dashboards_problems(given)
    assert [d.__name__ for d in defects if f"generated/{d.__name__}.ts" not in found] == []


def test_task_is_valid_flux() -> None:
    assert not flux_problem(TASK)


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("aggregateWindow(", "agregateWindow("),
        ("createEmpty: false", "creatEmpty: false"),
        ("every: 15m, fn", 'every: "15m", fn'),
        ("=> ({", "=> {"),
    ],
)
def test_task_with_a_defect_is_refused(right: str, wrong: str) -> None:
    assert flux_problem(TASK.replace(right, wrong))
