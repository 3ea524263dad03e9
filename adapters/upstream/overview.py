"""The lines as people are shown them: also of stations that have not connected since the start."""

from __future__ import annotations

from collections.abc import Sequence

from adapters.upstream.outbox import ids_query, queue_query
from adapters.upstream.profiles import profiles_query
from adapters.upstream.relay import Relay
from controller.roaming import DocumentStore, UpstreamLine
from controller.site import StationId


class LineOverview:
    """Implements `UpstreamStatus` from the relay and from what it keeps in the store."""

    def __init__(self, relay: Relay, documents: DocumentStore) -> None:
        self._relay = relay
        self._documents = documents

    async def lines(self, stations: Sequence[StationId]) -> tuple[UpstreamLine, ...]:
        """Return the lines of stations, in the order asked for."""
        return tuple([await self._line(s) for s in stations])

    async def _line(self, station: StationId) -> UpstreamLine:
        count = self._documents.count_documents
        running = self._relay.states().get(station)
        if running is None:
            running = (False, await count(queue_query(station)), "")
        is_connected, waiting, last_error = running
        return UpstreamLine(
            station=station,
            is_connected=is_connected,
            waiting=waiting,
            profiles=await count(profiles_query(station)),
            mapped_ids=await count(ids_query(station)),
            last_error=last_error,
        )
