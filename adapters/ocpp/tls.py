"""TLS for stations: RSA and ECDSA certificates side by side, client certificates, hot reload."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from cryptography import x509

from adapters.ocpp.settings import TlsFiles

_EPHEMERAL: Final = "ECDHE+AESGCM:ECDHE+CHACHA20"
_RSA_KEY_EXCHANGE: Final = "AES128-GCM-SHA256:AES256-GCM-SHA384"
"""Two of the four suites that OCPP 2.0.1 A00.FR.318 wants offered; Python leaves them out. They are
last, so that only a station that knows nothing better gets them."""


class TlsError(Exception):
    """The certificates cannot be used; the text names the file and the mend."""


class TlsIdentity:
    """The server's certificates, read again when their files change.

    The context handed to the listener stays; each handshake takes the newest good certificates. A
    bad file never replaces a good one.
    """

    def __init__(self, files: TlsFiles, *, asks_for_certificate: bool) -> None:
        """Read the files.

        Args:
            files: Where they are.
            asks_for_certificate: Whether stations must show one (security profile 3).

        Raises:
            TlsError: A file is missing, does not match or is not what it should be.
        """
        self._files = files
        self._asks = asks_for_certificate
        self._stamp = self._stamps()
        self._current, self.expires_at = self._built()
        self.context = self._built()[0]
        self.context.sni_callback = self._take_newest

    @property
    def place(self) -> str:
        """Name the first certificate file, for messages."""
        return str(self._files.pairs[0].certificate)

    def reload(self) -> bool:
        """Read the files again if any has changed.

        Returns:
            Whether new ones are in use.

        Raises:
            TlsError: The new ones cannot be used; the old ones stay.
        """
        stamp = self._stamps()
        if stamp == self._stamp:
            return False
        self._current, self.expires_at = self._built()
        self._stamp = stamp
        return True

    def _take_newest(self, sock: Any, _name: str | None, _context: ssl.SSLContext) -> None:
        """Switch a handshake to the newest certificates; called with and without a server name."""
        sock.context = self._current

    def _stamps(self) -> tuple[tuple[int, int] | None, ...]:
        return tuple(_stamp(path) for path in _paths(self._files))

    def _built(self) -> tuple[ssl.SSLContext, datetime]:
        files = self._files
        if not files.pairs:
            raise TlsError("There is no server certificate: run `wattkeeper ca init`.")
        context = _bare_context(rsa_key_exchange=files.rsa_key_exchange)
        ends = [_load_pair(context, pair.certificate, pair.key) for pair in files.pairs]
        if self._asks:
            _demand_certificates(context, files.client_ca)
        return context, min(ends)


def _bare_context(*, rsa_key_exchange: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    suites = f"{_EPHEMERAL}:{_RSA_KEY_EXCHANGE}" if rsa_key_exchange else _EPHEMERAL
    context.set_ciphers(suites)
    return context


def _load_pair(context: ssl.SSLContext, certificate: Path, key: Path) -> datetime:
    """Load a certificate with its key; return when it ends."""
    try:
        context.load_cert_chain(certificate, key, password=_no_password(key))
        return x509.load_pem_x509_certificate(certificate.read_bytes()).not_valid_after_utc
    except ssl.SSLError as error:
        raise TlsError(
            f"{certificate} and {key}: cannot be used ({error.reason or error}). Both must be PEM, "
            "the key must belong to the certificate and have no passphrase."
        ) from error
    except OSError as error:
        raise TlsError(
            f"{error.filename or certificate}: cannot be read ({error.strerror}). Run `wattkeeper "
            "ca init`, or name your own files under ocpp.tls.certificates."
        ) from error
    except ValueError as error:
        raise TlsError(f"{certificate}: is not a certificate ({error}).") from error


def _no_password(key: Path) -> Any:
    """Return a callback: without one OpenSSL would ask on the terminal and wait for ever."""

    def refuse() -> str:
        raise TlsError(f"{key}: has a passphrase. Store the server's key without one, mode 0600.")

    return refuse


def _demand_certificates(context: ssl.SSLContext, client_ca: Path | None) -> None:
    if client_ca is None:
        raise TlsError(
            "security_profile 3 needs the authority of the stations' certificates: set "
            "ocpp.tls.client_ca, or run `wattkeeper ca init`."
        )
    try:
        context.load_verify_locations(client_ca)
    except (ssl.SSLError, OSError) as error:
        raise TlsError(
            f"{client_ca}: holds no authority's certificate ({error.strerror or error}). Write PEM."
        ) from error
    context.verify_mode = ssl.CERT_REQUIRED
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN


def _paths(files: TlsFiles) -> Iterator[Path]:
    for pair in files.pairs:
        yield pair.certificate
        yield pair.key
    if files.client_ca is not None:
        yield files.client_ca


def _stamp(path: Path) -> tuple[int, int] | None:
    try:
        status = path.stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_ino


class ClientCertificate:
    """What a station's certificate says of it. The chain was verified in the handshake."""

    def __init__(
        self, *, names: frozenset[str], organisations: frozenset[str], valid_from: datetime
    ) -> None:
        self.names = names
        """CN and SAN (DNS names and URIs)."""
        self.organisations = organisations
        self.valid_from = valid_from

    @classmethod
    def of(cls, der: bytes) -> ClientCertificate | None:
        """Read a certificate; None when it cannot be read."""
        try:
            certificate = x509.load_der_x509_certificate(der)
            return cls(
                names=frozenset(
                    (*_texts(certificate, x509.NameOID.COMMON_NAME), *_alternatives(certificate))
                ),
                organisations=frozenset(_texts(certificate, x509.NameOID.ORGANIZATION_NAME)),
                valid_from=certificate.not_valid_before_utc,
            )
        except ValueError:
            return None

    def objection(
        self, accepted: Sequence[str], organisation: str | None, since: datetime | None
    ) -> str | None:
        """Say why this certificate does not prove a station; None: it does.

        Args:
            accepted: Names of the station, any of which must be in the certificate.
            organisation: O that it must carry; None: any. Source: OCPP 2.0.1 part 2, A00, profile 3.
            since: Certificates that became valid before are revoked; None: none are.
        """
        if not self.names & frozenset(accepted):
            return f"its certificate is for {', '.join(sorted(self.names)) or 'nobody'}"
        if organisation is not None and organisation not in self.organisations:
            shown = ", ".join(sorted(self.organisations)) or "none"
            return f"its certificate names the organisation {shown}, not {organisation}"
        if since is not None and self.valid_from < since:
            return "its certificate was revoked"
        return None


def _texts(certificate: x509.Certificate, oid: x509.ObjectIdentifier) -> Iterator[str]:
    for attribute in certificate.subject.get_attributes_for_oid(oid):
        yield str(attribute.value)


def _alternatives(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return ()
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    return (*names.get_values_for_type(x509.DNSName), *uris)
