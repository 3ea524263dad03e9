"""What is known about stations beyond one connection: documents, conditions, extensions.

One book serves all connections of a server. Without a store it remembers in memory only.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from adapters.ocpp.notices import Notices
from adapters.ocpp.pace import SetUpPace
from adapters.ocpp.quirks import Catalogue, Quirks
from controller.decision import Condition, Severity
from controller.desired import DesiredConfiguration
from controller.ports import Clock, ConditionSink
from controller.roaming import Document, DocumentStore
from controller.site import StationId
from controller.station import StationInfo

Extension = Callable[[StationId, dict[str, Any]], Awaitable[dict[str, Any]]]
"""Answers one kind of CALL in place of the built-in handler."""

DAY_S: Final = 86_400.0
VARIABLES: Final = "station_variables"
MONITORS: Final = "station_monitors"
PROFILES: Final = "station_profiles"
CUSTOMERS: Final = "station_customer_information"
MESSAGES: Final = "station_display_messages"
READY: Final = "station_ready"
SIGNED: Final = "signed_meter_value"
MODEL: Final = "charger_model"
DESIRED: Final = "station_desired"
RESERVATION: Final = "reservation"
DATA_TRANSFER: Final = "data_transfer"


def model_key(info: StationInfo) -> str:
    """Return the key of what is known about a model with a firmware."""
    return "|".join((info.vendor, info.model, info.firmware))


class _NoSink:
    """Conditions nobody looks at."""

    def begin(self, condition: Condition) -> None:
        """Ignore it."""

    def end(self, code: str, subject: str) -> None:
        """Ignore it."""


@dataclass(slots=True, kw_only=True)
class StationBook:
    """Shared by all connections."""

    clock: Clock
    documents: DocumentStore | None = None
    sink: ConditionSink = field(default_factory=_NoSink)
    catalogue: Catalogue = field(default_factory=Catalogue)
    extensions: dict[str, Extension] = field(default_factory=dict)
    data_transfers: dict[str, Extension] = field(default_factory=dict)
    """Allow-list: vendor id, or `vendor id/message id`, to what answers it."""
    accepted_vendors: frozenset[str] = frozenset()
    """Vendor ids of the site file: their messages are accepted, and the latest of each is kept."""
    desired: Mapping[StationId, DesiredConfiguration] = field(default_factory=dict)
    """Desired configuration per station, from the site file."""
    pending_boots: bool = True
    """Whether a brand-new station is answered Pending until its fallback lies."""
    pended: set[StationId] = field(default_factory=set)
    """Stations that were answered Pending once and have not been accepted since."""
    drilled: dict[str, bool] = field(default_factory=dict)
    """Model and firmware, to whether a drill of this run has seen its lease end."""
    pace: SetUpPace = field(default_factory=SetUpPace)
    """Of all stations together."""
    _notices: Notices = field(init=False)
    _kept: dict[tuple[str, str], str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Report conditions bounded in number."""
        self._notices = Notices(sink=self.sink, clock=self.clock)

    # --- documents

    async def keep(self, kind: str, key: str, body: Any) -> None:
        """Keep a document, durably where there is a store."""
        text = json.dumps(body, separators=(",", ":"))
        if self.documents is None:
            self._kept[kind, key] = text
            return
        document = Document(kind=kind, key=key, body=text, updated_at=self.clock.now())
        await self.documents.put_document(document)

    async def kept(self, kind: str, key: str) -> Any | None:
        """Return a document; None: there is none, or it is damaged."""
        if self.documents is None:
            text = self._kept.get((kind, key))
        else:
            document = await self.documents.document(kind, key)
            text = document.body if document is not None else None
        try:
            return None if text is None else json.loads(text)
        except ValueError:
            return None

    # --- conditions

    def begin(
        self,
        code: str,
        subject: str,
        text: str,
        *,
        severity: Severity,
        lasts_s: float = DAY_S,
        values: Mapping[str, str] | None = None,
    ) -> None:
        """Begin or prolong a condition; it ends on request, with age or by number."""
        self._notices.begin(code, subject, text, severity=severity, lasts_s=lasts_s, values=values)

    def end(self, code: str, subject: str) -> None:
        """End a condition."""
        self._notices.end(code, subject)

    def expire(self) -> None:
        """End conditions that were not prolonged."""
        self._notices.expire()

    # --- models

    def quirks_of(self, vendor: str, model: str, firmware: str) -> Quirks:
        """Return what is known about a model before talking to it."""
        return self.catalogue.quirks_of(vendor=vendor, model=model, firmware=firmware)
