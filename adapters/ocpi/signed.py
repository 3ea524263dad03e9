"""Signed meter values of a session, passed on as the meter sent them. Source: OCPI 2.2.1 `mod_cdrs`, SignedData."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from adapters.ocpi.models.sessions import SignedData, SignedValue
from controller.roaming import DocumentQuery, DocumentStore
from controller.transaction import Transaction

KIND = "signed_meter_value"
MOST_SIGNED = 5000
"""Characters of one value; longer ones cannot be passed on. Source: SignedValue."""
NATURES = {"Transaction.Begin": "Start", "Transaction.End": "End"}


async def signed_data(store: DocumentStore, transaction: Transaction) -> SignedData | None:
    """Return what was signed during a session; None: nothing was."""
    prefix = f"{transaction.station}|{transaction.id}|"
    found = await store.documents(DocumentQuery(kind=KIND, prefix=prefix, limit=500))
    samples = [v["sampledValue"] for d in found for v in json.loads(d.body)["values"]]
    return written(samples)


def written(samples: Iterable[Mapping[str, Any]]) -> SignedData | None:
    """Write OCPP's sampled values of either version."""
    values: list[SignedValue] = []
    method, key = "", None
    for sample in samples:
        signed = sample.get("signedMeterValue")
        text = signed["signedMeterData"] if isinstance(signed, Mapping) else sample.get("value")
        if not isinstance(text, str) or not 0 < len(text) <= MOST_SIGNED:
            continue
        if isinstance(signed, Mapping):
            method = method or str(signed.get("encodingMethod") or "")
            key = key or signed.get("publicKey") or None
        elif text.startswith("OCMF|"):
            method = method or "OCMF"
        nature = NATURES.get(str(sample.get("context")), "Intermediate")
        plain = str(sample["value"]) if isinstance(signed, Mapping) and "value" in sample else ""
        values.append(SignedValue(nature=nature, plain_data=plain, signed_data=text))
    if not values:
        return None
    return SignedData(
        encoding_method=(method or "unknown")[:36],
        public_key=key if key is not None and len(key) <= 512 else None,
        signed_values=values,
    )
