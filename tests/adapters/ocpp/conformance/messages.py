"""The messages of both versions and how much each is needed: M must, S should, C could.

Direction `up` is from the station, `down` is to it. What cases of ISO 15118 certificates need is C.
"""

from __future__ import annotations

UP16 = {
    "M": "BootNotification Heartbeat StatusNotification Authorize StartTransaction StopTransaction MeterValues "
    "DataTransfer DiagnosticsStatusNotification FirmwareStatusNotification SecurityEventNotification",
    "S": "SignCertificate LogStatusNotification SignedFirmwareStatusNotification",
}
DOWN16 = {
    "M": "DataTransfer ChangeConfiguration GetConfiguration SetChargingProfile ClearChargingProfile "
    "GetCompositeSchedule RemoteStartTransaction RemoteStopTransaction TriggerMessage ChangeAvailability Reset "
    "UnlockConnector",
    "S": "ClearCache SendLocalList GetLocalListVersion ReserveNow CancelReservation GetDiagnostics UpdateFirmware "
    "CertificateSigned InstallCertificate DeleteCertificate GetInstalledCertificateIds ExtendedTriggerMessage "
    "GetLog SignedUpdateFirmware",
}
UP201 = {
    "M": "BootNotification NotifyReport SecurityEventNotification Authorize TransactionEvent StatusNotification "
    "Heartbeat MeterValues NotifyChargingLimit ClearedChargingLimit ReportChargingProfiles "
    "FirmwareStatusNotification LogStatusNotification NotifyEvent DataTransfer",
    "S": "SignCertificate NotifyEVChargingNeeds NotifyEVChargingSchedule NotifyMonitoringReport "
    "NotifyCustomerInformation ReservationStatusUpdate",
    "C": "GetCertificateStatus Get15118EVCertificate PublishFirmwareStatusNotification NotifyDisplayMessages",
}
DOWN201 = {
    "M": "GetBaseReport GetVariables SetVariables Reset InstallCertificate DeleteCertificate "
    "GetInstalledCertificateIds ClearCache RequestStartTransaction RequestStopTransaction ChangeAvailability "
    "TriggerMessage SetChargingProfile GetCompositeSchedule ClearChargingProfile GetChargingProfiles "
    "UpdateFirmware GetLog CustomerInformation DataTransfer",
    "S": "GetReport SetNetworkProfile CertificateSigned SendLocalList GetLocalListVersion GetTransactionStatus "
    "UnlockConnector SetMonitoringBase SetMonitoringLevel SetVariableMonitoring ClearVariableMonitoring "
    "GetMonitoringReport ReserveNow CancelReservation",
    "C": "PublishFirmware UnpublishFirmware SetDisplayMessage GetDisplayMessages ClearDisplayMessage CostUpdated",
}


def rows(protocol: str) -> list[tuple[str, str, str]]:
    """Return (message, direction, need) of a version."""
    up, down = (UP16, DOWN16) if protocol == "ocpp1.6" else (UP201, DOWN201)
    return [
        (message, direction, need)
        for direction, table in (("up", up), ("down", down))
        for need, names in table.items()
        for message in names.split()
    ]
