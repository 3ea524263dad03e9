"""The authority: two roots, one per kind of key, that sign servers and stations of one site."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from adapters.pki.files import (
    PkiError,
    PrivateKey,
    make_folder,
    pem_of,
    read_certificate,
    read_key,
    write,
    write_key,
)
from adapters.pki.requests import StationKey, station_key

KINDS: Final = ("ecdsa", "rsa")
"""A station that knows one kind of signature only gets a chain made of it throughout."""
BUNDLE: Final = "ca.pem"
ROOT_DAYS: Final = 20 * 365
SERVER_DAYS: Final = 397
STATION_DAYS: Final = 3 * 365
RENEW_BEFORE: Final = timedelta(days=60)
_BACKDATED: Final = timedelta(days=1)
"""Of what stations check: one whose clock runs late must not find a certificate from the future."""
_NOT_BACKDATED: Final = timedelta()
"""Of what we check ourselves: what was issued after a revocation must be told from what was before."""
_STATIONS: Final = "stations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A certificate with its own key, both as files."""

    certificate: Path
    key: Path
    not_after: datetime


class Authority:
    """An authority in a folder. Its keys are read when something is signed, and not kept."""

    def __init__(self, folder: Path, *, passphrase: bytes | None = None) -> None:
        """Use the authority in `folder`, which need not exist yet."""
        self._folder = folder
        self._passphrase = passphrase

    @property
    def bundle(self) -> Path:
        """Both roots, in one file: what stations and this server trust."""
        return self._folder / BUNDLE

    @property
    def exists(self) -> bool:
        """Tell whether there is an authority."""
        return self.bundle.exists()

    def organisation(self) -> str:
        """Return the organisation (O) that its certificates carry.

        Raises:
            PkiError: There is no authority.
        """
        subject = read_certificate(self._root_path(KINDS[0])).subject
        return str(subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)[0].value)

    def init(self, organisation: str, now: datetime) -> None:
        """Make both roots.

        Args:
            organisation: Name of the operator; O of every certificate, 1 to 64 characters.
            now: UTC.

        Raises:
            PkiError: There is an authority already, or the folder cannot be written.
        """
        if self.exists:
            raise PkiError(
                f"{self._folder}: there is an authority already. Making another one would lock out "
                "every station that trusts this one; move the folder away if you mean it."
            )
        if not 0 < len(organisation) <= 64:
            raise PkiError("The organisation has 1 to 64 characters.")
        make_folder(self._folder)
        roots = []
        for kind in KINDS:
            key = _new_key(kind, rsa_bits=3072)
            name = _name(f"{organisation[:40]} charging CA {kind.upper()}", organisation)
            root = _signed(_root(name, key, now), key)
            write_key(self._folder / f"ca-{kind}.key", key, self._passphrase)
            write(self._root_path(kind), pem_of(root), mode=0o644)
            roots.append(root)
        write(self.bundle, pem_of(*roots), mode=0o644)

    def issue_server(self, hosts: Sequence[str], now: datetime) -> tuple[Issued, ...]:
        """Make a key and a certificate of each kind for this server.

        Args:
            hosts: Names and addresses under which stations reach it; the first is its CN.
            now: UTC.

        Raises:
            PkiError: No hosts, no authority, or nothing can be written.
        """
        if not hosts:
            raise PkiError("A server certificate needs at least one --host name or address.")
        names = x509.SubjectAlternativeName([_general_name(h) for h in hosts])
        return tuple(self._issue_server(kind, hosts[0], names, now) for kind in KINDS)

    def server(self) -> tuple[Issued, ...]:
        """Return this server's certificates; empty: none were issued."""
        found = []
        for kind in KINDS:
            path = self._folder / f"server-{kind}.pem"
            if path.exists():
                found.append(
                    Issued(
                        certificate=path,
                        key=path.with_suffix(".key"),
                        not_after=read_certificate(path).not_valid_after_utc,
                    )
                )
        return tuple(found)

    def renew_server(self, now: datetime, *, before: timedelta = RENEW_BEFORE) -> bool:
        """Issue this server's certificates anew, for the same hosts, when their end is near.

        Returns:
            Whether there are new ones.
        """
        issued = self.server()
        if not issued or min(i.not_after for i in issued) - now > before:
            return False
        extension = read_certificate(issued[0].certificate).extensions
        names = extension.get_extension_for_class(x509.SubjectAlternativeName).value
        self.issue_server([_host_of(n) for n in names], now)
        return True

    def issue_station(self, identity: str, now: datetime, *, kind: str = "ecdsa") -> Issued:
        """Make key and certificate for a station that cannot make its own key.

        Raises:
            PkiError: The identity makes no file name, or no authority.
        """
        if "/" in identity or identity.startswith("."):
            raise PkiError(f"{identity}: an identity with / or a leading dot makes no file name.")
        folder = self._folder / _STATIONS
        make_folder(folder)
        key = _new_key(kind, rsa_bits=2048)
        certificate = self._certify_station(identity, key.public_key(), now)
        path = folder / f"{identity}.pem"
        root = read_certificate(self._root_path(kind))
        write_key(path.with_suffix(".key"), key, None)
        write(path, pem_of(certificate, root), mode=0o644)
        return Issued(
            certificate=path,
            key=path.with_suffix(".key"),
            not_after=certificate.not_valid_after_utc,
        )

    def sign(self, csr_pem: str, identity: str, names: frozenset[str], now: datetime) -> str:
        """Sign a station's own request.

        Args:
            csr_pem: The request.
            identity: CN of the certificate, whatever the request says besides.
            names: Names that the request may carry as CN.
            now: UTC.

        Returns:
            The certificate and its root, PEM.

        Raises:
            PkiError: The request is not fit, or there is no authority.
        """
        key = station_key(csr_pem, names | {identity})
        certificate = self._certify_station(identity, key, now)
        kind = "rsa" if isinstance(key, rsa.RSAPublicKey) else "ecdsa"
        return pem_of(certificate, read_certificate(self._root_path(kind))).decode()

    # --- making -----------------------------------------------------------------------------------

    def _issue_server(
        self, kind: str, common_name: str, names: x509.SubjectAlternativeName, now: datetime
    ) -> Issued:
        key = _new_key(kind, rsa_bits=2048)
        certificate = self._certify(
            _name(common_name[:64], self.organisation()),
            key.public_key(),
            usage=ExtendedKeyUsageOID.SERVER_AUTH,
            days=SERVER_DAYS,
            names=names,
            now=now,
        )
        path = self._folder / f"server-{kind}.pem"
        root = read_certificate(self._root_path(kind))
        write_key(path.with_suffix(".key"), key, None)
        write(path, pem_of(certificate, root), mode=0o644)
        return Issued(
            certificate=path,
            key=path.with_suffix(".key"),
            not_after=certificate.not_valid_after_utc,
        )

    def _certify_station(self, identity: str, key: StationKey, now: datetime) -> x509.Certificate:
        return self._certify(
            _name(identity, self.organisation()),
            key,
            usage=ExtendedKeyUsageOID.CLIENT_AUTH,
            days=STATION_DAYS,
            names=None,
            now=now,
        )

    def _certify(
        self,
        subject: x509.Name,
        key: StationKey,
        *,
        usage: x509.ObjectIdentifier,
        days: int,
        names: x509.SubjectAlternativeName | None,
        now: datetime,
    ) -> x509.Certificate:
        kind = "rsa" if isinstance(key, rsa.RSAPublicKey) else "ecdsa"
        root = read_certificate(self._root_path(kind))
        root_key = read_key(self._folder / f"ca-{kind}.key", self._passphrase)
        is_rsa = kind == "rsa"
        backdated = _NOT_BACKDATED if names is None else _BACKDATED
        builder = (
            _dated(subject, root.subject, key, now, days, backdated)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(key_encipherment=is_rsa), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(_issuer_id(root_key), critical=False)
        )
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return _signed(builder, root_key)

    def _root_path(self, kind: str) -> Path:
        return self._folder / f"ca-{kind}.pem"


def _new_key(kind: str, *, rsa_bits: int) -> PrivateKey:
    if kind == "rsa":
        return rsa.generate_private_key(public_exponent=65537, key_size=rsa_bits)
    return ec.generate_private_key(ec.SECP256R1())


def _name(common_name: str, organisation: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )


def _dated(
    subject: x509.Name,
    issuer: x509.Name,
    key: StationKey,
    now: datetime,
    days: int,
    backdated: timedelta = _BACKDATED,
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key,
        serial_number=x509.random_serial_number(),
        not_valid_before=now - backdated,
        not_valid_after=now + timedelta(days=days),
    )


def _root(name: x509.Name, key: PrivateKey, now: datetime) -> x509.CertificateBuilder:
    public = key.public_key()
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        _dated(name, name, public, now, ROOT_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
    )


def _usage(*, key_encipherment: bool) -> x509.KeyUsage:
    """Return what a leaf's key is for; RSA key exchange needs encipherment."""
    return x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=key_encipherment,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )


def _issuer_id(root_key: PrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key())


def _signed(builder: x509.CertificateBuilder, key: PrivateKey) -> x509.Certificate:
    return builder.sign(key, hashes.SHA256())


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return _dns_name(host)


def _dns_name(host: str) -> x509.GeneralName:
    try:
        return x509.DNSName(host)
    except ValueError as error:
        raise PkiError(f"{host!r} is no host name: use ASCII letters, or its address.") from error


def _host_of(name: x509.GeneralName) -> str:
    return str(name.value)


def own_hosts(names: Sequence[str], addresses: Sequence[str]) -> tuple[str, ...]:
    """Return the names and addresses of this machine, each once, names first."""

    def unique() -> Iterator[str]:
        seen: set[str] = set()
        for host in (*names, *addresses):
            if host and host not in seen:
                seen.add(host)
                yield host

    return tuple(unique())
