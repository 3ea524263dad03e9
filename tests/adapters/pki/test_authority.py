"""The own authority: what it issues, what it refuses, and who may read its files."""

from __future__ import annotations

import base64
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID

from adapters.pki.authority import Authority
from adapters.pki.files import PkiError
from adapters.pki.requests import MAX_CSR

NOW = datetime(2026, 3, 1, tzinfo=UTC)
SHORT = rsa.generate_private_key(65537, 1024)  # noqa: S505 - it must be refused


def tampered(request_pem: str) -> str:
    """Change the name in a request, which breaks its signature."""
    der = x509.load_pem_x509_csr(request_pem.encode()).public_bytes(serialization.Encoding.DER)
    changed = der.replace(b"CP003", b"CP001")
    text = base64.encodebytes(changed).decode()
    return f"-----BEGIN CERTIFICATE REQUEST-----\n{text}-----END CERTIFICATE REQUEST-----\n"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("pki"))
    made.init("Depot Nord", NOW)
    return made


def a_request(
    common_name: str | None = "CP001",
    key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey | None = None,
) -> str:
    names = [] if common_name is None else [x509.NameAttribute(NameOID.COMMON_NAME, common_name)]
    signer = key or ec.generate_private_key(ec.SECP256R1())
    algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(names))
    return request.sign(signer, algorithm).public_bytes(serialization.Encoding.PEM).decode()


def test_private_keys_are_for_their_owner_only(authority: Authority) -> None:
    authority.issue_server(["127.0.0.1"], NOW)
    authority.issue_station("CP001", NOW)
    folder = authority.bundle.parent
    keys = list(folder.rglob("*.key"))

    assert len(keys) == 5
    assert {stat.S_IMODE(k.stat().st_mode) for k in keys} == {0o600}
    assert list(folder.rglob(".*")) == []


@pytest.mark.parametrize(
    ("key", "root"),
    [
        (ec.generate_private_key(ec.SECP256R1()), "ca-ecdsa.pem"),
        (rsa.generate_private_key(65537, 2048), "ca-rsa.pem"),
    ],
)
def test_a_request_gets_a_chain_of_its_own_kind(
    authority: Authority, key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, root: str
) -> None:
    chain = authority.sign(a_request(key=key), "CP001", frozenset(), NOW).encode()
    leaf, issuer = x509.load_pem_x509_certificates(chain)

    assert issuer.public_bytes(serialization.Encoding.PEM) == (
        (authority.bundle.parent / root).read_bytes()
    )
    leaf.verify_directly_issued_by(issuer)
    assert leaf.subject.rfc4514_string() == "CN=CP001,O=Depot Nord"
    assert leaf.public_key() == key.public_key()
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_a_bound_name_may_stand_in_the_request_and_becomes_the_identity(
    authority: Authority,
) -> None:
    chain = authority.sign(a_request("SERIAL-7"), "CP001", frozenset({"SERIAL-7"}), NOW)
    leaf = x509.load_pem_x509_certificate(chain.encode())

    assert leaf.subject.rfc4514_string() == "CN=CP001,O=Depot Nord"


@pytest.mark.parametrize(
    ("request_pem", "expected"),
    [
        (a_request("CP002"), "is for CP002, not for CP001"),
        (a_request(key=SHORT), "1024 bits"),
        (a_request(key=ec.generate_private_key(ec.SECP192R1())), "too weak"),
        (a_request(key=ed25519.Ed25519PrivateKey.generate()), "neither RSA nor ECDSA"),
        (tampered(a_request("CP003")), "not signed with its own key"),
        ("nonsense", "cannot be read"),
        ("-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----", "read"),
        ("å", "cannot be read"),
        ("x" * (MAX_CSR + 1), "more than"),
    ],
)
def test_unfit_requests_are_refused_with_the_reason(
    authority: Authority, request_pem: str, expected: str
) -> None:
    with pytest.raises(PkiError, match=expected):
        authority.sign(request_pem, "CP001", frozenset(), NOW)


def test_a_second_authority_never_replaces_the_first(authority: Authority) -> None:
    before = authority.bundle.read_bytes()
    with pytest.raises(PkiError, match="already"):
        authority.init("Somebody", NOW)

    assert authority.bundle.read_bytes() == before


def test_the_server_is_renewed_for_the_same_hosts_and_in_time(tmp_path: Path) -> None:
    own = Authority(tmp_path)
    own.init("Depot Nord", NOW)
    own.issue_server(["box.local", "192.0.2.7"], NOW)
    later = NOW + timedelta(days=397 - 59)

    assert not own.renew_server(NOW + timedelta(days=300))
    assert own.renew_server(later)
    leaf = x509.load_pem_x509_certificate(own.server()[0].certificate.read_bytes())
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [str(n.value) for n in names] == ["box.local", "192.0.2.7"]
    assert leaf.not_valid_after_utc == later + timedelta(days=397)


def test_a_passphrase_locks_the_authoritys_keys(tmp_path: Path) -> None:
    Authority(tmp_path, passphrase=b"open sesame").init("Depot Nord", NOW)

    assert b"ENCRYPTED" in (tmp_path / "ca-ecdsa.key").read_bytes()
    with pytest.raises(PkiError, match="WATTKEEPER_CA_PASSPHRASE"):
        Authority(tmp_path).issue_server(["a"], NOW)
    assert len(Authority(tmp_path, passphrase=b"open sesame").issue_server(["a"], NOW)) == 2


def test_a_key_that_others_may_read_is_not_used(tmp_path: Path) -> None:
    own = Authority(tmp_path)
    own.init("Depot Nord", NOW)
    (tmp_path / "ca-ecdsa.key").chmod(0o644)

    with pytest.raises(PkiError, match="chmod 600"):
        own.issue_station("CP001", NOW)


@pytest.mark.parametrize("identity", ["../evil", ".hidden", "a/b"])
def test_an_identity_never_leaves_the_folder(authority: Authority, identity: str) -> None:
    with pytest.raises(PkiError, match="file name"):
        authority.issue_station(identity, NOW)


@pytest.mark.parametrize("host", ["", "bücher.example"])
def test_a_bad_host_is_named(authority: Authority, host: str) -> None:
    with pytest.raises(PkiError, match="host"):
        authority.issue_server([host] if host else [], NOW)
