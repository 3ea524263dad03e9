"""Tells when the back office cannot be reached: not for a moment, and once for all stations."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from controller.decision import Condition, Severity
from controller.ports import Clock, ConditionSink
from controller.site import StationId

BACK_OFFICE_LOST = "BACK_OFFICE_LOST"
SUBJECT = "back office"
TOLD_AFTER_S = 300.0
LineStates = Mapping[StationId, tuple[bool, int, str]]
"""By station: whether its line is up, how many messages wait, and the last error."""


class LineWatch:
    """Looks at the lines now and then. Control loop only."""

    def __init__(
        self, states: Callable[[], LineStates], *, conditions: ConditionSink, clock: Clock
    ) -> None:
        """Watch lines; report to `conditions`."""
        self._states = states
        self._conditions = conditions
        self._clock = clock
        self._down_since_s: dict[StationId, float] = {}

    def look(self) -> None:
        """Begin or end the condition."""
        now_s = self._clock.monotonic_s()
        down = {s: state for s, state in self._states().items() if not state[0]}
        self._down_since_s = {s: self._down_since_s.get(s, now_s) for s in down}
        lost = [s for s, since_s in self._down_since_s.items() if now_s - since_s >= TOLD_AFTER_S]
        if lost:
            self._conditions.begin(_lost({s: down[s] for s in lost}))
        elif not down:
            self._conditions.end(BACK_OFFICE_LOST, SUBJECT)


def _lost(lines: LineStates) -> Condition:
    first = min(lines)
    waiting = sum(count for _, count, _ in lines.values())
    why = next((error for _, _, error in lines.values() if error), "the line ended")
    return Condition(
        code=BACK_OFFICE_LOST,
        subject=SUBJECT,
        text=f"The back office has not been reached for more than five minutes for {len(lines)} stations, "
        f"{first} among them: {why}. Charging goes on by the rules of this site; {waiting} messages wait "
        "and will be delivered in order. Check the network and `upstream.url`.",
        severity=Severity.ALARM,
        values={
            "stations": f"{len(lines)}",
            "first": first,
            "fault": why,
            "waiting": f"{waiting}",
        },
    )
