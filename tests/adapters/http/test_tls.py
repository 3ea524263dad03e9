"""The page over https, with cookies and headers that fit."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest

from adapters.http.server import ListenError
from tests.adapters.http.conftest import PASSWORD, Rig
from tests.fakes.certificates import a_certificate


def test_over_https_cookies_are_secure_and_plain_http_is_forgotten(
    rig: Rig, tmp_path: Path
) -> None:
    tls = a_certificate(tmp_path)
    site = rig.start(tls=tls)
    trust = ssl.create_default_context(cafile=str(tls[0]))
    with httpx.Client(
        base_url=f"https://localhost:{site.server.port}", verify=trust, trust_env=False
    ) as client:
        answer = client.post("/api/v1/session", json={"name": "admin", "password": PASSWORD})

    assert answer.status_code == 200
    assert "Secure" in answer.headers["set-cookie"]
    assert answer.headers["strict-transport-security"].startswith("max-age=")
    with pytest.raises(httpx.HTTPError):
        site.client().get("/healthz")


def test_a_wrong_certificate_is_named_at_the_start(rig: Rig, tmp_path: Path) -> None:
    certificate, _ = a_certificate(tmp_path)

    with pytest.raises(ListenError, match=r"page\.pem"):
        rig.start(tls=(certificate, certificate))
