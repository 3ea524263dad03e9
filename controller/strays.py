"""Stations that speak of transactions which are not theirs: counted, and reported when they go on."""

from __future__ import annotations

from dataclasses import dataclass

from controller.decision import Condition, Severity
from controller.ports import Clock, ConditionSink
from controller.site import StationId

FOREIGN_TRANSACTIONS = "FOREIGN_TRANSACTIONS"
TOLERATED = 4
"""A station that lost its memory, or was somebody else's before, may end a few that we never saw."""
QUIET_S = 600.0
"""The condition ends after so long without another. [s]"""


@dataclass(slots=True)
class _Count:
    messages: int
    latest_s: float


class Strays:
    """Counts per station. Bounded by the stations of the site."""

    def __init__(self, *, conditions: ConditionSink, clock: Clock) -> None:
        """Report to `conditions`."""
        self._conditions = conditions
        self._clock = clock
        self._counts: dict[StationId, _Count] = {}

    def note(self, station: StationId) -> None:
        """Count one message about a transaction that the station never had here."""
        now_s = self._clock.monotonic_s()
        count = self._counts.setdefault(station, _Count(messages=0, latest_s=now_s))
        count.messages += 1
        count.latest_s = now_s
        if count.messages <= TOLERATED:
            return
        self._conditions.begin(
            Condition(
                code=FOREIGN_TRANSACTIONS,
                subject=station,
                text=f"{station} speaks of {count.messages} transactions that are not its own. They "
                "change nothing at other stations. Look at its log of frames; a station that does "
                "this on purpose needs a new password.",
                severity=Severity.ALARM,
                values={"messages": f"{count.messages}"},
            )
        )

    def expire(self) -> None:
        """End what has not gone on; called now and then."""
        now_s = self._clock.monotonic_s()
        for station, count in list(self._counts.items()):
            if now_s - count.latest_s > QUIET_S:
                del self._counts[station]
                self._conditions.end(FOREIGN_TRANSACTIONS, station)
