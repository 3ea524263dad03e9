"""The live view at the widths of real terminals."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from adapters.cli.demo_site import MAIN, demo_site
from adapters.cli.live import Header, render
from controller.decision import Plan, Reason, ReasonCode, SiteMode
from tests.fakes.control import NOW, a_circuit_status, an_alarm, an_evse_status

SIGN_IN = "sign in     demo / abcdefghijkl"
TOKEN = "API token   wk_" + "x" * 43
HEADER = Header(
    title="Wattkeeper demo",
    address="http://127.0.0.1:8080/",
    access=(SIGN_IN, TOKEN),
    hint="Ctrl-C stops",
)
REASON = Reason(
    code=ReasonCode.CIRCUIT_FULL,
    text="main L1 is full: 250 A limit, 63 A taken by the building, 20 vehicles share the rest.",
    bound_by="main L1",
)


def a_plan(chargers: int = 20) -> Plan:
    site = demo_site(chargers, meter_port=5020)
    return Plan(
        now_s=1000.0,
        at=NOW,
        mode=SiteMode.NORMAL,
        method="lp",
        circuits={
            c.id: a_circuit_status(c, measured_a=124.0 if c.id == MAIN else None)
            for c in site.circuits.values()
        },
        evses={e.id: an_evse_status(e, reason=REASON) for e in site.evses()},
    )


def screen(width: int, height: int, *, alarms: int = 0, plan: Plan | None = None) -> list[str]:
    console = Console(width=width, height=height, file=io.StringIO(), record=True)
    view = render(
        plan, [an_alarm()] * alarms, header=HEADER, width=console.width, height=console.height
    )
    console.print(view)
    return console.export_text().splitlines()


@pytest.mark.parametrize(("width", "height"), [(120, 40), (80, 24)])
@pytest.mark.parametrize("alarms", [0, 2])
def test_the_view_fits_the_terminal(width: int, height: int, alarms: int) -> None:
    lines = screen(width, height, alarms=alarms, plan=a_plan())
    assert len(lines) <= height
    assert {width} == {len(line) for line in lines}


@pytest.mark.parametrize(("width", "height"), [(120, 40), (80, 24)])
def test_access_ids_and_units_are_never_cut(width: int, height: int) -> None:
    text = "\n".join(screen(width, height, plan=a_plan()))
    for whole in (SIGN_IN, TOKEN, HEADER.address, "CP001/1", "granted", "16.0 A", "of 250 A"):
        assert whole in text
    assert "…" not in text


def test_a_wide_view_shows_every_charger() -> None:
    assert any("CP020/1" in line for line in screen(120, 40, plan=a_plan()))


def test_a_short_view_counts_what_it_leaves_out() -> None:
    lines = screen(80, 24, plan=a_plan())
    shown = sum("CP0" in line for line in lines)
    assert any(f"{20 - shown} more" in line for line in lines)


def test_a_reason_ends_with_a_whole_clause() -> None:
    text = "\n".join(screen(80, 24, plan=a_plan()))
    assert "main L1 is full: 250 A limit " in text


def test_access_is_shown_before_the_first_decision() -> None:
    assert SIGN_IN in "\n".join(screen(80, 24))
