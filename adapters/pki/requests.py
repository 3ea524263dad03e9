"""What a station's certificate signing request must be before it is signed."""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

from adapters.pki.files import PkiError

MAX_CSR = 10_000
"""Longer requests are refused unread. Source: OCPP 2.0.1 SignCertificateRequest.csr. [character]"""
LEAST_RSA_BITS = 2048
LEAST_EC_BITS = 224
"""Source: OCPP 2.0.1 A00.FR.509: RSA from 2048, elliptic curves from 224 bits."""

StationKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


def station_key(csr_pem: str, names: frozenset[str]) -> StationKey:
    """Check a signing request and return the key to be certified.

    Args:
        csr_pem: PKCS#10 request in PEM, as the station sent it.
        names: What the request may call its subject: the identity, and a bound name.

    Raises:
        PkiError: With the reason, fit for the log and the operator.
    """
    if len(csr_pem) > MAX_CSR:
        raise PkiError(f"the request has more than {MAX_CSR} characters")
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode("ascii"))
        is_signed = request.is_signature_valid
        key = request.public_key()
        common = [str(a.value) for a in request.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except (ValueError, UnsupportedAlgorithm, InvalidSignature, TypeError) as error:
        raise PkiError(f"the request cannot be read ({error})") from error
    if not is_signed:
        raise PkiError("the request is not signed with its own key")
    if not set(common) <= names:
        shown = "".join(c for c in common[0][:64] if c.isprintable())
        raise PkiError(f"the request is for {shown}, not for {', '.join(sorted(names))}")
    return _strong(key)


def _strong(key: object) -> StationKey:
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < LEAST_RSA_BITS:
            raise PkiError(f"an RSA key of {key.key_size} bits is too short")
        return key
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.key_size < LEAST_EC_BITS:
            raise PkiError(f"the curve {key.curve.name} is too weak")
        return key
    raise PkiError("the key is neither RSA nor ECDSA")
