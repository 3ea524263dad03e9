"""Which station is connected through which connection."""

from __future__ import annotations

from dataclasses import dataclass

from adapters.ocpp.dialect import Dialect
from adapters.ocpp.session import Session
from controller.site import StationId


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    """One registered connection."""

    station: StationId
    peer: str
    """Address it comes from."""
    local_host: str
    """Our address that it reached."""
    generation: int
    """Counts registrations; a later one of the same station is the true one."""
    session: Session
    dialect: Dialect


class Registry:
    """The newest link of each station. An older link that ends late changes nothing."""

    def __init__(self) -> None:
        self._links: dict[StationId, Link] = {}
        self._generation = 0

    def get(self, station: StationId) -> Link | None:
        """Return the link in use."""
        return self._links.get(station)

    def put(
        self,
        *,
        station: StationId,
        peer: str,
        local_host: str,
        session: Session,
        dialect: Dialect,
    ) -> Link:
        """Register a connection; the one it replaces is closed by the caller."""
        self._generation += 1
        link = Link(
            station=station,
            peer=peer,
            local_host=local_host,
            generation=self._generation,
            session=session,
            dialect=dialect,
        )
        self._links[station] = link
        return link

    def remove(self, link: Link) -> bool:
        """Take a link out; False when a newer one has replaced it."""
        current = self._links.get(link.station)
        if current is None or current.generation != link.generation:
            return False
        del self._links[link.station]
        return True

    def __len__(self) -> int:
        """Count connected stations."""
        return len(self._links)
