"""The page over https, with cookies and headers that fit."""

from __future__ import annotations

import datetime as dt
import ssl
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapters.http.server import ListenError
from tests.adapters.http.conftest import PASSWORD, Rig


def a_certificate(folder: Path) -> tuple[Path, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    paths = folder / "page.pem", folder / "page.key"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths


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
