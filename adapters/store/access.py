"""How stations may connect: their rows."""

from __future__ import annotations

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.sqlite import insert

from adapters.store.accounts import set_station_digest
from adapters.store.schema import station_security as table
from adapters.store.schema import stations
from controller.access import StationSecurity
from controller.site import StationId


def find_security(connection: Connection, station: StationId) -> StationSecurity:
    """Return what holds for a station; the defaults for an unknown one."""
    row = connection.execute(select(table).where(table.c.station == station)).one_or_none()
    if row is None:
        return StationSecurity()
    return StationSecurity(
        least_profile=row.least_profile,
        certificate_name=row.certificate_name,
        certificates_from=row.certificates_from,
        has_new_secret=row.new_digest is not None,
    )


def put_security(connection: Connection, station: StationId, security: StationSecurity) -> None:
    """Insert or replace; a new password that waits stays."""
    values = {
        "least_profile": security.least_profile,
        "certificate_name": security.certificate_name,
        "certificates_from": security.certificates_from,
    }
    connection.execute(
        insert(table)
        .values(station=station, **values)
        .on_conflict_do_update(index_elements=[table.c.station], set_=values)
    )


def digests(connection: Connection, station: StationId) -> tuple[str | None, str | None]:
    """Return the digests of the password in use and of the one that waits to be used."""
    in_use = connection.execute(
        select(stations.c.secret_digest).where(stations.c.id == station)
    ).scalar_one_or_none()
    new = connection.execute(
        select(table.c.new_digest).where(table.c.station == station)
    ).scalar_one_or_none()
    return in_use, new


def propose_digest(connection: Connection, station: StationId, digest: str | None) -> None:
    """Keep the digest of a new password, or forget it."""
    connection.execute(
        insert(table)
        .values(station=station, new_digest=digest)
        .on_conflict_do_update(index_elements=[table.c.station], set_={"new_digest": digest})
    )


def promote_digest(connection: Connection, station: StationId, digest: str) -> None:
    """Put the new password in the place of the old one, if it is still the one that waits."""
    promoted = connection.execute(
        update(table)
        .where(table.c.station == station, table.c.new_digest == digest)
        .values(new_digest=None)
    )
    if promoted.rowcount:
        set_station_digest(connection, station, digest)
