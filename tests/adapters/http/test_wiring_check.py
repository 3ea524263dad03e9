"""`wattkeeper wiring check` against the real server: pauses, resumes, and says what the meters saw."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from adapters.cli.main import app
from adapters.cli.wiring import CannotCheckError, Pace, checked, outcome, told
from controller.operator import EvseOverride
from controller.phases import Phase
from controller.records import Role
from controller.site import CircuitId, EvseId, MeterId
from controller.wiring import Verdict, WiringView
from tests.adapters.http.conftest import TOKENS, Rig, Site
from tests.fakes.control import FakeControl, an_evse_status

EVSE = EvseId("CP001/1")
AT_ONCE = Pace(step_s=0.3, settle_s=0.0, poll_s=0.01)


class Yard(FakeControl):
    """A vehicle that follows pauses; every stop and start is a step that the meter sees somehow."""

    def __init__(self, verdict: Verdict = "right", *, follows: bool = True) -> None:
        super().__init__()
        self.verdict = verdict
        self.follows = follows
        self.steps = 0
        self.pauses: list[bool] = []
        self.show(16.0)

    def show(self, drawn_a: float | None) -> None:
        evses = {e.id: an_evse_status(e, drawn_a=drawn_a) for e in self.site.evses()}
        self.publish(evses=evses)

    async def set_evse_override(self, evse: EvseId, override: EvseOverride, actor: str) -> None:
        was_paused = bool(self.pauses) and self.pauses[-1]
        await super().set_evse_override(evse, override, actor)
        assert override.max_a is None
        self.pauses.append(override.paused)
        if not self.follows or override.paused is was_paused:
            return
        self.show(0.0 if override.paused else 16.0)
        self.steps += 1
        gain = {"right": 1.0, "reversed": -1.0}.get(self.verdict, 0.0)
        self.wired = (
            WiringView(
                circuit=CircuitId("main"),
                meter=MeterId("grid"),
                evse=EVSE,
                verdict=self.verdict if self.steps >= 4 else "unknown",
                steps=self.steps,
                gain_ratio={Phase.L1: gain},
            ),
        )


def started(rig: Rig, control: FakeControl) -> Site:
    return rig.start(control=control)


@pytest.mark.parametrize(
    ("verdict", "code", "text"),
    [
        (
            "right",
            0,
            "main, meter grid: as in the site file. Of its current the meter saw: L1 100 %",
        ),
        ("reversed", 1, "exchange its wires S1 and S2"),
        ("unseen", 1, "does not see this EVSE"),
        ("phases", 1, "correct the EVSE's `rotation`"),
        ("unknown", 3, "Repeat it when the building is quiet, and"),
    ],
)
def test_four_steps_are_made_and_judged(rig: Rig, verdict: Verdict, code: int, text: str) -> None:
    control = Yard(verdict)
    said: list[str] = []

    with started(rig, control).client(Role.OPERATOR) as client:
        found = checked(client, "CP001/1", pace=AT_ONCE, say=said.append)

    assert control.steps == 4
    assert control.pauses == [True, False, True, False]
    assert outcome(found) == code
    assert text in told(found)[0]
    assert "cannot tell exchanged phases" in told(found)[0] or verdict != "right"
    assert said[0] == "1 of 2: CP001/1 is paused"


def test_vehicle_that_does_not_follow_is_resumed_and_told(rig: Rig) -> None:
    control = Yard(follows=False)

    with (
        started(rig, control).client(Role.OPERATOR) as client,
        pytest.raises(CannotCheckError, match="is not known to have stopped after"),
    ):
        checked(client, "CP001/1", pace=AT_ONCE, say=lambda _: None)

    assert control.pauses == [True, False]


@pytest.mark.parametrize(
    ("evse", "drawn_a", "why"),
    [
        ("CP001/1", 2.0, "draws 2.0 A; let a vehicle charge there"),
        ("CP001/1", None, "does not tell what it draws"),
        ("CP001", 16.0, "no STATION/EVSE"),
        ("CP999/1", 16.0, "CP999"),
    ],
)
def test_nothing_is_paused_where_nothing_can_be_seen(
    rig: Rig, evse: str, drawn_a: float | None, why: str
) -> None:
    control = Yard()
    control.show(drawn_a)

    with (
        started(rig, control).client(Role.OPERATOR) as client,
        pytest.raises(CannotCheckError, match=why),
    ):
        checked(client, evse, pace=AT_ONCE, say=lambda _: None)

    assert control.pauses == []


def test_the_command_needs_a_token_and_names_the_address(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = started(rig, Yard())
    arguments = ["wiring", "check", "CP001/1", "--url", site.url]
    monkeypatch.delenv("WATTKEEPER_TOKEN", raising=False)
    without = CliRunner().invoke(app, arguments)
    monkeypatch.setenv("WATTKEEPER_TOKEN", TOKENS[Role.VIEWER])
    viewer = CliRunner().invoke(app, arguments)

    assert (without.exit_code, viewer.exit_code) == (2, 2)
    assert "WATTKEEPER_TOKEN" in without.output
    assert site.url in viewer.output
