"""Which message goes where: the tables of the relay, for both versions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from adapters.upstream.wire import Json

DURABLE = frozenset({"StartTransaction", "StopTransaction", "MeterValues", "TransactionEvent"})
"""Kept on the disk until the back office confirmed them, in order."""
ASKED = frozenset({"Authorize", "DataTransfer"})
"""The station's answer is the back office's, while it can be reached."""
KEPT_HERE = frozenset(
    {"SignCertificate", "Get15118EVCertificate", "GetCertificateStatus", "ReportChargingProfiles"}
)
"""Security is each leg's own, and our profiles are nobody's business."""
REPORTS = frozenset(
    {
        "NotifyReport",
        "NotifyMonitoringReport",
        "NotifyCustomerInformation",
        "NotifyDisplayMessages",
        "LogStatusNotification",
        "PublishFirmwareStatusNotification",
    }
)
"""Passed on only where the back office asked for them."""
STARTS = frozenset({"RemoteStartTransaction", "RequestStartTransaction"})
REFUSED: Mapping[str, Json] = {
    "SendLocalList": {"status": "Failed"},
    "GetLocalListVersion": {"listVersion": 0},
    "CertificateSigned": {"status": "Rejected"},
    "InstallCertificate": {"status": "Rejected"},
    "DeleteCertificate": {"status": "Failed"},
    "GetInstalledCertificateIds": {"status": "NotFound"},
    "SetNetworkProfile": {"status": "Rejected"},
}
"""Tokens are decided here, and certificates and addresses are this leg's own."""
PASSWORD_KEYS = frozenset({"AuthorizationKey", "BasicAuthPassword"})
PROTECTED_KEYS = frozenset({"SecurityProfile", "MeterValueSampleInterval", "SupplyPhases"})
"""What limiting and safety of this leg depend on."""


class NotPassedError(Exception):
    """A request could not be handed on."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


def is_durable(action: str, payload: Json) -> bool:
    """Tell whether a message belongs to a transaction."""
    return action != "MeterValues" or payload.get("transactionId") is not None


def asks_token(action: str, payload: Json) -> bool:
    """Tell whether the answer says something about a token."""
    if action == "StartTransaction":
        return True
    return action == "TransactionEvent" and payload.get("idToken") is not None


def token_of(action: str, payload: Json) -> str | None:
    """Return the token that a message asks about."""
    token = payload.get("idTag", payload.get("idToken"))
    if isinstance(token, dict):
        token = token.get("idToken")
    return token if isinstance(token, str) and token and action != "DataTransfer" else None


def local_transaction(action: str, payload: Json, ours: Json) -> str:
    """Return our id of the transaction that a message belongs to."""
    if action == "TransactionEvent":
        return str((payload.get("transactionInfo") or {}).get("transactionId", ""))
    if action == "StartTransaction":
        return str(ours.get("transactionId", ""))
    return str(payload.get("transactionId", ""))


def ends(action: str, payload: Json) -> bool:
    """Tell whether a message ends its transaction."""
    return action == "StopTransaction" or payload.get("eventType") == "Ended"


def begins(payload: Json) -> bool:
    """Tell whether a message begins its transaction."""
    return str(payload.get("eventType", "Started")) == "Started"


def time_of(payload: Json) -> datetime | None:
    """Return the time that a station gave; None: it is none."""
    try:
        at = datetime.fromisoformat(str(payload.get("timestamp")))
    except ValueError:
        return None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def evse_of(payload: Json) -> int:
    """Return the EVSE or connector of a start."""
    evse = payload.get("evse")
    number = evse.get("id") if isinstance(evse, dict) else payload.get("connectorId")
    return int(number or 0)


def connector_of(payload: Json) -> str:
    """Return what a StatusNotification is about."""
    return f"{payload.get('evseId', 0)}/{payload.get('connectorId', 0)}"


def merged(action: str, ours: Json, theirs: Json) -> Json:
    """Return our answer with what the back office says about the token and the price."""
    if action == "StartTransaction":
        info = theirs.get("idTagInfo")
        return ours | {"idTagInfo": info} if isinstance(info, dict) else ours
    taken = ("idTokenInfo", "totalCost", "chargingPriority", "updatedPersonalMessage")
    return ours | {k: theirs[k] for k in taken if k in theirs}


def is_answer(action: str, theirs: Json) -> bool:
    """Tell whether the back office's answer can be handed to a station."""
    if action == "Authorize":
        return isinstance(theirs.get("idTagInfo", theirs.get("idTokenInfo")), dict)
    return isinstance(theirs.get("status"), str)


def refusal(action: str, payload: Json) -> Json | None:
    """Return what the back office is answered instead of the station; None: it is passed on."""
    if action in REFUSED:
        return REFUSED[action]
    if action == "ChangeConfiguration" and payload.get("key") in PROTECTED_KEYS:
        return {"status": "Rejected"}
    if action in ("TriggerMessage", "ExtendedTriggerMessage"):
        wanted = str(payload.get("requestedMessage", ""))
        return {"status": "Rejected"} if wanted.startswith("Sign") else None
    return None


def new_secret(action: str, payload: Json) -> str | None:
    """Return the password that the back office sets for its own leg."""
    if action == "ChangeConfiguration" and payload.get("key") in PASSWORD_KEYS:
        return str(payload["value"])
    if action == "SetVariables":
        for item in payload.get("setVariableData") or ():
            if (item.get("variable") or {}).get("name") in PASSWORD_KEYS:
                return str(item["attributeValue"])
    return None


def _variables_taken(payload: Json) -> Json:
    """Accept the password; other variables in the same request have to be asked again."""
    return {
        "setVariableResult": [
            {
                "attributeStatus": "Accepted"
                if (item.get("variable") or {}).get("name") in PASSWORD_KEYS
                else "Rejected",
                "component": item["component"],
                "variable": item["variable"],
            }
            for item in payload["setVariableData"]
        ]
    }


SECRET_TAKEN: Mapping[str, Callable[[Json], Json]] = {
    "ChangeConfiguration": lambda _payload: {"status": "Accepted"},
    "SetVariables": _variables_taken,
}
