/** A station's own configuration, as it answered. */

import { ask } from "../api/client";

export interface Setting {
  key: string;
  value: string | null;
}

interface Answered {
  answer?: { values?: Record<string, string | null> };
}

/** What is worth seeing of a 2.0.1 station, which must be asked by name. */
const VARIABLES = [
  "OCPPCommCtrlr.HeartbeatInterval",
  "OCPPCommCtrlr.WebSocketPingInterval",
  "OCPPCommCtrlr.OfflineThreshold",
  "SampledDataCtrlr.TxUpdatedInterval",
  "SampledDataCtrlr.TxUpdatedMeasurands",
  "AlignedDataCtrlr.Interval",
  "AuthCtrlr.Enabled",
  "AuthCtrlr.AuthorizeRemoteStart",
  "TxCtrlr.EVConnectionTimeOut",
  "TxCtrlr.StopTxOnEVSideDisconnect",
  "SmartChargingCtrlr.Enabled",
  "SmartChargingCtrlr.LimitChangeSignificance",
  "SecurityCtrlr.SecurityProfile",
];

export async function readSettings(path: string, protocol: string | null): Promise<Setting[]> {
  const names = protocol === "ocpp1.6" ? [] : VARIABLES.map((name) => ["name", name]);
  const { answer } = await ask<Answered>(`${path}/configuration?${new URLSearchParams(names)}`);
  return Object.entries(answer?.values ?? {})
    .map(([key, value]) => ({ key, value }))
    .sort((a, b) => a.key.localeCompare(b.key));
}
