"""`wattkeeper ca ...`, `wattkeeper station certificate` and `wattkeeper station profile`."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from cryptography.hazmat.primitives import hashes

from adapters.cli.accounts import opened_store
from adapters.cli.options import DEFAULT_SITE
from adapters.cli.settings import passphrase
from adapters.cli.site_store import opened_site
from adapters.config.loader import SiteFile
from adapters.pki.authority import KINDS, Authority, Issued, own_hosts
from adapters.pki.files import PkiError, read_certificate
from controller.access import StationSecurity
from controller.site import StationId

ca = typer.Typer(help="The site's own certificate authority.", no_args_is_help=True)

SiteOption = Annotated[
    Path,
    typer.Option("--site", envvar="WATTKEEPER_SITE", help="The site file that names the folder."),
]
HostOption = Annotated[
    list[str] | None,
    typer.Option("--host", help="Name or address by which stations reach this server; repeat."),
]


@ca.command("init")
def init(
    organisation: Annotated[
        str | None, typer.Option(help="Operator's name in certificates; default: the site's name.")
    ] = None,
    host: HostOption = None,
    site: SiteOption = DEFAULT_SITE,
) -> None:
    """Make an authority and this server's certificates, one RSA and one ECDSA."""
    file, authority = _opened(site)
    with _reported():
        authority.init(organisation or file.site.name[:64], _now())
        issued = authority.issue_server(host or _own_hosts(), _now())
    typer.echo(f"The authority is in {authority.bundle.parent}. Keep its keys (ca-*.key) secret.")
    for kind in KINDS:
        path = authority.bundle.with_name(f"ca-{kind}.pem")
        typer.echo(f"  install in stations   {path}  ({kind.upper()})")
        typer.echo(f"  SHA-256 fingerprint   {_fingerprint(path)}")
    _show_server(issued)
    typer.echo("Set ocpp.security_profile to 2 (password) or 3 (client certificate).")


@ca.command("renew")
def renew(host: HostOption = None, site: SiteOption = DEFAULT_SITE) -> None:
    """Issue this server's certificates anew; a running controller takes them at once."""
    _, authority = _opened(site)
    with _reported():
        if host:
            authority.issue_server(host, _now())
        elif not authority.renew_server(_now(), before=timedelta.max):
            authority.issue_server(_own_hosts(), _now())
        _show_server(authority.server())


@ca.command("issue")
def issue(
    station_id: str,
    csr: Annotated[
        Path | None, typer.Option(help="Sign this request (PEM) instead of making a key.")
    ] = None,
    kind: Annotated[str, typer.Option(help="Of the key: ecdsa or rsa.")] = "ecdsa",
    site: SiteOption = DEFAULT_SITE,
) -> None:
    """Issue a station's certificate for security profile 3."""
    file, authority = _opened(site)
    _require_station(file, station_id)
    if kind not in KINDS:
        _fail(f"There is no kind {kind}. Choose {' or '.join(KINDS)}.")
    with _reported():
        if csr is None:
            issued = authority.issue_station(station_id, _now(), kind=kind)
            typer.echo(f"certificate   {issued.certificate}")
            typer.echo(f"key           {issued.key}  (install it in the station, then delete it)")
            typer.echo(f"valid until   {issued.not_after:%Y-%m-%d}")
            return
        typer.echo(authority.sign(_text(csr), station_id, frozenset(), _now()), nl=False)


def station_certificate(
    station_id: str,
    bind: Annotated[
        str | None,
        typer.Option(help="Accept this name (CN or SAN), such as a serial number, as the station."),
    ] = None,
    revoke: Annotated[
        bool, typer.Option("--revoke", help="Refuse all its certificates issued until now.")
    ] = False,
    site: SiteOption = DEFAULT_SITE,
) -> None:
    """Say which client certificates prove a station; without options, show it."""

    def changed(before: StationSecurity) -> StationSecurity:
        after = before
        if bind is not None:
            after = replace(after, certificate_name=bind or None)
        if revoke:
            after = replace(after, certificates_from=_now().replace(microsecond=0))
        return after

    security = asyncio.run(_change(site, StationId(station_id), changed))
    names = [station_id, *filter(None, [security.certificate_name])]
    typer.echo(f"{station_id}: its certificate names {' or '.join(names)}.")
    if security.certificates_from is not None:
        typer.echo(f"Certificates from before {security.certificates_from:%F %T} UTC are refused.")


def station_profile(
    station_id: str,
    least: Annotated[int, typer.Argument(min=0, max=3, help="Security profile.")],
    site: SiteOption = DEFAULT_SITE,
) -> None:
    """Allow a station to connect with a lower security profile than it has used before."""
    asyncio.run(
        _change(site, StationId(station_id), lambda before: replace(before, least_profile=least))
    )
    typer.echo(f"{station_id} may connect with security profile {least} and above.")


async def _change(
    site: Path, station: StationId, changed: Callable[[StationSecurity], StationSecurity]
) -> StationSecurity:
    async with opened_store(site, needs=station) as store:
        before = await store.station_security(station)
        after = changed(before)
        if after != before:
            await store.save_station_security(station, after)
    return after


def _opened(site: Path) -> tuple[SiteFile, Authority]:
    file = opened_site(site)
    if file is None:
        raise typer.Exit(2)
    return file, Authority(file.ocpp.tls.folder, passphrase=passphrase())


@contextmanager
def _reported() -> Iterator[None]:
    """Print what the authority cannot do, and exit with 1."""
    try:
        yield
    except PkiError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None


def _fail(text: str) -> None:
    typer.echo(text, err=True)
    raise typer.Exit(2)


def _require_station(file: SiteFile, station_id: str) -> None:
    if station_id not in file.site.stations:
        known = ", ".join(list(file.site.stations)[:10])
        _fail(f"{file.file} has no station {station_id}. It has {known}.")


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except (OSError, UnicodeDecodeError) as error:
        raise PkiError(f"{path}: cannot be read as PEM text ({error}).") from error


def _show_server(issued: tuple[Issued, ...]) -> None:
    for one in issued:
        typer.echo(f"  server certificate    {one.certificate}  until {one.not_after:%Y-%m-%d}")


def _fingerprint(path: Path) -> str:
    return read_certificate(path).fingerprint(hashes.SHA256()).hex(":").upper()


def _own_hosts() -> tuple[str, ...]:
    """Return the names and addresses of this machine, the loopback ones last."""
    addresses = []
    with suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.connect(("192.0.2.1", 9))  # documentation address: no packet is sent
        addresses.append(str(probe.getsockname()[0]))
    name = socket.gethostname()
    return own_hosts((name, f"{name}.local"), (*addresses, "localhost", "127.0.0.1"))


def _now() -> datetime:
    return datetime.now(UTC)
