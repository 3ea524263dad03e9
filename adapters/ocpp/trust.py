"""Whether a station's leases may be relied on after its firmware changed.

What a drill has shown belongs to a model and firmware. A station that comes back with another one is
given leases as before, for they protect the site if it keeps them; but as long as no drill has shown
that it does, its full rating counts while it is out of reach (facts/faults.md 6).
"""

from __future__ import annotations

from collections.abc import Mapping
from math import inf
from typing import Any, Final

from adapters.ocpp.book import MODEL, READY, StationBook, model_key
from adapters.ocpp.capabilities import Capabilities
from controller.decision import Severity
from controller.site import StationId
from controller.station import StationInfo

FIRMWARE: Final = "station_firmware"
"""Kind of the document that holds what a station was last known with."""
LEASE_UNPROVEN: Final = "LEASE_UNPROVEN"


class FirmwareTrust:
    """Of one connection; what it knows is kept over connections and restarts."""

    def __init__(
        self, station: StationId, *, book: StationBook, capabilities: Capabilities
    ) -> None:
        self._station = station
        self._book = book
        self._capabilities = capabilities
        self._key = ""
        """Model and firmware that the station runs; empty: not known yet."""

    async def booted(self, info: StationInfo) -> None:
        """Judge by a BootNotification; what is known about the model is already in place."""
        known = await self._known()
        if known is not None and not info.firmware:
            await self.recalled()  # it does not say: nothing to judge by
            return
        self._key = model_key(info)
        is_doubted = known is not None and (
            known["key"] != self._key or known.get("is_doubted") is True
        )
        is_doubted = is_doubted and self._capabilities.holds_lease is None
        before = _firmware(known) if known is not None else ""
        if known is not None and known["key"] == self._key:
            before = str(known.get("before", ""))
        await self._judge(is_doubted, before=before)

    async def recalled(self) -> None:
        """Take over what was judged before, at a station that does not boot on this connection."""
        known = await self._known()
        if known is None:
            return
        self._key = str(known["key"])
        learned = await self._book.kept(MODEL, self._key) or {}
        is_doubted = known.get("is_doubted") is True and learned.get("holds_lease") is None
        await self._judge(is_doubted, before=str(known.get("before", "")))

    @property
    def shown(self) -> bool | None:
        """What a drill at another station of this model and firmware has shown since; None: none."""
        return self._book.drilled.get(self._key) if self._capabilities.is_doubted else None

    async def settle(self) -> None:
        """End the doubt: a drill has shown whether it keeps leases."""
        await self._judge(False, before="")

    async def _known(self) -> Mapping[str, Any] | None:
        """Return what the station was last known with; None: it was never here."""
        known = await self._book.kept(FIRMWARE, self._station)
        if isinstance(known, dict) and isinstance(known.get("key"), str):
            return known
        mark = await self._book.kept(READY, self._station)
        if isinstance(mark, dict) and len(mark.get("model", ())) == 4:
            vendor, model, serial, firmware = mark["model"]
            info = StationInfo(vendor=vendor, model=model, serial=serial, firmware=firmware)
            return {"key": model_key(info)}
        return None

    async def _judge(self, is_doubted: bool, *, before: str) -> None:
        self._capabilities.is_doubted = is_doubted
        after = {"key": self._key, "is_doubted": is_doubted, "before": before}
        if await self._book.kept(FIRMWARE, self._station) != after:
            await self._book.keep(FIRMWARE, self._station, after)
        if not is_doubted:
            self._book.end(LEASE_UNPROVEN, self._station)
            return
        values = {"firmware": _firmware(after) or "?", "before": before or "?"}
        self._book.begin(
            LEASE_UNPROVEN,
            self._station,
            f"{self._station} came back with firmware {values['firmware']} (it was {values['before']}). "
            "Whether it still falls back by itself is not shown: its full rating is reserved while it is "
            "unreachable. Run the fallback drill at it, or at another one of its model and firmware.",
            severity=Severity.INFO,
            lasts_s=inf,
            values=values,
        )


def _firmware(known: Mapping[str, Any]) -> str:
    return str(known["key"]).rpartition("|")[2]


__all__ = ["FIRMWARE", "LEASE_UNPROVEN", "FirmwareTrust"]
