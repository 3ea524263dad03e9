"""Adoption, secrets and certificates over HTTP."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from controller.adoption import AdoptionDesk
from controller.care import (
    CertificateUse,
    LogKind,
    LogRequest,
    StationAnswer,
    StationCare,
    Stranger,
    Upload,
    UploadState,
)
from controller.commands import Applied, CommandResult, NotConnected, Rejected, TimedOut
from controller.records import Role
from controller.site import StationId
from tests.adapters.http.conftest import FakeClock, Rig, Site
from tests.fakes.control import FakeControl
from tests.fakes.memory_store import MemoryStore

APPROVAL = {"circuit": "main", "evses": [{"number": 1, "max_a": 16, "rotation": "STR"}]}
HASH = {
    "hash_algorithm": "SHA256",
    "issuer_name_hash": "aa",
    "issuer_key_hash": "bb",
    "serial_number": "1",
}


class Secrets:
    """A rotation that ends as it is told."""

    def __init__(self) -> None:
        self.result: CommandResult = Applied(self_expiring=False)

    async def rotate(self, station: StationId, actor: str) -> CommandResult:
        return self.result


class Certificates:
    """Stations that hold one authority's certificate."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def _answer(self, *asked: Any, **payload: Any) -> StationAnswer:
        self.asked.append(asked)
        return StationAnswer(result=Applied(self_expiring=False), payload=payload)

    async def installed(self, station: StationId, use: CertificateUse) -> StationAnswer:
        held = {"hashAlgorithm": "SHA256", "issuerNameHash": "aa", "issuerKeyHash": "bb"}
        return self._answer("installed", use, items=[{**held, "serialNumber": "1"}])

    async def install(
        self, station: StationId, use: CertificateUse, pem: str, actor: str
    ) -> StationAnswer:
        return self._answer("install", use, pem)

    async def delete(
        self, station: StationId, hash_data: Mapping[str, str], actor: str
    ) -> StationAnswer:
        return self._answer("delete", dict(hash_data))

    async def renew(self, station: StationId, actor: str) -> StationAnswer:
        return self._answer("renew")


class Scene:
    def __init__(self, rig: Rig) -> None:
        control, clock = FakeControl(), FakeClock()
        control.publish(now_s=clock.monotonic_s())
        snapshot = control.snapshot()
        assert snapshot is not None
        self.adoption = AdoptionDesk(site=snapshot.site, store=MemoryStore(), clock=clock)
        self.secrets, self.certificates = Secrets(), Certificates()
        care = StationCare(
            adoption=self.adoption, secrets=self.secrets, certificates=self.certificates
        )
        self.site: Site = rig.start(control=control, care=care)
        self.circuit = sorted(snapshot.site.circuits)[0]


@pytest.fixture
def scene(rig: Rig) -> Scene:
    return Scene(rig)


def a_stranger(identity: str = "NEW1") -> Stranger:
    return Stranger(
        identity=identity,
        peer="192.0.2.9",
        protocol="ocpp2.0.1",
        security_profile=2,
        has_password=True,
    )


def test_a_pending_station_is_shown_approved_with_a_secret_and_gone(scene: Scene) -> None:
    scene.adoption.note(a_stranger())
    client = scene.site.client(Role.OPERATOR)
    shown = client.get("/api/v1/stations?pending").json()
    adopted = client.post(
        "/api/v1/stations/NEW1/approve", json={**APPROVAL, "circuit": scene.circuit}
    )
    after = client.get("/api/v1/stations?pending").json()

    assert [(s["id"], s["configured"]) for s in shown["items"]] == [("NEW1", False)]
    assert shown["pending"][0]["address"] == "192.0.2.9"
    assert adopted.status_code == 200
    assert len(adopted.json()["secret"]) == 32
    assert adopted.json()["site_file"]["evses"]["1"]["rotation"] == "STR"
    assert (after["pending"], [a["id"] for a in after["approved"]]) == ([], ["NEW1"])
    assert adopted.json()["secret"] not in client.get("/api/v1/stations").text


def test_a_rejected_station_is_gone(scene: Scene) -> None:
    scene.adoption.note(a_stranger())
    client = scene.site.client(Role.OPERATOR)

    assert client.post("/api/v1/stations/NEW1/reject").status_code == 204
    assert client.get("/api/v1/stations?pending").json()["pending"] == []
    assert scene.site.client(Role.VIEWER).post("/api/v1/stations/X/reject").status_code == 403


@pytest.mark.parametrize(
    ("station", "changes", "status", "words"),
    [
        ("NEW1", {"circuit": "cellar"}, 422, "cellar"),
        ("CP001", {}, 409, "already"),
        ("NEW1", {"evses": [{"number": 1, "max_a": 16, "rotation": "XYZ"}]}, 409, "rotation"),
        ("NEW1", {"evses": []}, 422, "evses"),
    ],
)
def test_what_cannot_be_adopted_is_said(
    scene: Scene, station: str, changes: dict[str, Any], status: int, words: str
) -> None:
    body = {**APPROVAL, "circuit": scene.circuit, **changes}
    refused = scene.site.client(Role.OPERATOR).post(
        f"/api/v1/stations/{station}/approve", json=body
    )

    assert refused.status_code == status
    assert words in refused.text


@pytest.mark.parametrize(
    ("result", "status"),
    [
        (Applied(self_expiring=False), 200),
        (Rejected(reason="Rejected"), 409),
        (NotConnected(), 409),
        (TimedOut(), 504),
    ],
)
def test_a_rotation_tells_what_became_of_it(
    scene: Scene, result: CommandResult, status: int
) -> None:
    scene.secrets.result = result

    answer = scene.site.client(Role.ADMIN).post("/api/v1/stations/CP001/secret")

    assert answer.status_code == status
    assert scene.site.client(Role.ADMIN).post("/api/v1/stations/X/secret").status_code == 404


def test_certificates_are_listed_installed_deleted_and_renewed(scene: Scene) -> None:
    client = scene.site.client(Role.ADMIN)
    path = "/api/v1/stations/CP001/certificates"
    statuses = [
        client.post(path, json={"use": "csms_root", "certificate": "PEM"}).status_code,
        client.post(f"{path}/delete", json=HASH).status_code,
        client.post(f"{path}/renew").status_code,
    ]

    assert client.get(path).json() == {"items": [HASH]}
    assert statuses == [200, 200, 200]
    assert [a[0] for a in scene.certificates.asked] == ["install", "delete", "renew", "installed"]
    assert scene.certificates.asked[1][1]["issuerNameHash"] == "aa"


def test_a_controller_without_these_services_says_so(site: Site) -> None:
    refused = site.client(Role.ADMIN).post("/api/v1/stations/CP001/secret")

    assert refused.status_code == 503
    assert refused.json()["type"].endswith("not-offered")


# --- logs -------------------------------------------------------------------------------------------

FILE_ID = "0123456789abcdef"


class Logs:
    """One stored upload, and a station that answers as it is told."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE_ID
        self.path.write_bytes(b"<script>alert(1)</script>")
        self.answer = StationAnswer(result=Applied(self_expiring=False))
        now = datetime(2026, 3, 1, tzinfo=UTC)
        self.upload = Upload(
            id=FILE_ID,
            station=StationId("CP001"),
            kind=LogKind.DIAGNOSTICS,
            state=UploadState.STORED,
            requested_by="ada",
            requested_at=now,
            expires_at=now,
            name="log.html",
            size_bytes=25,
            stored_at=now,
        )

    async def request(
        self, station: StationId, request: LogRequest, actor: str
    ) -> tuple[Upload | None, StationAnswer]:
        is_asked = isinstance(self.answer.result, Applied)
        return (self.upload if is_asked else None), self.answer

    async def uploads(self, station: StationId | None) -> tuple[Upload, ...]:
        return (self.upload,) if station in (None, self.upload.station) else ()

    async def content(self, upload: str) -> tuple[Upload, str]:
        if upload != FILE_ID:
            raise KeyError(upload)
        return self.upload, str(self.path)


def a_site_with_logs(rig: Rig, folder: Path) -> tuple[Site, Logs]:
    scene = Scene(rig)
    logs = Logs(folder)
    care = StationCare(
        adoption=scene.adoption,
        secrets=scene.secrets,
        certificates=scene.certificates,
        logs=logs,
    )
    return rig.start(care=care), logs


def test_a_log_is_asked_for_listed_and_downloaded(rig: Rig, tmp_path: Path) -> None:
    site, _ = a_site_with_logs(rig, tmp_path)
    client = site.client(Role.OPERATOR)
    asked = client.post("/api/v1/stations/CP001/diagnostics", json={"kind": "security"})
    file = client.get(asked.json()["file"])

    assert asked.status_code == 202
    assert [u["id"] for u in client.get("/api/v1/uploads").json()["items"]] == [FILE_ID]
    assert client.get("/api/v1/uploads?station=CP002").json()["items"] == []
    assert file.content == b"<script>alert(1)</script>"
    assert file.headers["content-type"] == "application/octet-stream"
    assert "attachment" in file.headers["content-disposition"]
    assert file.headers["x-content-type-options"] == "nosniff"
    assert client.get("/api/v1/uploads/ffffffffffffffff/file").status_code == 404
    assert site.client(Role.VIEWER).get("/api/v1/uploads").status_code == 403


def test_a_refused_log_and_a_site_without_a_receiver_say_so(rig: Rig, tmp_path: Path) -> None:
    site, logs = a_site_with_logs(rig, tmp_path)
    logs.answer = StationAnswer(result=Rejected(reason="it has no diagnostics to send"))
    client = site.client(Role.OPERATOR)
    refused = client.post("/api/v1/stations/CP001/diagnostics")
    unknown = client.post("/api/v1/stations/NEW1/diagnostics")
    without = Scene(rig).site.client(Role.OPERATOR).get("/api/v1/uploads")

    assert (refused.status_code, unknown.status_code, without.status_code) == (409, 404, 503)
    assert "no diagnostics" in refused.json()["detail"]
    assert "uploads.listen" in without.json()["mend"]
