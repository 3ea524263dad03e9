"""Passwords and certificates of connected stations, over real sockets, both versions."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from websockets.asyncio.client import ClientConnection

from adapters.ocpp.certificates import CertificateDesk
from adapters.ocpp.lines import Lines
from adapters.ocpp.rotation import RotatingSecrets
from adapters.pki.authority import Authority
from controller.care import CertificateUse, Stranger
from controller.commands import Applied, NotConnected, Rejected
from controller.site import StationId
from tests.adapters.ocpp.rig import Rig, a_server, ask, until
from tests.adapters.pki.test_authority import a_request
from tests.fakes.desk import RecordingConditions, SystemClock
from tests.fakes.memory_store import MemoryStore

CP001 = StationId("CP001")
PROTOCOLS = ("ocpp1.6", "ocpp2.0.1")
Reply = Callable[[str, dict[str, Any]], dict[str, Any]]


class Station:
    """Answers every CALL by a function and keeps what it was asked."""

    def __init__(self, client: ClientConnection, reply: Reply) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self._client = client
        self._reply = reply
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async for message in self._client:
            frame = json.loads(message)
            if frame[0] == 2:
                self.calls.append((frame[2], frame[3]))
                await self._client.send(json.dumps([3, frame[1], self._reply(*frame[2:])]))


def accepting(action: str, payload: dict[str, Any]) -> dict[str, Any]:
    if action == "SetVariables":
        (item,) = payload["setVariableData"]
        rest = {k: item[k] for k in ("component", "variable")}
        return {"setVariableResult": [{**rest, "attributeStatus": "Accepted"}]}
    return {"status": "Accepted"}


def refusing(action: str, payload: dict[str, Any]) -> dict[str, Any]:
    answer = accepting(action, payload)
    if "setVariableResult" in answer:
        answer["setVariableResult"][0]["attributeStatus"] = "Rejected"
        return answer
    return {"status": "Rejected"}


# --- passwords --------------------------------------------------------------------------------------


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_new_password_counts_when_the_station_uses_it(protocol: str) -> None:
    async def run() -> None:
        lines, store = Lines(), MemoryStore()
        await store.set_station_secret(CP001, "old-old-old-old-old")
        secrets = RotatingSecrets(lines=lines, store=store, clock=SystemClock())
        async with a_server(extensions=[lines]) as rig:
            client = await rig.connect(protocols=[protocol])
            station = Station(client, accepting)
            await until(lambda: lines.get(CP001))
            assert await secrets.rotate(CP001, "ada") == Applied(self_expiring=False)
            ((_, payload),) = station.calls
            sent = payload.get("value") or payload["setVariableData"][0]["attributeValue"]

            assert len(sent) == 40
            assert await store.station_secret_matches(CP001, b"old-old-old-old-old")
            assert await store.station_secret_matches(CP001, bytes.fromhex(sent))
            assert not await store.station_secret_matches(CP001, b"old-old-old-old-old")
            assert all(sent not in frame.text for frame in rig.desk.frames)
            assert sent not in repr(await store.audit_log(limit=9, offset=0))
            await client.close()

    asyncio.run(run())


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_refused_password_is_forgotten(protocol: str) -> None:
    async def run() -> None:
        lines, store = Lines(), MemoryStore()
        secrets = RotatingSecrets(lines=lines, store=store, clock=SystemClock())
        async with a_server(extensions=[lines]) as rig:
            client = await rig.connect(protocols=[protocol])
            Station(client, refusing)
            await until(lambda: lines.get(CP001))

            assert isinstance(await secrets.rotate(CP001, "ada"), Rejected)
            assert not (await store.station_security(CP001)).has_new_secret
            await client.close()
            await until(lambda: lines.get(CP001) is None)
            assert await secrets.rotate(CP001, "ada") == NotConnected()

    asyncio.run(run())


# --- certificates -----------------------------------------------------------------------------------


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority(tmp_path)
    made.init("Depot Nord", datetime.now(UTC))
    return made


def a_desk(
    authority: Authority | None,
) -> tuple[Lines, CertificateDesk, RecordingConditions, MemoryStore]:
    lines, conditions, store = Lines(), RecordingConditions(), MemoryStore()
    desk = CertificateDesk(
        lines=lines, store=store, signer=authority, conditions=conditions, clock=SystemClock()
    )
    return lines, desk, conditions, store


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_stations_request_is_signed_and_the_certificate_follows(
    authority: Authority, protocol: str
) -> None:
    async def run() -> None:
        lines, desk, _, store = a_desk(authority)
        async with a_server(extensions=[lines, desk]) as rig:
            client = await rig.connect(protocols=[protocol])
            await until(lambda: lines.get(CP001))
            csr = a_request("CP001")
            answer = await ask(client, "SignCertificate", {"csr": csr})
            frame = json.loads(await asyncio.wait_for(client.recv(), 5))
            await client.send(json.dumps([3, frame[1], {"status": "Accepted"}]))
            leaf, _root = x509.load_pem_x509_certificates(frame[3]["certificateChain"].encode())

            assert answer[2] == {"status": "Accepted"}
            assert frame[2] == "CertificateSigned"
            assert leaf.subject.rfc4514_string() == "CN=CP001,O=Depot Nord"
            assert ("certificateType" in frame[3]) == (protocol == "ocpp2.0.1")
            (entry,) = await store.audit_log(limit=9, offset=0)
            assert entry.action == "station.certificate_signed"
            await client.close()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("csr", "reason"), [(a_request("CP002"), "not for CP001"), ("nonsense", "cannot be read")]
)
def test_an_unfit_request_is_refused_and_reported(
    authority: Authority, csr: str, reason: str
) -> None:
    async def run() -> None:
        lines, desk, conditions, _ = a_desk(authority)
        async with a_server(extensions=[lines, desk]) as rig:
            client = await rig.connect()
            answer = await ask(client, "SignCertificate", {"csr": csr})

            assert answer[2] == {"status": "Rejected"}
            assert reason in conditions.in_force["CERTIFICATE_NOT_ISSUED", "CP001"].text
            await client.close()

    asyncio.run(run())


def test_requests_are_limited_and_need_an_authority(authority: Authority) -> None:
    async def run(signer: Authority | None) -> list[str]:
        lines, desk, _, _ = a_desk(signer)
        async with a_server(extensions=[lines, desk]) as rig:
            client = await rig.connect()
            Station(client, accepting)
            statuses = []
            for _ in range(6):
                received = {"csr": a_request("CP001")}
                await until(lambda: lines.get(CP001))
                caller = lines.get(CP001)
                assert caller is not None
                answer = await desk.on_call(caller, "SignCertificate", received, None)  # type: ignore[arg-type]
                statuses.append(answer["status"])
                await asyncio.sleep(0.05)
            await client.close()
            return statuses

    assert asyncio.run(run(authority)) == ["Accepted"] * 4 + ["Rejected"] * 2
    assert set(asyncio.run(run(None))) == {"Rejected"}


HASH = {
    "hashAlgorithm": "SHA256",
    "issuerNameHash": "aa",
    "issuerKeyHash": "bb",
    "serialNumber": "1",
}


def holding(protocol: str) -> Reply:
    def reply(action: str, payload: dict[str, Any]) -> dict[str, Any]:
        if action != "GetInstalledCertificateIds":
            return {"status": "Accepted"}
        if protocol == "ocpp1.6":
            return {"status": "Accepted", "certificateHashData": [HASH]}
        chain = {"certificateType": "CSMSRootCertificate", "certificateHashData": HASH}
        return {"status": "Accepted", "certificateHashDataChain": [chain]}

    return reply


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_operators_install_list_delete_and_renew(authority: Authority, protocol: str) -> None:
    async def run() -> None:
        lines, desk, _, store = a_desk(authority)
        async with a_server(extensions=[lines, desk]) as rig:
            client = await rig.connect(protocols=[protocol])
            station = Station(client, holding(protocol))
            await until(lambda: lines.get(CP001))
            pem = authority.bundle.with_name("ca-ecdsa.pem").read_text()
            root = CertificateUse.CSMS_ROOT
            listed = await desk.installed(CP001, root)
            answers = [
                await desk.install(CP001, root, pem, "ada"),
                await desk.delete(CP001, HASH, "ada"),
                await desk.renew(CP001, "ada"),
            ]

            assert listed.payload == {"items": [HASH]}
            assert [type(a.result) for a in answers] == [Applied] * 3
            renewal = ("TriggerMessage", "SignChargingStationCertificate")
            if protocol == "ocpp1.6":
                renewal = ("ExtendedTriggerMessage", "SignChargePointCertificate")
            assert [name for name, _ in station.calls] == [
                "GetInstalledCertificateIds",
                "InstallCertificate",
                "DeleteCertificate",
                renewal[0],
            ]
            assert station.calls[-1][1] == {"requestedMessage": renewal[1]}
            assert len(await store.audit_log(limit=9, offset=0)) == 3
            await client.close()

    asyncio.run(run())


# --- strangers --------------------------------------------------------------------------------------


def test_a_stranger_is_told_of_and_not_let_in() -> None:
    async def run() -> None:
        told: list[Stranger] = []
        async with a_server(on_stranger=told.append) as rig:
            assert await rig.status_of("NEW1", password="typed-by-someone") == 404
            assert await rig.status_of("NEW2", protocols=["ocpp1.5"]) == 404
            assert rig.events(object) == []

        expected = Stranger(
            identity="NEW1",
            peer="127.0.0.1",
            protocol="ocpp1.6",
            security_profile=1,
            has_password=True,
        )
        assert told == [expected]
        assert replace(told[0], has_password=False) != expected

    asyncio.run(run())


def test_a_failing_extension_does_not_end_the_connection() -> None:
    class Broken(Lines):
        async def serve(self, caller: Any) -> None:
            raise RuntimeError("broken on purpose")

    async def run(rig_of: Callable[..., Any]) -> None:
        async with rig_of(extensions=[Broken()]) as rig:
            assert isinstance(rig, Rig)
            client = await rig.connect()
            await asyncio.sleep(0.05)

            assert (await ask(client, "Heartbeat", {}))[0] == 3
            await client.close()

    asyncio.run(run(a_server))
