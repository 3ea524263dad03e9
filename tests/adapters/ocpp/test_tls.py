"""Security profiles 2 and 3 on real sockets: certificates, suites, binding, renewal, downgrade."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidMessage, InvalidStatus

from adapters.ocpp.server import ListenError
from adapters.ocpp.server_certificates import ServerCertificates
from adapters.ocpp.settings import KeyPair, Listener, TlsFiles
from adapters.pki.authority import Authority
from controller.access import StationSecurity
from controller.decision import Severity
from controller.site import StationId
from tests.adapters.ocpp.rig import PASSWORD, Rig, a_server, basic, until
from tests.fakes.desk import RecordingConditions, SystemClock

NOW = datetime.now(UTC)
REFUSED = (ssl.SSLError, ConnectionError, InvalidMessage)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("pki"))
    made.init("Depot Nord", NOW)
    made.issue_server(["localhost", "127.0.0.1"], NOW)
    return made


def files_of(authority: Authority, **changes: Any) -> TlsFiles:
    pairs = tuple(KeyPair(certificate=i.certificate, key=i.key) for i in authority.server())
    known = {
        "pairs": pairs,
        "client_ca": authority.bundle,
        "organisation": authority.organisation(),
    }
    return TlsFiles(**known | changes)


def trusting(
    authority: Authority, station: str | None = None, kind: str = "ecdsa"
) -> ssl.SSLContext:
    """Build a station's side: trusts the authority, and shows a certificate where it has one."""
    context = ssl.create_default_context(cafile=str(authority.bundle))
    if station is not None:
        issued = authority.issue_station(station, datetime.now(UTC), kind=kind)
        context.load_cert_chain(issued.certificate, issued.key)
    return context


async def status(
    port: int,
    context: ssl.SSLContext | None,
    *,
    station: str = "CP001",
    password: str | None = PASSWORD,
) -> int:
    scheme = "ws" if context is None else "wss"
    try:
        client = await connect(
            f"{scheme}://127.0.0.1:{port}/{station}",
            subprotocols=["ocpp1.6"],  # type: ignore[list-item]
            additional_headers={} if password is None else basic(station, password),
            ssl=context,
            proxy=None,
            close_timeout=0.5,
        )
    except InvalidStatus as refused:
        return int(refused.response.status_code)
    await client.close()
    return 101


@asynccontextmanager
async def three_listeners(authority: Authority, **changes: Any) -> AsyncIterator[Rig]:
    """Serve profile 1, 2 and 3 on ports of their own."""
    also = tuple(Listener(host="127.0.0.1", port=0, security_profile=p) for p in (2, 3))
    async with a_server(also=also, tls=files_of(authority, **changes)) as rig:
        yield rig


def play(authority: Authority, scene: Callable[[Rig], Awaitable[None]], **changes: Any) -> None:
    async def run() -> None:
        async with three_listeners(authority, **changes) as rig:
            await scene(rig)

    asyncio.run(run())


def test_each_listener_takes_its_own_profile_and_nothing_less(authority: Authority) -> None:
    async def scene(rig: Rig) -> None:
        plain, tls, mutual = rig.server.ports
        anonymous = trusting(authority)

        assert await status(plain, None) == 101
        assert await status(tls, anonymous) == 101
        assert await status(tls, anonymous, password=None) == 401
        assert await status(mutual, trusting(authority, "CP002"), station="CP002") == 101
        with pytest.raises(REFUSED):
            await status(mutual, anonymous)
        with pytest.raises((*REFUSED, EOFError, InvalidMessage)):
            await status(tls, None)

    play(authority, scene)


@pytest.mark.parametrize("kind", ["ecdsa", "rsa"])
def test_a_certificate_proves_only_its_own_station(authority: Authority, kind: str) -> None:
    async def scene(rig: Rig) -> None:
        mutual = rig.server.ports[2]
        context = trusting(authority, "CP001", kind)

        assert await status(mutual, context, password=None) == 101
        assert await status(mutual, context, station="CP002", password=PASSWORD) == 403
        condition = rig.conditions.in_force["WRONG_CERTIFICATE", "CP002"]
        assert "certificate is for CP001" in condition.text
        assert "wattkeeper ca issue CP002" in condition.text

    play(authority, scene)


def test_a_bound_name_proves_a_station_and_a_revocation_ends_it(authority: Authority) -> None:
    async def scene(rig: Rig) -> None:
        mutual = rig.server.ports[2]
        context = trusting(authority, "SERIAL-77")
        cp001 = StationId("CP001")
        rig.secrets.security[cp001] = StationSecurity(certificate_name="SERIAL-77")

        assert await status(mutual, context) == 101
        rig.secrets.security[cp001] = StationSecurity(
            certificate_name="SERIAL-77", certificates_from=datetime.now(UTC) + timedelta(hours=1)
        )
        assert await status(mutual, context) == 403

    play(authority, scene)


def test_a_certificate_of_another_operator_is_refused(authority: Authority) -> None:
    async def scene(rig: Rig) -> None:
        assert await status(rig.server.ports[2], trusting(authority, "CP001")) == 403
        assert "organisation" in rig.conditions.in_force["WRONG_CERTIFICATE", "CP001"].text

    play(authority, scene, organisation="Somebody else")


def test_a_certificate_of_another_authority_ends_the_handshake(
    authority: Authority, tmp_path: Path
) -> None:
    stranger = Authority(tmp_path / "other")
    stranger.init("Depot Nord", NOW)
    issued = stranger.issue_station("CP001", NOW)

    async def scene(rig: Rig) -> None:
        context = trusting(authority)
        context.load_cert_chain(issued.certificate, issued.key)
        with pytest.raises(REFUSED):
            await status(rig.server.ports[2], context)
        assert rig.dialects == []

    play(authority, scene)


SUITES = [
    ("ECDHE-ECDSA-AES128-GCM-SHA256", 101),
    ("ECDHE-ECDSA-AES256-GCM-SHA384", 101),
    ("ECDHE-RSA-AES128-GCM-SHA256", 101),
    ("AES128-GCM-SHA256", 101),
    ("AES256-GCM-SHA384", 101),
    ("ECDHE-RSA-AES128-SHA", None),
    ("AES128-SHA", None),
]
"""The four of OCPP 2.0.1 A00.FR.318, one more, and two that must not be had."""


@pytest.mark.parametrize(("suite", "expected"), SUITES)
def test_the_suites_that_chargers_need(
    authority: Authority, suite: str, expected: int | None
) -> None:
    async def scene(rig: Rig) -> None:
        context = trusting(authority)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(suite)
        if expected is None:
            with pytest.raises(REFUSED):
                await status(rig.server.ports[1], context)
        else:
            assert await status(rig.server.ports[1], context) == expected

    play(authority, scene)


def test_rsa_key_exchange_can_be_switched_off_and_is_the_last_choice(authority: Authority) -> None:
    async def negotiated(rig: Rig, suites: str) -> str:
        context = trusting(authority)
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(suites)
        _, writer = await asyncio.open_connection("127.0.0.1", rig.server.ports[1], ssl=context)
        cipher = writer.get_extra_info("cipher")[0]
        writer.transport.abort()
        return str(cipher)

    async def offered(rig: Rig) -> None:
        both = "AES256-GCM-SHA384:ECDHE-RSA-AES128-GCM-SHA256"
        assert await negotiated(rig, both) == "ECDHE-RSA-AES128-GCM-SHA256"

    async def not_offered(rig: Rig) -> None:
        with pytest.raises(REFUSED):
            await negotiated(rig, "AES256-GCM-SHA384")

    play(authority, offered)
    play(authority, not_offered, rsa_key_exchange=False)


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion.TLSv1_1 is deprecated")
def test_nothing_below_tls_1_2(authority: Authority) -> None:
    async def scene(rig: Rig) -> None:
        context = trusting(authority)
        context.minimum_version = ssl.TLSVersion.TLSv1_1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
        context.set_ciphers("ALL:@SECLEVEL=0")
        with pytest.raises(REFUSED):
            await status(rig.server.ports[1], context)

    play(authority, scene)


def test_a_station_never_falls_back_to_less_protection(authority: Authority) -> None:
    async def scene(rig: Rig) -> None:
        plain, tls, mutual = rig.server.ports
        assert await status(mutual, trusting(authority, "CP001")) == 101
        await until(lambda: rig.secrets.security)

        assert await status(tls, trusting(authority)) == 403
        assert await status(plain, None) == 403
        assert await status(plain, None, station="CP003") == 101
        condition = rig.conditions.in_force["SECURITY_DOWNGRADE", "CP001"]
        assert "wattkeeper station profile CP001 2" in condition.text

    play(authority, scene)


def test_a_site_that_offers_less_than_before_has_said_so_and_is_obeyed(
    authority: Authority,
) -> None:
    async def run() -> None:
        async with a_server() as rig:
            rig.secrets.security[StationId("CP001")] = StationSecurity(least_profile=3)

            assert await rig.status_of() == 101

    asyncio.run(run())


def test_a_renewed_certificate_is_used_without_a_restart(tmp_path: Path) -> None:
    own = Authority(tmp_path / "pki")
    own.init("Depot Nord", NOW)
    own.issue_server(["127.0.0.1"], NOW - timedelta(days=390))

    async def scene(rig: Rig) -> None:
        tls = rig.server.ports[1]
        before = await certificate_of(tls, own)
        certificates = rig.server._certificates
        assert own.renew_server(NOW)
        certificates.watch()

        assert await certificate_of(tls, own) != before
        assert await status(tls, trusting(own)) == 101
        assert await status(rig.server.ports[2], trusting(own, "CP002"), station="CP002") == 101

    play(own, scene)


async def certificate_of(port: int, authority: Authority) -> bytes:
    context = trusting(authority)
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    assert isinstance(der, bytes)
    return der


def test_a_bad_new_certificate_leaves_the_old_one_in_use_and_is_an_alarm(tmp_path: Path) -> None:
    own = Authority(tmp_path / "pki")
    own.init("Depot Nord", NOW)
    (first, _) = own.issue_server(["127.0.0.1"], NOW)

    async def scene(rig: Rig) -> None:
        good = first.certificate.read_bytes()
        first.certificate.write_text("nonsense")
        rig.server._certificates.watch()

        assert await status(rig.server.ports[1], trusting(own)) == 101
        bad = rig.conditions.in_force["TLS_CERTIFICATE_BAD", "ocpp"]
        assert str(first.certificate) in bad.text
        first.certificate.write_bytes(good)
        rig.server._certificates.watch()
        assert ("TLS_CERTIFICATE_BAD", "ocpp") not in rig.conditions.in_force

    play(own, scene)


@pytest.mark.parametrize(
    ("days_left", "expected"),
    [(31, None), (29, Severity.WARNING), (6, Severity.ALARM), (-1, Severity.ALARM)],
)
def test_the_end_of_a_certificate_is_told_in_time(
    authority: Authority, days_left: int, expected: Severity | None
) -> None:
    end = min(i.not_after for i in authority.server())

    class Clock(SystemClock):
        def now(self) -> datetime:
            return end - timedelta(days=days_left, hours=-1)

    conditions = RecordingConditions()
    certificates = ServerCertificates(conditions=conditions, clock=Clock())
    certificates.add(files_of(authority), asks_for_certificate=False)
    certificates.watch()
    told = conditions.in_force.get(("TLS_CERTIFICATE_ENDS", "ocpp"))

    assert (told.severity if told else None) is expected


BROKEN: list[tuple[str, Callable[[TlsFiles, Path], TlsFiles], str]] = [
    ("missing", lambda f, d: _replaced(f, d / "none.pem", f.pairs[0].key), "cannot be read"),
    ("mismatch", lambda f, d: _replaced(f, f.pairs[0].certificate, f.pairs[1].key), "belong"),
    ("no authority", lambda f, d: TlsFiles(pairs=f.pairs), "client_ca"),
    ("none", lambda f, d: TlsFiles(pairs=()), "wattkeeper ca init"),
]


def _replaced(files: TlsFiles, certificate: Path, key: Path) -> TlsFiles:
    return TlsFiles(pairs=(KeyPair(certificate=certificate, key=key),), client_ca=files.client_ca)


@pytest.mark.parametrize(("name", "broken", "expected"), BROKEN)
def test_what_cannot_be_used_is_said_at_start(
    authority: Authority,
    tmp_path: Path,
    name: str,
    broken: Callable[[TlsFiles, Path], TlsFiles],
    expected: str,
) -> None:
    async def run() -> None:
        with pytest.raises(ListenError, match=expected):
            async with a_server(security_profile=3, tls=broken(files_of(authority), tmp_path)):
                pass

    asyncio.run(run())


def test_half_open_tls_handshakes_keep_nobody_out_and_end(authority: Authority) -> None:
    async def run() -> None:
        async with a_server(security_profile=2, tls=files_of(authority), open_timeout_s=1.0) as rig:
            idle = [await asyncio.open_connection("127.0.0.1", rig.server.port) for _ in range(50)]
            assert await status(rig.server.port, trusting(authority)) == 101
            for reader, writer in idle:
                assert await asyncio.wait_for(reader.read(), 5.0) == b""
                writer.close()

    asyncio.run(run())
