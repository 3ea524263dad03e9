"""Brings approved stations into the site file of the running controller, as any other change."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, assert_never

from controller.care import Approval
from controller.configuration import (
    Changed,
    ChangeRefused,
    Configuration,
    Proposal,
    RefusalKind,
    Review,
)
from controller.site import StationId

WAIT_S: Final = 20.0
"""A change made just before is on trial; so long an approval waits for its end. [s]"""
LOOK_S: Final = 0.2
_BY_HAND: Final = frozenset({RefusalKind.FILE_LOCKED, RefusalKind.NOT_KEPT})
PROBLEMS_TOLD: Final = 3


class SiteEntries:
    """Implements `SiteFileWriter`: checked by all rules, versioned, audited, on trial like every change."""

    def __init__(self, configuration: Configuration) -> None:
        """Write through the configuration."""
        self._configuration = configuration

    async def add(self, station: StationId, approval: Approval, actor: str) -> bool:
        """Write a station's entry and put it in force; see `SiteFileWriter`."""
        waited_s = 0.0
        while True:
            result = await self._configuration.change(
                await self._proposal(station, approval, actor)
            )
            match result:
                case Changed():
                    return True
                case Review(problems=problems):
                    told = "; ".join(f"{p.path}: {p.text}" for p in problems[:PROBLEMS_TOLD])
                    raise ValueError(f"with {station} the site file is not valid: {told}")
                case ChangeRefused(kind=RefusalKind.ON_TRIAL) if waited_s < WAIT_S:
                    await asyncio.sleep(LOOK_S)
                    waited_s += LOOK_S
                case ChangeRefused(kind=kind) if kind in _BY_HAND:
                    return False
                case ChangeRefused(text=text, mend=mend):
                    raise ValueError(f"{text} {mend}")
                case _:
                    assert_never(result)

    async def _proposal(self, station: StationId, approval: Approval, actor: str) -> Proposal:
        data = dict((await self._configuration.current()).data)
        stations = data.get("stations")
        known = dict(stations) if isinstance(stations, Mapping) else {}
        data["stations"] = {**known, station: approval.site_file_entry()}
        return Proposal(data=data, actor=actor, note=f"{station} approved")
