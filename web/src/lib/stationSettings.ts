/** A station's own configuration as it answered, beside what is wanted of it. */

import { ask, Problem } from "../api/client";

export interface Setting {
  key: string;
  /** Null: the station did not name it. */
  value: string | null;
  /** Null: nothing is wanted of it. */
  wanted: string | null;
  differs: boolean;
}

interface Wanted {
  wanted: string;
  actual: string | null;
  differs: boolean;
}

interface Read {
  answer?: { values?: Record<string, string | null>; wanted?: Record<string, Wanted> };
}

export interface Written {
  answer?: { values?: Record<string, string>; failures?: Record<string, string> };
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

/** Ask the station; what differs comes first. */
export async function readSettings(path: string, protocol: string | null): Promise<Setting[]> {
  const read = (names: string[]): Promise<Read> => ask(`${path}/configuration?${new URLSearchParams(names.map((name) => ["name", name]))}`);
  if (protocol === "ocpp1.6") return settings([await read([])]);
  const common = await read(VARIABLES);
  return settings([common, await read([]).catch(nothingWanted)]);
}

export function writeSetting(path: string, key: string, value: string, keep: boolean): Promise<Written> {
  return ask(`${path}/configuration`, { method: "POST", json: { values: { [key]: value }, keep } });
}

/** A 2.0.1 station of which nothing is wanted has nothing to answer without names. */
function nothingWanted(error: unknown): Read {
  if (error instanceof Problem && error.code === "refused-by-station") return {};
  throw error;
}

function settings(reads: Read[]): Setting[] {
  const found = new Map<string, Setting>();
  for (const { answer } of reads) {
    for (const [key, value] of Object.entries(answer?.values ?? {})) found.set(key, { key, value, wanted: null, differs: false });
    for (const [key, w] of Object.entries(answer?.wanted ?? {})) found.set(key, { key, value: w.actual, wanted: w.wanted, differs: w.differs });
  }
  return [...found.values()].sort((a, b) => Number(b.differs) - Number(a.differs) || Number(b.wanted !== null) - Number(a.wanted !== null) || a.key.localeCompare(b.key));
}
