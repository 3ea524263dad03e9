"""A back office that is away for long is told once, and over when all lines are up."""

from __future__ import annotations

from adapters.upstream.watch import LineWatch
from controller.alarms import AlarmBook
from controller.site import StationId
from tests.fakes.recording_desk import T0, StillClock

NORTH, SOUTH = StationId("NORTH"), StationId("SOUTH")


class Scene:
    def __init__(self) -> None:
        self.clock, self.alarms = StillClock(), AlarmBook()
        self.lines = {NORTH: (True, 0, ""), SOUTH: (True, 0, "")}
        self.watch = LineWatch(lambda: self.lines, conditions=self.alarms, clock=self.clock)

    def after(self, seconds: float) -> list[str]:
        for _ in range(round(seconds / 10.0)):
            self.clock.advance(10.0)
            self.watch.look()
        self.alarms.update((), T0)
        return [a.condition.text for a in self.alarms.active()]


def test_a_line_that_is_down_for_five_minutes_is_told_once_for_all_stations() -> None:
    scene = Scene()
    scene.lines = {NORTH: (False, 3, "refused"), SOUTH: (False, 4, "")}

    early = scene.after(300.0)
    (text,) = scene.after(10.0)

    assert early == []
    assert "for 2 stations, NORTH among them: refused" in text
    assert "7 messages wait" in text


def test_it_is_over_when_every_line_is_up() -> None:
    scene = Scene()
    scene.lines = {NORTH: (False, 3, ""), SOUTH: (False, 0, "")}
    scene.after(400.0)
    scene.lines = {NORTH: (True, 2, ""), SOUTH: (False, 0, "")}
    one_left = scene.after(10.0)
    scene.lines = {NORTH: (True, 0, ""), SOUTH: (True, 0, "")}

    assert len(one_left) == 1
    assert scene.after(10.0) == []


def test_a_line_that_comes_and_goes_is_no_outage() -> None:
    scene = Scene()
    for _ in range(5):
        scene.lines = {NORTH: (False, 0, ""), SOUTH: (True, 0, "")}
        scene.after(200.0)
        scene.lines = {NORTH: (True, 0, ""), SOUTH: (True, 0, "")}
        scene.after(10.0)

    assert scene.after(10.0) == []
